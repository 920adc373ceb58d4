"""The C++ loss behind a module: the values that formulas and compiled graphs read from it, and calls of its CPU
kernel."""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

# Imported after torch, so that the extension uses PyTorch's OpenMP runtime instead of loading a second one.
from . import _core, _family

#: Numbers in the C interface of the element types that have a kernel.
DTYPES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}

#: Bits of ``LossHandle.needs``: what a loss needs besides logits and labels.
FEATURES, HEAD, STATE, OFFSETS = 1, 2, 4, 8

#: Numbers of the reductions in the C interface. ``none`` is passed as the sum, so that each row of the gradient is the
#: gradient of the loss of its sample.
REDUCTIONS = {"mean": 0, "weighted-mean": 1, "sum": 2, "none": 2}

#: A batch with fewer logits is computed on the calling thread.
_PARALLEL_LOGITS = 1 << 15

#: Features, weight and bias of the head, offsets, noise; None for inputs that the loss does not need.
Context = list[Tensor | None]
NO_CONTEXT: Context = [None] * 5


class LossHandle:
    """A loss of the family for one training set, with the settings of its module. Pickles and copies are
    independent."""

    def __init__(
        self,
        text: str,
        class_counts: list[int],
        *,
        reduction: str | None = None,
        ignore_index: int = -100,
        seed: int = 0,
    ) -> None:
        self.class_counts = class_counts
        self.ignore_index = ignore_index
        self.seed = seed
        self.epoch: tuple[int, int] | None = None
        self.replaced_weights: list[float] | None = None  # set by set_class_weights
        self._create(text)
        self.reduction: str = reduction or list(REDUCTIONS)[self.core.reduction]

    def _create(self, text: str) -> None:
        self.core = _core.Loss(text, self.class_counts)
        self.core.set_seed(self.seed)
        self.text = self.core.text
        self.name = _family.loss_name(self.text)
        self.keys = _family.key_values(self.text)
        self.needs = self.core.needs
        facts = _family.table()["losses"][self.name]
        self.is_sum: bool = facts["is_sum"]
        self.takes_soft_targets: bool = facts["takes_soft_targets"]
        self.classes = len(self.class_counts)
        self.total = sum(self.class_counts)
        self.state_size = len(self.core.state())  # 0 if it depends on the width of the features
        #: Mutated by graphs that update the state, so that the compiler keeps the order of updates and reads.
        self.clock = torch.zeros(1, dtype=torch.int64, device="cpu")
        smallest = min(count for count in self.class_counts if count > 0)
        self._numbers = {
            "counts": _float64(count or smallest for count in self.class_counts),
            "samples": _float64(self.class_counts),
        }
        self.id = next(_ids)
        handles[self.id] = self
        self._refresh()

    def _refresh(self) -> None:
        """Copies the values that compiled code and formulas cannot read from the C++ loss."""
        self._numbers["weights"] = _float64(self.core.class_weights())
        start = self.keys.get("from", 0.0)
        epoch, epochs = self.epoch or (0, 1_000_000)
        #: False while a loss with the key ``from`` is still plain cross entropy.
        self.active = epoch >= min(math.floor(start * epochs + 0.5), epochs - 1)
        self._tables: dict[Any, Tensor] = {}

    def __getstate__(self) -> dict[str, Any]:
        names = ("text", "class_counts", "reduction", "ignore_index", "seed", "epoch", "replaced_weights")
        return {name: getattr(self, name) for name in names} | {"state": self.core.state()}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        state, text = saved.pop("state"), saved.pop("text")
        self.__dict__.update(saved)
        self._create(text)
        if self.epoch is not None:
            self.core.set_epoch(*self.epoch)
        if self.replaced_weights is not None:
            self.core.set_class_weights(self.replaced_weights)
        if state:
            self.core.set_state(state)
        self._refresh()

    def set_epoch(self, epoch: int, epochs: int) -> None:
        self.core.set_epoch(epoch, epochs)
        self.epoch = (epoch, epochs)
        self._refresh()

    def set_class_weights(self, weights: list[float]) -> None:
        self.core.set_class_weights(weights)
        self.replaced_weights = weights
        self._refresh()

    def table(self, name: str, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Returns ``counts``, ``samples`` or ``weights`` of the classes, ``[C]``, cached for each device and dtype. In
        ``counts`` a class without samples has the count of the rarest class with samples."""
        if is_compiling():
            return self._numbers[name].to(device, dtype)
        key = (name, device, dtype)
        if key not in self._tables:
            self._tables[key] = self._numbers[name].to(device, dtype)
        return self._tables[key]

    def row_weights(self, labels: Tensor, sample_weights: Tensor | None, dtype: torch.dtype) -> Tensor:
        """Returns class weight times sample weight of each sample, ``[N]``; 0 for ignored samples."""
        valid = labels != self.ignore_index
        weights = self.table("weights", labels.device, dtype).index_select(0, torch.where(valid, labels, 0)) * valid
        return weights if sample_weights is None else weights * sample_weights.to(dtype)

    def divisor(self, labels: Tensor, sample_weights: Tensor | None, dtype: torch.dtype) -> Tensor:
        """Returns the number by which a mean divides the sum of the losses."""
        if self.reduction == "mean":
            total = (labels != self.ignore_index).sum().to(dtype)
        else:
            total = self.row_weights(labels, sample_weights, dtype).sum()
        return total.clamp_min(torch.finfo(dtype).tiny)


_ids = itertools.count()
#: Handles by id; compiled graphs store the id.
handles: weakref.WeakValueDictionary[int, LossHandle] = weakref.WeakValueDictionary()

if hasattr(torch, "compiler") and hasattr(torch.compiler, "is_compiling"):
    is_compiling = torch.compiler.is_compiling
else:

    def is_compiling() -> bool:
        return False


def _float64(values: Iterable[float]) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float64, device="cpu")


def _threads(logits: Tensor) -> int:
    return torch.get_num_threads() if logits.numel() >= _PARALLEL_LOGITS else 1


def _to_double(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.detach().to("cpu", torch.float64).contiguous()


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _addresses(context: Context, gradients: Context) -> list[int]:
    """Returns addresses in the order that the extension expects: features, weight and bias, each followed by its
    gradient, then offsets and noise."""
    pairs = itertools.chain.from_iterable(zip(context, gradients))
    return [_address(tensor) for tensor in (*pairs, *context[3:])]


def _width(features: Tensor | None) -> int:
    return 0 if features is None else features.shape[1]


def _is_distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def spans_processes() -> bool:
    """Returns whether a batch may be divided among several processes."""
    return _is_distributed() and torch.distributed.get_world_size() > 1


def share_of_processes(divisor: Tensor) -> Tensor:
    """Returns the factor that turns the mean over this process's part of the batch into its share of the mean over all
    parts: the divisor of this process over the mean divisor of all processes. The mean of the shares is the mean of the
    whole batch."""
    total = divisor.clone()
    torch.distributed.all_reduce(total)
    return divisor * torch.distributed.get_world_size() / total


def _first_position(rows: int) -> int:
    """Returns the position of this process's first row in the batch of all processes."""
    return torch.distributed.get_rank() * rows if _is_distributed() else 0


def evaluate(
    handle: LossHandle,
    logits: Tensor,
    labels: Tensor,
    sample_weights: Tensor | None,
    gradient: Tensor | None,
    reduction: str,
    value_dtype: torch.dtype,
) -> Tensor:
    """Returns the loss of a checked batch and writes its gradient to `gradient`, contiguous ``[N, C]``."""
    rows, classes = logits.shape
    stride = classes
    if not logits.is_contiguous():
        stride = logits.stride(0)
        if logits.stride(1) != 1 or stride < classes:
            logits, stride = logits.contiguous(), classes
    labels = labels.contiguous()
    losses = torch.empty(rows, dtype=torch.float64, device="cpu") if reduction == "none" else None
    value = torch.empty((), dtype=value_dtype, device="cpu") if losses is None else None
    _core.run_at(
        handle.core,
        DTYPES[logits.dtype],
        rows,
        logits.data_ptr(),
        stride,
        labels.data_ptr(),
        _address(gradient),
        _address(losses),
        _address(sample_weights),
        handle.ignore_index,
        REDUCTIONS[reduction],
        _threads(logits),
        _address(value),
        DTYPES[value_dtype],
    )
    return value if losses is None else losses.to(value_dtype)  # type: ignore[return-value]


def evaluate_with_context(
    handle: LossHandle,
    logits: Tensor,
    labels: Tensor,
    sample_weights: Tensor | None,
    context: Context,
    wanted: tuple[bool, ...],
    reduction: str,
    value_dtype: torch.dtype,
) -> tuple[Tensor, Context]:
    """Returns the loss of a checked batch and its gradients with respect to logits, features, weight and bias. A
    gradient is None unless it is `wanted`."""
    rows = len(logits)
    logits, labels = logits.contiguous(), labels.contiguous()
    doubles = [_to_double(tensor) for tensor in context]
    gradients = [
        torch.zeros_like(double) if want and double is not None else None for double, want in zip(doubles, wanted[1:])
    ]
    gradient = torch.empty_like(logits) if wanted[0] else None
    losses = torch.empty(rows, dtype=torch.float64, device="cpu") if reduction == "none" else None
    value = _core.run_with_context_at(
        handle.core,
        DTYPES[logits.dtype],
        rows,
        logits.data_ptr(),
        handle.classes,
        labels.data_ptr(),
        _address(gradient),
        _address(losses),
        _address(sample_weights),
        handle.ignore_index,
        REDUCTIONS[reduction],
        _threads(logits),
        _addresses(doubles, gradients),
        _width(context[0]),
        _first_position(rows),
    )
    context_gradients = [
        None if made is None or tensor is None else made.to(tensor.dtype) for made, tensor in zip(gradients, context)
    ]
    reduced = torch.tensor(value, dtype=value_dtype, device="cpu") if losses is None else losses.to(value_dtype)
    return reduced, [gradient, *context_gradients]


def apply_update(handle: LossHandle, logits: Tensor, labels: Tensor, context: Context) -> None:
    """Updates the state of a loss with a training batch; with ``torch.distributed`` every process has a part of the
    batch."""
    if logits.is_meta:
        return
    double, targets = _to_double(logits), labels.detach().to("cpu").contiguous()
    doubles = [_to_double(tensor) for tensor in context]
    assert double is not None
    delta = _core.collect_update_at(
        handle.core,
        DTYPES[torch.float64],
        len(double),
        double.data_ptr(),
        handle.classes,
        targets.data_ptr(),
        handle.ignore_index,
        _addresses(doubles, [None, None, None]),
        _width(context[0]),
        _first_position(len(double)),
    )
    if spans_processes():
        total = torch.tensor(delta, dtype=torch.float64, device=logits.device)
        torch.distributed.all_reduce(total)
        delta = total.tolist()
    handle.core.apply_update(delta)


def state_of(handle: LossHandle, width: int) -> Tensor:
    """Returns the state for features of this width, float64 on the CPU. A state that depends on the width is -1
    everywhere before the first update."""
    size = handle.state_size or handle.classes * (1 + width)
    values = handle.core.state()
    if values and len(values) != size:
        made_for = len(values) // handle.classes - 1
        raise ValueError(
            f"the state of loss '{handle.text}' is for features of width {made_for}, but features of width {width} came"
        )
    return torch.tensor(values or [-1.0] * size, dtype=torch.float64, device="cpu")


def offsets_of(handle: LossHandle, labels: Tensor, features: Tensor | None) -> Tensor:
    """Returns the offsets that the library adds to the scaled logits of a batch, random draws or margins computed from
    features: ``[N, C]``, float64."""
    targets, doubles = labels.detach().to("cpu").contiguous(), _to_double(features)
    offsets = torch.empty(len(targets), handle.classes, dtype=torch.float64, device="cpu")
    _core.offsets_at(
        handle.core,
        handle.text,
        handle.class_counts,
        handle.seed,
        handle.epoch or (0, 1_000_000),
        len(targets),
        targets.data_ptr(),
        handle.ignore_index,
        _address(doubles),
        _width(doubles),
        _first_position(len(targets)),
        offsets.data_ptr(),
    )
    return offsets
