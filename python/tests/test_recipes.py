"""The scripts of docs/recipes run unchanged, and leaving out their parts has the effects that the pages describe."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from .conftest import SOURCE
from .test_runs import program

pytestmark = pytest.mark.filterwarnings("ignore")  # warnings of the packages

RECIPES = SOURCE / "docs" / "recipes"
PACKAGES = {
    "skorch": ["skorch"],
    "lightning": ["lightning"],
    "transformers": ["transformers", "accelerate"],
    "text": ["wordllama"],
}


def run(name: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict[str, Any]:
    """Runs the script of a page and returns its variables. Skips if a package that it needs is not installed."""
    for package in PACKAGES[name]:
        pytest.importorskip(package)
    monkeypatch.chdir(folder)
    code = "\n".join(
        re.findall(r"^```python\n(.*?)^```$", (RECIPES / f"{name}.md").read_text(), re.DOTALL | re.MULTILINE)
    )
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(code, f"{name}.md", "exec"), names)
    return names


def assert_probabilities(probabilities: Any, logits: torch.Tensor) -> None:
    """The probabilities are the softmax of the scaled logits, which differs much from the softmax of the logits."""
    np.testing.assert_allclose(probabilities, (30 * logits).softmax(1), atol=1e-5)
    assert np.asarray(probabilities).max() > 0.5 > logits.softmax(1).max()


def test_every_recipe_is_here() -> None:
    if not RECIPES.exists():
        pytest.skip("not in the repository")
    assert {path.stem for path in RECIPES.glob("*.md")} == set(PACKAGES)


def test_skorch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = run("skorch", monkeypatch, tmp_path)
    net, valid = names["net"], names["X_valid"]
    assert float(capsys.readouterr().out.split()[-1]) > 0.8
    assert net.criterion_.class_weights != [1.0] * 10  # the deferred rule has begun
    logits = torch.cat(list(net.forward_iter(valid)))
    assert_probabilities(names["probabilities"], logits)
    without = type(net)(net.module_, criterion=net.criterion_).initialize()
    assert (without.predict_proba(valid) < 0).any()

    import sklearn

    import ulmus

    copy = sklearn.clone(net).set_params(
        max_epochs=2, train_split=None, callbacks=[], iterator_train__sampler=ulmus.ClassSampler(names["y"], "balanced")
    )
    assert copy.fit(names["X"], names["y"]).predict_proba(valid).shape == (len(valid), 10)


def test_lightning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = run("lightning", monkeypatch, tmp_path)
    model, X = names["model"], names["X"]
    assert float(capsys.readouterr().out.split()[-1]) > 0.8
    assert model.loss.class_weights != [1.0] * 10
    with torch.no_grad():
        assert_probabilities(names["probabilities"], model(X[900:]))
    fresh = names["Classifier"](model.loss.spec, model.loss.class_counts)
    fresh.load_state_dict(model.state_dict())
    assert fresh.loss.class_weights == model.loss.class_weights

    import ulmus

    sampler = ulmus.ClassSampler(names["y"][names["chosen"]], "balanced")
    loader = torch.utils.data.DataLoader(names["train"], batch_size=64, sampler=sampler)
    epochs: list[int] = []
    monkeypatch.setattr(sampler, "set_epoch", epochs.append)
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    names["lightning"].Trainer(max_epochs=3, accelerator="cpu", **quiet).fit(fresh, loader)
    assert sorted(set(epochs)) == [0, 1, 2]


def test_transformers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    names = run("transformers", monkeypatch, tmp_path)
    loss, logits = names["loss"], torch.tensor(names["judged"].predictions)
    assert float(capsys.readouterr().out.split()[-1]) > 0.6
    assert loss.class_weights != [1.0] * 4
    assert_probabilities(names["probabilities"], logits)
    data = names["texts"](names["counts"], seed=2)
    loader = names["SamplingTrainer"](names["model"], names["trainer"].args, train_dataset=data).get_train_dataloader()
    loader.set_epoch(3)
    drawn = torch.cat([batch["labels"] for batch in loader])
    assert len(drawn) == len(data) and torch.bincount(drawn).min() > len(data) / 6
    assert loader.batch_sampler.sampler.epoch == 4


def test_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ulmus = program()
    names = run("text", monkeypatch, tmp_path)
    labels = np.load("labels.npy")
    counts = np.unique(labels, return_counts=True)[1]
    assert len(counts) == len(names["PACKAGES"]) and counts.max() > 8 * counts.min() and len(labels) > 1000
    vectors = np.load("text.npy")
    assert vectors.shape == (len(labels), 256)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    (command,) = re.findall(r"^```sh\n(.*)\n```$", (RECIPES / "text.md").read_text(), re.MULTILINE)
    shorter = ["--seeds", "1", "--epochs", "10", "--quiet"]
    outcome = subprocess.run([ulmus, *shlex.split(command)[1:], *shorter], capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr
    summary = json.loads(Path("runs/text/summary.json").read_text())
    accuracy = {result["loss"]: result["test"]["balanced_accuracy"]["mean"] for result in summary["results"]}
    assert accuracy["bs"] > accuracy["ce"] > 0.3
    encoded = names["encoder"].embed(["Parse an email message from a file object."], norm=True)
    np.save("new.npy", encoded.astype(np.float32))
    predict = [ulmus, "predict", "--run", "runs/text", "--loss", "bs", "new.npy"]
    assert "email" in subprocess.run(predict, capture_output=True, text=True, check=True).stdout
