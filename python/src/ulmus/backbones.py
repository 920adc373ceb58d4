"""Turns a network of timm or torchvision into a backbone for ``ulmus train --model torchscript:FILE``.

    python -m ulmus.backbones mobilenetv3_small_100 --out mobilenet.pt
    ulmus compare --data folder:photos --model torchscript:mobilenet.pt --freeze backbone

The file holds the network without its classifier, and its name, image size, mean and standard deviation, which
``ulmus`` takes as defaults. The TorchScript module is compared with the network that it was made from.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Backbone", "make_backbone", "save_backbone"]

_IMAGENET_MEAN = [0.485, 0.456, 0.406]
_IMAGENET_STDDEV = [0.229, 0.224, 0.225]
#: Largest difference of a feature from that of the original network, relative to the largest feature.
_TOLERANCE = 1e-5


@dataclasses.dataclass
class Backbone:
    """A network without its classifier: images ``[N, 3, H, W]``, normalised, to features ``[N, D]``."""

    module: nn.Module
    name: str
    source: str  #: "timm" or "torchvision"
    image_size: int
    mean: list[float]
    stddev: list[float]
    #: "pretrained", the name of a file, or "random".
    weights: str


def _library(source: str) -> Any:
    try:
        return importlib.import_module(source)
    except ImportError as error:
        raise ImportError(f"{source} is not installed ({error}); pip install {source}") from None
    except Exception as error:  # a build of torchvision for another version of PyTorch fails with RuntimeError
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        release = f"install the release for PyTorch {torch.__version__}"
        raise ImportError(f"{source} cannot be imported ({reason}); {release}") from None


def _source_of(name: str) -> str:
    reasons = []
    for source in ("torchvision", "timm"):
        try:
            library = _library(source)
        except ImportError as error:
            reasons.append(str(error))
            continue
        names = library.models.list_models() if source == "torchvision" else library.list_models()
        if name in names:
            return source
        reasons.append(f"{source} has no network {name!r}")
    raise ValueError("; ".join(reasons))


def _without_classifier(network: nn.Module) -> nn.Module:
    """Replaces the last linear layer of a torchvision network by the identity."""
    for attribute in ("fc", "classifier", "heads", "head"):
        layer = getattr(network, attribute, None)
        if isinstance(layer, nn.Linear):
            setattr(network, attribute, nn.Identity())
            return network
        if isinstance(layer, nn.Sequential) and isinstance(layer[-1], nn.Linear):
            layer[-1] = nn.Identity()
            return network
    raise ValueError(f"{type(network).__name__} has no linear classifier at its end, so its features are not known")


def make_backbone(
    name: str,
    *,
    source: str | None = None,
    weights: str | os.PathLike[str] | None = "pretrained",
    image_size: int | None = None,
) -> Backbone:
    """The network ``name`` of timm or torchvision without its classifier, in evaluation mode.

    ``weights`` is "pretrained" (the library downloads them), a file of the network's state dict (read without executing
    anything), or None for random ones. ``source`` is needed only where both libraries have the name: torchvision is
    preferred. Raises ValueError for an unknown name or weights that do not fit, ImportError for a missing library.
    """
    if source not in (None, "timm", "torchvision"):
        raise ValueError(f"unknown source {source!r}, expected 'timm' or 'torchvision'")
    source = source or _source_of(name)
    library = _library(source)
    pretrained = weights == "pretrained"
    if source == "timm":
        network = library.create_model(name, pretrained=pretrained, scriptable=True)
        config = library.data.resolve_model_data_config(network)
        size, mean, stddev = config["input_size"][-1], list(config["mean"]), list(config["std"])
    else:
        enum = library.models.get_model_weights(name)
        network = library.models.get_model(name, weights=enum.DEFAULT if pretrained else None)
        preset = enum.DEFAULT.transforms()
        size = preset.crop_size[0] if isinstance(preset.crop_size, list | tuple) else preset.crop_size
        mean, stddev = list(preset.mean), list(preset.std)
    if weights is not None and not pretrained:
        state = torch.load(weights, map_location="cpu", weights_only=True)
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            reason = str(error).split("\n")[1].strip() if "\n" in str(error) else str(error)
            raise ValueError(f"the weights {os.fspath(weights)!r} do not fit {name}: {reason}") from None
    if source == "timm":
        network.reset_classifier(0)
    else:
        network = _without_classifier(network)
    return Backbone(
        module=network.eval(),
        name=name,
        source=source,
        image_size=image_size or size,
        mean=mean or _IMAGENET_MEAN,
        stddev=stddev or _IMAGENET_STDDEV,
        weights="random" if weights is None else os.fspath(weights),
    )


def save_backbone(backbone: Backbone, path: str | os.PathLike[str]) -> int:
    """Writes a backbone as a TorchScript file with its facts, atomically, and returns the number of features D.

    Raises ValueError if the network is not scriptable, does not give features ``[N, D]``, or if the script differs from
    the network by more than 1e-5 of the largest feature on random images.
    """
    images = torch.randn(2, 3, backbone.image_size, backbone.image_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        expected: Tensor = backbone.module(images)
        if not isinstance(expected, Tensor) or expected.dim() != 2:
            shape = list(expected.shape) if isinstance(expected, Tensor) else type(expected).__name__
            raise ValueError(f"{backbone.name} gives {shape} for 2 images, expected features [2, D]")
        try:
            scripted = torch.jit.script(backbone.module)
        except Exception as error:
            raise ValueError(f"{backbone.name} cannot be scripted: {str(error).strip().splitlines()[0]}") from error
        difference = float((scripted(images) - expected).abs().max() / expected.abs().max().clamp(min=1e-12))
    if not difference <= _TOLERANCE:
        raise ValueError(f"the script of {backbone.name} differs from the network by {difference:.2g} of its features")
    facts = {
        "name": backbone.name,
        "image_size": backbone.image_size,
        "mean": backbone.mean,
        "stddev": backbone.stddev,
        "weights": backbone.weights,
    }
    target = Path(path)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=target.name + ".")
    os.close(handle)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.jit.save(scripted, temporary, _extra_files={"ulmus.json": json.dumps(facts).encode()})
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
    return int(expected.shape[1])


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def main(arguments: list[str] | None = None) -> int:
    """The command ``python -m ulmus.backbones``; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m ulmus.backbones",
        description="Writes a network of timm or torchvision as a backbone for 'ulmus train --model torchscript:FILE'.",
    )
    parser.add_argument("name", help="of the network, such as resnet50 or mobilenetv3_small_100")
    parser.add_argument("--out", metavar="FILE", help="default: NAME.pt")
    parser.add_argument("--source", choices=["timm", "torchvision"], help="default: the one that has the name")
    parser.add_argument(
        "--weights", default="pretrained", metavar="FILE", help="a state dict instead of the published weights"
    )
    parser.add_argument("--image-size", type=int, metavar="N", help="default: that of the published weights")
    given = parser.parse_args(arguments)
    out = given.out or f"{given.name}.pt"
    try:
        backbone = make_backbone(given.name, source=given.source, weights=given.weights, image_size=given.image_size)
        width = save_backbone(backbone, out)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        print(f"ulmus.backbones: {reason}", file=sys.stderr)
        return 3
    print(f"{out}: {backbone.name} of {backbone.source}, {width} features of {backbone.image_size}x{backbone.image_size}")
    print(f"use it with: ulmus compare --data folder:photos --model torchscript:{out} --freeze backbone")
    return 0


if __name__ == "__main__":
    sys.exit(main())
