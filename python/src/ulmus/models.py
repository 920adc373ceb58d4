"""PyTorch versions of the program's models, for the weights that ``ulmus train`` writes. Names are as in
torchvision."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import _family
from .nn import CosineLinear
from .runs import read_safetensors_header

__all__ = ["Classifier", "load_model", "load_weights", "make_model"]

_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}
_NAMES = ["conv3", "resnet20", "resnet32", "resnet44", "resnet56"]


class Classifier(nn.Module):
    """A backbone with its head ``fc``; the names of the parameters are torchvision's.

    A model from :func:`load_model` also has ``class_names``, ``loss`` (text), ``scale`` (probabilities are
    ``softmax(scale * model(images))``) and the normalisation of its images, which :meth:`preprocess` applies.
    """

    fc: nn.Module
    class_names: list[str]
    loss: str
    scale: float
    mean: list[float]
    stddev: list[float]

    def features(self, images: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        output: Tensor = self.fc(self.features(images))
        return output

    def preprocess(self, images: Tensor) -> Tensor:
        """Converts uint8 images ``[N, channels, height, width]`` to the model's input."""
        mean = torch.tensor(self.mean, device=images.device).view(1, -1, 1, 1)
        stddev = torch.tensor(self.stddev, device=images.device).view(1, -1, 1, 1)
        return (images.float() / 255 - mean) / stddev


def _conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)


class _Conv3(Classifier):
    """Three 3x3 convolutions with batch norm, followed by the mean over height and width."""

    width = 64

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = _conv3x3(channels, 16), _conv3x3(16, 32), _conv3x3(32, 64)
        self.bn1, self.bn2, self.bn3 = nn.BatchNorm2d(16), nn.BatchNorm2d(32), nn.BatchNorm2d(64)

    def features(self, images: Tensor) -> Tensor:
        x = F.relu(self.bn1(F.max_pool2d(self.conv1(images), 2)))
        x = F.relu(self.bn2(F.max_pool2d(self.conv2(x), 2)))
        return F.relu(self.bn3(self.conv3(x))).mean((2, 3))


class _BasicBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv3x3(inputs, outputs, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = _conv3x3(outputs, outputs), nn.BatchNorm2d(outputs)
        self.added = outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.added:  # option A: every second row and column, zeros for the new channels, half of them on each side
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.added // 2, self.added // 2))
        return F.relu(y + x)


class _ResNet(Classifier):
    """The CIFAR ResNets of He et al. 2016 with option A shortcuts."""

    width = 64

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1, self.bn1 = _conv3x3(channels, 16), nn.BatchNorm2d(16)
        self.layer1 = self._layer(16, 16, 1, blocks)
        self.layer2 = self._layer(16, 32, 2, blocks)
        self.layer3 = self._layer(32, 64, 2, blocks)

    @staticmethod
    def _layer(inputs: int, outputs: int, stride: int, blocks: int) -> nn.Sequential:
        rest = [_BasicBlock(outputs, outputs, 1) for _ in range(blocks - 1)]
        return nn.Sequential(_BasicBlock(inputs, outputs, stride), *rest)

    def features(self, images: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(images)))
        return self.layer3(self.layer2(self.layer1(x))).mean((2, 3))  # type: ignore[no-any-return]


def make_model(name: str, channels: int = 3, classes: int = 10, head: str = "linear") -> Classifier:
    """Creates ``conv3``, ``resnet20``, ``resnet32``, ``resnet44`` or ``resnet56`` with a ``linear`` or ``cosine`` head.

    Convolutions are initialised with the Kaiming normal distribution of fan-in, as in ``ulmus train``.
    """
    if name not in _NAMES:
        raise ValueError(f"unknown model '{name}'; {_family.nearest(name, _NAMES)}")
    if head not in ("linear", "cosine"):
        raise ValueError(f"unknown head '{head}'; {_family.nearest(head, ['linear', 'cosine'])}")
    model = _Conv3(channels) if name == "conv3" else _ResNet(channels, int(name.removeprefix("resnet")))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    model.fc = nn.Linear(model.width, classes) if head == "linear" else CosineLinear(model.width, classes)
    return model


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    header, begin = read_safetensors_header(path)
    metadata = header.pop("__metadata__", {})
    data = bytearray(path.read_bytes()[begin:])
    tensors = {}
    for name, entry in header.items():
        dtype, shape, (first, last) = _DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
        count = math.prod(shape)
        if not 0 <= first <= last <= len(data) or last - first != count * torch.empty((), dtype=dtype).element_size():
            raise ValueError(
                f"'{path}' is damaged: tensor '{name}' does not fit its place; restore the file or run again"
            )
        flat = torch.frombuffer(data, dtype=dtype, count=count, offset=first) if count else torch.empty(0, dtype=dtype)
        tensors[name] = flat.reshape(shape).clone()
    return tensors, metadata


def _of_model(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Removes the tensors that training stores in addition to the model."""
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(("optimizer.", "loss."))}


def _backbone_sha256(tensors: dict[str, Tensor]) -> str:
    """Returns the hash that the program computes: of names and values as float32, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        if not name.endswith(".num_batches_tracked"):
            digest.update(name.encode())
            digest.update(tensors[name].float().numpy().tobytes())
    return digest.hexdigest()


def _read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads the tensors of a model, including a backbone that the checkpoints of a run share, and its metadata."""
    tensors, metadata = _read_safetensors(path)
    info = json.loads(metadata.get("ulmus", "{}"))
    if expected := info.get("backbone_sha256"):
        shared = path.resolve().parent.parent / "backbone.safetensors"
        if not shared.exists():
            raise ValueError(f"checkpoint '{path}' holds only a head; its backbone '{shared}' is missing, copy it too")
        backbone, _ = _read_safetensors(shared)
        if _backbone_sha256(backbone) != expected:
            raise ValueError(f"'{shared}' is not the backbone that checkpoint '{path}' was trained on; restore it")
        tensors |= backbone
    return _of_model(tensors), info


def load_weights(checkpoint: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Returns the state dict in a checkpoint of ``ulmus train``, for ``model.load_state_dict`` of a model with
    torchvision's names."""
    return _read_checkpoint(Path(checkpoint))[0]


def load_model(path: str | os.PathLike[str], loss: str | None = None, seed: int | None = None) -> Classifier:
    """Loads a trained model, ready to predict: from a checkpoint file, or from a run folder. A run folder with several
    checkpoints also needs the loss and the seed.

    >>> model = ulmus.load_model("runs/first", loss="elm:lambda=0.5+drw", seed=0)
    >>> probabilities = (model.scale * model(model.preprocess(images))).softmax(1)

    Raises ``ValueError``, listing the checkpoints, if not exactly one checkpoint matches.
    """
    from . import _core

    folder = Path(path)
    files = sorted((folder / "checkpoints").glob("*.safetensors")) if folder.is_dir() else [folder]
    found = []
    wanted = None if loss is None else _core.Loss(loss, [1]).text
    for file in files:
        tensors, info = _read_checkpoint(file)
        if not info:
            raise ValueError(f"checkpoint '{file}' was not written by ulmus")
        info["text"] = _core.Loss(info["loss"], [1]).text
        if wanted in (None, info["text"]) and seed in (None, info["seed"]):
            found.append((tensors, info))
    if len(found) != 1:
        names = [f"{info['text']}, seed {info['seed']}" for _, info in found] or [file.name for file in files]
        choice = "; ".join(names) or "there is none"
        raise ValueError(f"{len(found)} checkpoints of '{folder}' match, expected one; give loss and seed: {choice}")
    tensors, info = found[0]
    model = make_model(info["model"], info["channels"], info["classes"], info["head"])
    model.load_state_dict(tensors)
    model.class_names, model.mean, model.stddev = info["class_names"], info["mean"], info["stddev"]
    model.loss, model.scale = info["text"], _core.Loss(info["loss"], [1]).scale
    return model.eval()
