"""Checks of the arguments of a module's forward call."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from . import _kernel
from ._kernel import Context, LossHandle

__all__ = ["CheckedBatch", "check_batch", "check_context", "describe"]


def describe(value: object) -> str:
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)} on {value.device}"


@dataclasses.dataclass
class CheckedBatch:
    """A checked batch with one row per sample."""

    logits: Tensor  #: [N, C]
    labels: Tensor  #: [N], int64; meaningless with soft targets
    sample_weights: Tensor | None  #: [N], float64
    targets: Tensor | None  #: [N, C], soft targets
    shape: torch.Size | None  #: original shape of the labels if it is not [N]

    def unflatten(self, value: Tensor) -> Tensor:
        """Reshapes per-sample losses to the shape of the labels; returns a reduced loss unchanged."""
        return value if self.shape is None or value.dim() == 0 else value.reshape(self.shape)


def _as_rows(tensor: Tensor) -> Tensor:
    """Reshapes ``[N, C, d1, ...]`` to ``[N * d1 * ..., C]`` and ``[C]`` to ``[1, C]``."""
    return tensor.unsqueeze(0) if tensor.dim() == 1 else tensor.movedim(1, -1).reshape(-1, tensor.shape[1])


def check_batch(handle: LossHandle, logits: Tensor, labels: Tensor, sample_weights: Tensor | None) -> CheckedBatch:
    classes = handle.classes
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        raise TypeError(f"the logits are {describe(logits)}, expected a floating point tensor [N, {classes}]")
    shape = logits.shape
    if len(shape) == 0:
        raise ValueError(f"the logits are {describe(logits)}, expected floating point [N, {classes}]")
    axis = 0 if len(shape) == 1 else 1
    if shape[axis] != classes:
        hint = "; classes come second, as in PyTorch: logits.movedim(-1, 1)" if shape[-1] == classes else ""
        raise ValueError(
            f"the logits have {shape[axis]} columns, expected one for each of the {classes} class counts{hint}"
        )
    samples = shape[:axis] + shape[axis + 1 :]
    soft = isinstance(labels, Tensor) and labels.is_floating_point() and labels.shape == shape
    if not soft:
        _check_samples(labels, samples, "labels")
        if labels.dtype is not torch.int64:
            if labels.is_floating_point() or labels.is_complex() or labels.dtype is torch.bool:
                raise TypeError(
                    f"the labels are {describe(labels)}, expected whole numbers {list(samples)} (labels.long()), "
                    f"or soft targets {list(shape)}"
                )
            labels = labels.long()
    elif not handle.takes_soft_targets:
        raise ValueError(
            f"the loss '{handle.text}' takes no soft targets, because it is not defined for them; give labels, or mix "
            "two losses: lam * loss(z, a) + (1 - lam) * loss(z, b)"
        )
    if not (labels.is_cpu and logits.is_cpu) and labels.device != logits.device:
        raise ValueError(f"the labels are on {labels.device} and the logits on {logits.device}, expected one device")
    if sample_weights is not None:
        _check_samples(sample_weights, samples, "sample weights")
        if sample_weights.requires_grad:
            raise ValueError("the sample weights require a gradient, which the losses do not compute; detach them")
        sample_weights = sample_weights.to(torch.float64).reshape(-1).contiguous()
    targets = None
    if soft:
        targets = labels if len(shape) == 2 else _as_rows(labels)
        if targets.is_cpu and not _kernel.is_compiling():
            _check_not_negative(targets, "soft target")
            _check_not_negative(sample_weights, "sample weight")
    if len(shape) == 2:
        return CheckedBatch(logits, labels, sample_weights, targets, None)
    return CheckedBatch(_as_rows(logits), labels.reshape(-1), sample_weights, targets, samples)


def _check_samples(values: Tensor, shape: torch.Size, what: str) -> None:
    if not isinstance(values, Tensor):
        raise TypeError(f"the {what} are {describe(values)}, expected a tensor {list(shape)}")
    if values.shape != shape:
        raise ValueError(f"the {what} are {describe(values)}, expected {list(shape)}, one for each row of logits")


def _check_not_negative(values: Tensor | None, what: str) -> None:
    if values is None:
        return
    wrong = ~((values >= 0) & values.isfinite())
    if wrong.any():
        position = [int(index) for index in wrong.nonzero()[0]]
        value = values[tuple(position)].item()
        raise ValueError(f"the {what} at position {position} is {value}, expected a finite number of at least 0")


def check_context(
    handle: LossHandle,
    batch: CheckedBatch,
    training: bool,
    features: Tensor | None,
    head: Any,
    offsets: Tensor | None,
    noise: Tensor | None,
) -> Context:
    """Returns ``[features, weight, bias, offsets, noise]``, checked, with weight and bias of the head. Features, head
    and offsets that the loss does not need are None."""
    needs = handle.needs
    if not needs:
        return _kernel.NO_CONTEXT
    rows, classes = batch.logits.shape
    parameters: Any = (head.weight, head.bias) if isinstance(head, torch.nn.Module) else head or (None, None)
    weight: Tensor | None = parameters[0]
    bias: Tensor | None = parameters[1]
    features = features if needs & _kernel.FEATURES else None
    offsets = offsets if needs & _kernel.OFFSETS else None
    if not needs & _kernel.HEAD:
        weight = bias = None
    elif weight is not None and bias is None:
        bias = weight.new_zeros(classes)
    if batch.shape is not None:
        features, offsets, noise = (None if x is None else _as_rows(x) for x in (features, offsets, noise))
    width = features.shape[-1] if features is not None else 0
    shapes = [(rows, width), (classes, width), (classes,), (rows, classes), (rows, classes)]
    names = ["features", "weight of the head", "bias of the head", "offsets", "noise"]
    context = [features, weight, bias, offsets, noise]
    for name, tensor, shape in zip(names, context, shapes):
        if tensor is not None and tuple(tensor.shape) != shape:
            raise ValueError(f"the {name} came as {describe(tensor)}, expected {list(shape)}")
    if handle.active or (training and needs & _kernel.STATE):
        if needs & _kernel.FEATURES and features is None and offsets is None:
            raise ValueError(f"the loss '{handle.text}' needs the input features of the head; give features=")
        if needs & _kernel.HEAD and weight is None:
            raise ValueError(f"the loss '{handle.text}' needs the linear head; give head=, a module or (weight, bias)")
    return context
