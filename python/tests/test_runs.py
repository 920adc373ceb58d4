"""Run folders and the weights in them."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ulmus

from .conftest import SOURCE

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


def write_run(folder: Path) -> Path:
    """Writes a small run folder in the format of the program."""
    (folder / "results").mkdir(parents=True)
    (folder / "config.toml").write_text(
        '# ulmus compare --data d\ndata = "d"\nepochs = 2\nskip-bad = false\nlr = 0.1\n'
    )
    split = {"schema_version": 1, "data": "d", "class_names": ["a", "b"], "train_counts": [9, 1], "train": [0, 1]}
    (folder / "split.json").write_text(json.dumps(split))
    judged = {"samples": 4, "top1": 0.5, "balanced_accuracy": 0.25, "few_shot": None, "confusion": [[[0, 2]], [[0, 2]]]}
    common = {
        "schema_version": 2,
        "epochs": 2,
        "model": "conv3",
        "head": "linear",
        "scale": 1.0,
        "parameters": 7,
        "seconds": 1,
    }
    for order, loss in enumerate(["la", "ce"]):
        for seed in (1, 0):
            result = common | {
                "order": order,
                "loss": loss,
                "seed": seed,
                "test": judged,
                "train": judged,
                "validation": None,
            }
            (folder / "results" / f"{loss}.seed{seed}.json").write_text(json.dumps(result))
    lines = [
        json.dumps({"loss": "la", "seed": 0, "epoch": epoch, "test": {"top1": 0.1 * epoch}}) for epoch in (0, 1, 0)
    ]
    (folder / "metrics.jsonl").write_text(
        lines[0] + "\n" + lines[0][:20] + lines[1] + "\n" + lines[2] + "\n" + lines[1][:9]
    )
    return folder


def test_a_run_is_plain_dictionaries(tmp_path: Path) -> None:
    run = ulmus.read_run(write_run(tmp_path / "run"))
    assert run.config == {"data": "d", "epochs": 2, "skip-bad": False, "lr": 0.1}
    assert run.split["train_counts"] == [9, 1]
    assert [(result["loss"], result["seed"]) for result in run.results] == [("la", 0), ("la", 1), ("ce", 0), ("ce", 1)]
    # Of an epoch that appears twice the last line counts; lines cut short by a crash are skipped.
    assert [(epoch["epoch"], epoch["test"]["top1"]) for epoch in run.epochs] == [(0, 0.0), (1, 0.1)]
    assert run.summary is None


def test_a_run_is_a_data_frame(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    run = ulmus.read_run(write_run(tmp_path / "run"))
    frame = run.frame()
    assert frame.shape[0] == 4 and frame["balanced_accuracy"].tolist() == [0.25] * 4
    assert "confusion" not in frame and frame["few_shot"].isna().all()
    assert frame.groupby("loss")["top1"].mean().to_dict() == {"ce": 0.5, "la": 0.5}
    assert run.frame("epochs")["test.top1"].tolist() == [0.0, 0.1]
    with pytest.raises(ValueError, match="unknown part 'tset'"):
        run.frame("tset")


def test_damage_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist; give the --out folder of a run"):
        ulmus.read_run(tmp_path / "none")
    with pytest.raises(ValueError, match="is not a run folder, it has no split.json"):
        ulmus.read_run(tmp_path)
    run = write_run(tmp_path / "run")
    (run / "split.json").write_text('{"schema_version": 2}')
    with pytest.raises(ValueError, match="split.json' has schema version 2, this package reads 1"):
        ulmus.read_run(run)
    (run / "split.json").write_text("{")
    with pytest.raises(ValueError, match="split.json' is damaged"):
        ulmus.read_run(run)
    run = write_run(tmp_path / "other")
    (run / "metrics.jsonl").write_text("nonsense\n\n")
    with pytest.raises(ValueError, match="metrics.jsonl' is damaged: line 1"):
        ulmus.read_run(run)


def write_checkpoint(path: Path, model: ulmus.models.Classifier, info: dict[str, Any]) -> None:
    beside = {"optimizer.momentum.fc.weight": torch.zeros(2), "loss.state": torch.zeros(3, dtype=torch.float64)}
    write_safetensors(path, model.state_dict() | beside, {"ulmus": json.dumps(info)})


def write_safetensors(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    """Writes a safetensors file according to its specification."""
    names = {torch.float32: "F32", torch.int64: "I64", torch.float64: "F64"}
    header: dict[str, Any] = {"__metadata__": metadata}
    data = b""
    for name, tensor in tensors.items():
        content = tensor.contiguous().numpy().tobytes()
        header[name] = {
            "dtype": names[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [len(data), len(data) + len(content)],
        }
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


@pytest.mark.parametrize("name, head", [("conv3", "linear"), ("resnet20", "cosine")])
def test_weights_fit_the_models(tmp_path: Path, name: str, head: str) -> None:
    model = ulmus.models.make_model(name, channels=1, classes=3, head=head).eval()
    info = {"model": name, "head": head, "channels": 1, "classes": 3, "class_names": list("abc"), "mean": [0.5]}
    info |= {"stddev": [0.25], "loss": "elm:lambda=0.5,max_margin=0.5,scale=30+drw:from=0.8,beta=0.9999", "seed": 0}
    (tmp_path / "checkpoints").mkdir()
    write_checkpoint(tmp_path / "checkpoints" / "elm.seed0.safetensors", model, info)
    write_checkpoint(tmp_path / "checkpoints" / "ce.seed1.safetensors", model, info | {"loss": "ce:scale=1", "seed": 1})
    loaded = ulmus.load_model(tmp_path, loss="elm:lambda=0.5+drw")
    images = torch.randint(256, (4, 1, 28, 28), dtype=torch.uint8)
    assert loaded(loaded.preprocess(images)).equal(model((images / 255 - 0.5) / 0.25))
    assert (loaded.loss, loaded.scale, loaded.class_names) == ("elm:lambda=0.5+drw", 30.0, ["a", "b", "c"])
    assert ulmus.load_model(tmp_path, seed=1).scale == 1.0
    weights = ulmus.load_weights(tmp_path / "checkpoints" / "ce.seed1.safetensors")
    assert weights.keys() == model.state_dict().keys()
    with pytest.raises(ValueError, match="2 checkpoints .* match, expected one; give loss and seed: ce, seed 1; elm"):
        ulmus.load_model(tmp_path)
    with pytest.raises(ValueError, match="0 checkpoints"):
        ulmus.load_model(tmp_path, loss="la")


def test_checkpoints_may_share_a_frozen_backbone(tmp_path: Path) -> None:
    model = ulmus.models.make_model("conv3", channels=1, classes=3).eval()
    backbone = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("fc.")}
    head = {name: tensor for name, tensor in model.state_dict().items() if name.startswith("fc.")}
    info = {"model": "conv3", "head": "linear", "channels": 1, "classes": 3, "class_names": list("abc"), "mean": [0.5]}
    info |= {"stddev": [0.25], "loss": "ce:scale=1", "seed": 0}
    (tmp_path / "checkpoints").mkdir()
    checkpoint = tmp_path / "checkpoints" / "ce.seed0.safetensors"
    write_safetensors(tmp_path / "backbone.safetensors", backbone, {})
    sha256 = ulmus.models._backbone_sha256(backbone)
    write_safetensors(checkpoint, head, {"ulmus": json.dumps(info | {"backbone_sha256": sha256})})
    images = torch.rand(2, 1, 28, 28)
    assert ulmus.load_model(tmp_path)(images).equal(model(images))
    assert ulmus.load_weights(checkpoint).keys() == model.state_dict().keys()
    write_safetensors(tmp_path / "backbone.safetensors", backbone | {"conv1.weight": backbone["conv1.weight"] + 1}, {})
    with pytest.raises(ValueError, match="is not the backbone"):
        ulmus.load_model(tmp_path)
    (tmp_path / "backbone.safetensors").unlink()
    with pytest.raises(ValueError, match="holds only a head"):
        ulmus.load_weights(checkpoint)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    model = ulmus.models.make_model("conv3", channels=1)
    write_checkpoint(path, model, {})
    whole = path.read_bytes()
    for content, message in [
        (whole[:-9], "does not fit its place"),
        (b"\xff" * 8 + whole, "header is longer"),
        (b"", "header"),
    ]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"a.safetensors' is damaged: .*{message}"):
            ulmus.load_weights(path)
    with pytest.raises(ValueError, match="unknown model 'resnet21'; did you mean 'resnet20'?"):
        ulmus.models.make_model("resnet21")


def program() -> str:
    """Returns the path of the program `ulmus`; skips if it is not built."""
    candidates = [
        os.environ.get("ULMUS_PROGRAM"),
        *(str(SOURCE / "build" / preset / "ulmus") for preset in ("test", "release")),
    ]
    for candidate in candidates:
        if candidate and Path(candidate).exists():
            return candidate
    pytest.skip("the program is not built: set ULMUS_PROGRAM to it")


def images(part: str) -> torch.Tensor:
    raw = gzip.open(FASHION_MNIST / f"{part}-images-idx3-ubyte.gz").read()
    return torch.tensor(np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 1, 28, 28))


def labels(part: str) -> np.ndarray:
    raw = gzip.open(FASHION_MNIST / f"{part}-labels-idx1-ubyte.gz").read()
    return np.frombuffer(raw, np.uint8, offset=8).astype(np.int64)


@pytest.mark.skipif(not FASHION_MNIST.exists(), reason="Fashion-MNIST is not installed")
def test_a_trained_model_judges_as_the_program_said(tmp_path: Path) -> None:
    command = [program(), "train", "--data", "fashion-mnist", "--imbalance", "exp:1000", "--loss", "elm:lambda=0.5+drw"]
    subprocess.run([*command, "--epochs", "1", "--out", str(tmp_path / "run")], check=True, capture_output=True)
    run = ulmus.read_run(tmp_path / "run")
    chosen = ulmus.make_long_tailed(labels("train"), "exp:1000", run.config["split-seed"])
    assert chosen.tolist() == run.split["train"]
    assert np.bincount(labels("train")[chosen]).tolist() == run.split["train_counts"]

    model = ulmus.load_model(tmp_path / "run")
    with torch.no_grad():
        logits = torch.cat([model(model.preprocess(part)) for part in images("t10k").split(1000)])
    judged = ulmus.metrics.evaluate(logits.numpy(), labels("t10k"), run.split["train_counts"], scale=model.scale)
    said = run.results[0]["test"]
    # The program may use another build of the convolutions, which changes the last bits of a logit.
    for name in ("top1", "top5", "balanced_accuracy", "macro_f1", "nll", "ece"):
        assert judged[name] == pytest.approx(said[name], abs=5e-4), name
    assert judged.keys() == said.keys()
