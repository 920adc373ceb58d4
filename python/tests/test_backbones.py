"""Export of backbones from timm and torchvision to files for the program."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from ulmus import backbones  # noqa: E402


class _Network(torch.nn.Module):
    """A network with a classifier, like torchvision's."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 6, 3)
        self.fc = torch.nn.Linear(6, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.conv(images).relu().mean([2, 3]))


class _Unscriptable(_Network):
    def forward(self, images: torch.Tensor, *more: object) -> torch.Tensor:
        return super().forward(images)


@pytest.fixture
def fake_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces torchvision with a stand-in that has one network, so that the tests need no package and no download."""
    preset = types.SimpleNamespace(crop_size=[32], mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    weights = types.SimpleNamespace(DEFAULT=types.SimpleNamespace(transforms=lambda: preset))
    models = types.SimpleNamespace(
        list_models=lambda: ["tiny", "unscriptable"],
        get_model_weights=lambda name: weights,
        get_model=lambda name, weights=None: _Network() if name == "tiny" else _Unscriptable(),
    )
    monkeypatch.setitem(sys.modules, "torchvision", types.SimpleNamespace(models=models))
    monkeypatch.setitem(sys.modules, "timm", None)


def test_file_holds_the_features_and_the_facts(fake_torchvision: None, tmp_path: Path) -> None:
    backbone = backbones.make_backbone("tiny", weights=None)
    assert backbones.save_backbone(backbone, tmp_path / "tiny.pt") == 6
    extra = {"ulmus.json": ""}
    script = torch.jit.load(tmp_path / "tiny.pt", _extra_files=extra)
    facts = json.loads(extra["ulmus.json"])
    assert facts["name"] == "tiny" and facts["image_size"] == 32
    assert facts["mean"] == [0.1, 0.2, 0.3] and facts["stddev"] == [0.5, 0.6, 0.7]
    images = torch.randn(3, 3, 32, 32)
    assert torch.equal(script(images), backbone.module(images))
    assert script(images).shape == (3, 6)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.pt"]


def test_command_and_its_mistakes(
    fake_torchvision: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(_Network().state_dict(), "tiny.pth")
    assert backbones.main(["tiny", "--weights", "tiny.pth"]) == 0
    assert "tiny.pt: tiny of torchvision, 6 features of 32x32" in capsys.readouterr().out
    torch.save({"conv.weight": torch.zeros(1)}, "other.pth")
    for arguments, message in [
        (["nothing"], "torchvision has no network 'nothing'; timm is not installed"),
        (["tiny", "--source", "timm"], "timm is not installed"),
        (["tiny", "--weights", "none.pth"], "none.pth"),
        (["tiny", "--weights", "other.pth"], "the weights 'other.pth' do not fit tiny"),
        (["unscriptable", "--weights", "tiny.pth"], "unscriptable cannot be scripted"),
        (["tiny", "--weights", "tiny.pth", "--out", "none/tiny.pt"], "none"),
    ]:
        assert backbones.main(arguments) == 3
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1, error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.pth", "tiny.pt", "tiny.pth"]


@pytest.mark.parametrize("source,name", [("torchvision", "mobilenet_v3_small"), ("timm", "mobilenetv3_small_100")])
def test_real_libraries(source: str, name: str, tmp_path: Path) -> None:
    pytest.importorskip(source, exc_type=Exception)
    backbone = backbones.make_backbone(name, source=source, weights=None)
    assert backbones.save_backbone(backbone, tmp_path / "b.pt") >= 576
