"""The family as ``torch.nn.Module``s: forward and gradient in one sweep of the fused kernel on the CPU."""

from __future__ import annotations

import itertools
import math
import warnings
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, cast

import torch
from torch import Tensor

# After torch, so that the extension finds PyTorch's OpenMP runtime instead of bringing a second one.
from . import _core, _family
from .composed import Batch, composed_losses

__all__ = ["DeferredReweighting", "Loss", "composed_loss"]

#: Element types with a kernel, by their number in the C interface.
_DTYPES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}

#: What a loss looks at beside logits and labels.
_FEATURES, _HEAD, _STATE, _OFFSETS = 1, 2, 4, 8

#: Members whose mean is not the sum over a divisor: a part of them has no class weights, or looks at the whole batch.
_NOT_A_SUM = {"poly1", "lm-softmax", "lade"}

_NARROW = (torch.bfloat16, torch.float16)

#: Reductions by their number in the C interface. There ``none`` is the sum: its gradient has in each row that of its own loss.
_REDUCTIONS = {"mean": 0, "weighted-mean": 1, "sum": 2, "none": 2}

#: A batch with fewer logits runs on the calling thread, whatever it is told.
_PARALLEL_LOGITS = 1 << 15

if hasattr(torch, "compiler") and hasattr(torch.compiler, "is_compiling"):
    _is_compiling = torch.compiler.is_compiling
else:

    def _is_compiling() -> bool:
        return False


def _autocasts(device_type: str) -> bool:
    try:
        return torch.is_autocast_enabled(device_type)
    except TypeError:  # before PyTorch 2.4
        return torch.is_autocast_cpu_enabled() if device_type == "cpu" else torch.is_autocast_enabled()


def _describe(value: object) -> str:
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)} on {value.device}"


class Loss(torch.nn.Module):
    """A loss of the family for one training set.

    >>> loss = ulmus.Loss("elm:lambda=0.5", class_counts=[5000, 500, 50])
    >>> loss(logits, labels).backward()

    Args:
        loss: ``name[:key=value,...][+rule[:key=value,...]]``; ``ulmus losses`` lists them.
        class_counts: training samples of each class, ``[C]``.
        reduction: ``"weighted-mean"``, the sum of the weighted losses over the sum of the weights (what PyTorch's cross
            entropy does with ``weight``); ``"mean"``, over the number of samples; ``"sum"``; ``"none"``, a loss for each
            sample. By default that of the loss's definition.
        ignore_index: samples with this label cost nothing.
        seed: of the random draws of ``gcl`` and ``eql``.

    Some losses look at more than logits and labels, and take it by keyword; the others pass over it:

        features: ``[N, D]``, what goes into the head (``ib``, ``ib-focal``, ``dro-lt``, ``lmd``, ``tam``).
        head: the linear head, a module or ``(weight, bias)`` (``lmd``).
        offsets: ``[N, C]``, margins of graph nodes, in place of those that ``tam`` makes itself.
        noise: ``[N, C]``, in place of the random draws.

    A loss that carries a state (``seesaw``, ``loce``, running means, the step of random draws) moves it once a call in
    training mode, by what all processes of ``torch.distributed`` saw; it is in the state dict as ``carried``.

    ``loss(logits, labels, sample_weights=None)`` takes logits ``[N, C]`` as the head gives them, before the loss's own
    scale, int64 labels ``[N]`` and weights ``[N]``, and gives a scalar (``[N]`` with ``"none"``) of the logits' dtype;
    float32 for 16-bit logits under autocast. float32, float64, bfloat16 and float16 on the CPU run in the kernel, which
    makes the gradient in the forward call, without a copy of contiguous logits; on another device or dtype the same
    formula composed of PyTorch operations takes over, announced once. There is no second derivative.

    Raises ``ValueError`` for an unknown loss or key (with the nearest name), shapes and counts that do not fit, a label
    out of range (with its position); ``TypeError`` for a dtype.
    """

    def __init__(
        self,
        loss: str,
        class_counts: Iterable[Any],
        *,
        reduction: str | None = None,
        ignore_index: int = -100,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not isinstance(loss, str):
            raise TypeError(f"the loss is a {type(loss).__name__}, expected text such as 'elm:lambda=0.5+drw'")
        if reduction is not None and reduction not in _REDUCTIONS:
            raise ValueError(f"unknown reduction {reduction!r}; {_family.nearest(str(reduction), _REDUCTIONS)}")
        self.ignore_index = ignore_index
        self._counts = _family.whole_numbers(class_counts, "class count")
        self._epoch: tuple[int, int] | None = None
        self._weights: list[float] | None = None
        self._carried: list[float] | None = None
        self._seed = seed
        self._make(loss)
        self.reduction: str = reduction or list(_REDUCTIONS)[self._core.reduction]

    def _make(self, text: str) -> None:
        self._core = _core.Loss(text, self._counts)
        self._core.set_seed(self._seed)
        self._text = self._core.text
        self._needs = self._core.needs
        self._is_sum = _family.member_name(self._text) not in _NOT_A_SUM
        self._classes = len(self._counts)
        self._tables: dict[Any, Tensor] = {}
        self._id = next(_ids)
        _losses[self._id] = self

    @property
    def spec(self) -> str:
        """Canonical text: keys at their default left out."""
        return self._text

    @property
    def class_counts(self) -> list[int]:
        """Training samples of each class, ``[C]``."""
        return list(self._counts)

    @property
    def scale(self) -> float:
        """What multiplies the head's output before a softmax, at training and at test time."""
        return self._core.scale

    @property
    def head(self) -> str:
        """The head the loss is made for, ``"linear"`` or ``"cosine"`` (``ulmus.CosineLinear``)."""
        return self._core.head

    @property
    def class_weights(self) -> list[float]:
        """The class weights in force, ``[C]``; ones where there are none."""
        return self._core.class_weights()

    @property
    def initial_bias(self) -> float:
        """Where the biases of a linear head should begin with this loss; 0 for most."""
        return self._core.initial_bias

    @property
    def started(self) -> bool:
        """False while a loss that is plain at first (key ``from``) still is cross entropy."""
        begins = _family.key_values(self._text).get("from", 0.0)
        epoch, epochs = self._epoch or (0, 1_000_000)
        return epoch >= min(math.floor(begins * epochs + 0.5), epochs - 1)

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Tells a deferred rule (``+drw``), and a loss that is plain at first, where training is, ``0 <= epoch < epochs``."""
        self._core.set_epoch(epoch, epochs)
        self._epoch = (epoch, epochs)
        self._tables.clear()

    def set_class_weights(self, weights: Iterable[float]) -> None:
        """Replaces the class weights by these, ``[C]``, each at least 0 and finite."""
        values = [float(weight) for weight in weights]
        self._core.set_class_weights(values)
        self._weights = values
        self._tables.clear()

    def extra_repr(self) -> str:
        return f"{self._text}, classes={self._classes}, reduction={self.reduction}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"

    # The C++ loss is made again from what determines it.

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        state["_carried"] = self._core.state() if self._needs & _STATE else None
        for name in ("_core", "_tables", "_id"):
            del state[name]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._make(self._text)
        self._restore()

    def _restore(self) -> None:
        if self._epoch is not None:
            self._core.set_epoch(*self._epoch)
        if self._weights is not None:
            self._core.set_class_weights(self._weights)
        if self._carried:
            self._core.set_state(self._carried)
        self._tables.clear()

    # What training has changed, as entries of the state dict that no module.to() or .half() touches.

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        if self._epoch is not None:
            destination[prefix + "epoch"] = torch.tensor(self._epoch, dtype=torch.int64)
        if self._weights is not None:
            destination[prefix + "class_weights"] = torch.tensor(self._weights, dtype=torch.float64)
        if self._needs & _STATE:
            destination[prefix + "carried"] = torch.tensor(self._core.state(), dtype=torch.float64)

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        known = {"epoch", "class_weights"} | ({"carried"} if self._needs & _STATE else set())
        if self._needs & _STATE and prefix + "carried" not in state_dict:
            missing_keys.append(prefix + "carried")
        unexpected_keys.extend(key for key in state_dict if key.startswith(prefix) and key[len(prefix) :] not in known)
        epoch = state_dict.get(prefix + "epoch")
        weights = state_dict.get(prefix + "class_weights")
        try:
            if weights is not None:
                self.set_class_weights(weights.tolist())
            if "carried" in known and prefix + "carried" in state_dict:
                self._core.set_state(state_dict[prefix + "carried"].tolist())
            if epoch is not None:
                self.set_epoch(*(int(value) for value in epoch.tolist()))
        except (TypeError, ValueError) as error:
            error_msgs.append(f"the state of {self!r} does not fit: {error}")

    def _apply(self, fn: Any, *args: Any, **kwargs: Any) -> Loss:
        return self  # nothing to move: tables for other devices are made when they are needed

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        sample_weights: Tensor | None = None,
        *,
        features: Tensor | None = None,
        head: Any = None,
        offsets: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        dtype = logits.dtype if isinstance(logits, Tensor) else None
        self._check(logits, labels, sample_weights)
        if sample_weights is not None:
            sample_weights = sample_weights.to(torch.float64).contiguous()
        value_dtype = torch.float32 if dtype in _NARROW and _autocasts(logits.device.type) else logits.dtype
        if self._needs:
            context = self._context(logits, features, head, offsets, noise)
            return self._forward_with_context(logits, labels, sample_weights, context, value_dtype)
        if dtype not in _DTYPES or not logits.is_cpu:
            if not _is_compiling():
                _announce(logits)
            return composed_loss(self, logits, labels, sample_weights).to(value_dtype)
        if dtype is not torch.float16 or self.reduction in ("sum", "none") or not self._is_sum:
            return self._fused(logits, labels, sample_weights, self.reduction, value_dtype)
        # A mean's gradient of 16 bits would be lost below 6e-8 before a gradient scaler sees it; that of the sum is not.
        total = self._fused(logits, labels, sample_weights, "sum", torch.float32)
        return (total / self._divisor(labels, sample_weights, torch.float32)).to(value_dtype)

    def _context(
        self, logits: Tensor, features: Tensor | None, head: Any, offsets: Tensor | None, noise: Tensor | None
    ) -> list[Tensor | None]:
        """Features, weight and bias of the head, offsets, noise: those that this loss looks at."""
        rows, classes = logits.shape
        parts: Any = (head.weight, head.bias) if isinstance(head, torch.nn.Module) else head or (None, None)
        weight: Tensor | None = parts[0]
        bias: Tensor | None = parts[1]
        features = features if self._needs & _FEATURES else None
        if not self._needs & _HEAD:
            weight = bias = None
        elif weight is not None and bias is None:
            bias = weight.new_zeros(classes)
        width = features.shape[-1] if features is not None else 0
        shapes = [(rows, width), (classes, width), (classes,), (rows, classes), (rows, classes)]
        names = ["features", "weight of the head", "bias of the head", "offsets", "noise"]
        context = [features, weight, bias, offsets if self._needs & _OFFSETS else None, noise]
        for name, tensor, shape in zip(names, context, shapes):
            if tensor is not None and tuple(tensor.shape) != shape:
                raise ValueError(f"the {name} came as {_describe(tensor)}, expected {list(shape)}")
        return context

    def _forward_with_context(
        self,
        logits: Tensor,
        labels: Tensor,
        sample_weights: Tensor | None,
        context: list[Tensor | None],
        value_dtype: torch.dtype,
    ) -> Tensor:
        if self.training and self._needs & _STATE:
            self._advance(logits, labels, context)
        if logits.dtype not in _DTYPES or logits.device.type != "cpu":
            _announce(logits)
            return _compose(self, logits, labels, sample_weights, context).to(value_dtype)
        return cast(Tensor, _FusedWithContext.apply(logits, labels, sample_weights, *context, self, value_dtype))

    def _advance(self, logits: Tensor, labels: Tensor, context: list[Tensor | None]) -> None:
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        wide, targets = _wide(logits), labels.detach().to("cpu").contiguous()
        in_double = [_wide(tensor) for tensor in context]
        assert wide is not None
        change = _core.measure_at(
            self._core,
            _DTYPES[torch.float64],
            len(wide),
            wide.data_ptr(),
            self._classes,
            targets.data_ptr(),
            self.ignore_index,
            _addresses(in_double, [None, None, None]),
            _width(context),
            _first_position(len(wide)),
        )
        if distributed and torch.distributed.get_world_size() > 1:
            total = torch.tensor(change, dtype=torch.float64, device=logits.device)
            torch.distributed.all_reduce(total)
            change = total.tolist()
        self._core.advance(change)

    def _check(self, logits: Tensor, labels: Tensor, sample_weights: Tensor | None) -> None:
        if not isinstance(logits, Tensor) or not logits.is_floating_point():
            raise TypeError(f"the logits are {_describe(logits)}, expected a floating point tensor [N, {self._classes}]")
        shape = logits.shape
        if len(shape) != 2:
            raise ValueError(f"the logits are {_describe(logits)}, expected floating point [N, {self._classes}]")
        if shape[1] != self._classes:
            raise ValueError(f"the logits have {shape[1]} columns, expected one for each of the {self._classes} class counts")
        self._check_rows(labels, shape[0], "labels")
        if labels.dtype is not torch.int64:
            raise TypeError(f"the labels are {_describe(labels)}, expected int64 [{shape[0]}]; use labels.long()")
        if not (labels.is_cpu and logits.is_cpu) and labels.device != logits.device:
            raise ValueError(f"the labels are on {labels.device} and the logits on {logits.device}, expected one device")
        if sample_weights is not None:
            self._check_rows(sample_weights, shape[0], "sample weights")
            if sample_weights.requires_grad:
                raise ValueError("the sample weights require a gradient, which the losses do not give; detach them")

    @staticmethod
    def _check_rows(values: Tensor, rows: int, what: str) -> None:
        if not isinstance(values, Tensor):
            raise TypeError(f"the {what} are {_describe(values)}, expected a tensor [{rows}]")
        if len(values.shape) != 1 or values.shape[0] != rows:
            raise ValueError(f"the {what} are {_describe(values)}, expected [{rows}], one for each row of logits")

    def _fused(
        self, logits: Tensor, labels: Tensor, sample_weights: Tensor | None, reduction: str, value_dtype: torch.dtype
    ) -> Tensor:
        wants_gradient = logits.requires_grad and torch.is_grad_enabled()
        if _is_compiling():
            return _compiled(
                logits, labels, sample_weights, self._id, reduction, self.ignore_index, value_dtype, wants_gradient
            )[0]
        if wants_gradient:
            return cast(Tensor, _Fused.apply(logits, (self, labels, sample_weights, reduction, value_dtype)))
        return _evaluate(self, logits, labels, sample_weights, None, reduction, value_dtype)

    def _row_weights(self, labels: Tensor, sample_weights: Tensor | None, dtype: torch.dtype) -> Tensor:
        """``[N]``, 0 for ignored samples."""
        counted = labels != self.ignore_index
        weights = self._table("weights", self.class_weights, labels.device, dtype)
        of_rows = weights.index_select(0, torch.where(counted, labels, 0)) * counted
        return of_rows if sample_weights is None else of_rows * sample_weights.to(dtype)

    def _divisor(self, labels: Tensor, sample_weights: Tensor | None, dtype: torch.dtype) -> Tensor:
        if self.reduction == "mean":
            total = (labels != self.ignore_index).sum().to(dtype)
        else:
            total = self._row_weights(labels, sample_weights, dtype).sum()
        return total.clamp_min(torch.finfo(dtype).tiny)

    def _table(self, name: str, values: list[float], device: torch.device, dtype: torch.dtype) -> Tensor:
        """Numbers of the classes, ``[C]``, kept for each device and dtype."""
        key = (name, device, dtype)
        found = self._tables.get(key)
        if found is None:
            found = self._tables[key] = torch.tensor(values, device=device, dtype=dtype)
        return found


_ids = itertools.count()
#: Losses by the number under which compiled graphs know them.
_losses: weakref.WeakValueDictionary[int, Loss] = weakref.WeakValueDictionary()
_announced: set[tuple[str, torch.dtype]] = set()


def _announce(logits: Tensor) -> None:
    key = (logits.device.type, logits.dtype)
    if key not in _announced:
        _announced.add(key)
        name = str(logits.dtype).removeprefix("torch.")
        warnings.warn(
            f"no fused kernel for {name} logits on {logits.device.type}: the composed formula takes over, slower",
            RuntimeWarning,
            stacklevel=5,
        )


def _evaluate(
    loss: Loss,
    logits: Tensor,
    labels: Tensor,
    sample_weights: Tensor | None,
    gradient: Tensor | None,
    reduction: str,
    value_dtype: torch.dtype,
) -> Tensor:
    """The loss of a checked batch on the CPU; its gradient to `gradient`, contiguous."""
    rows, classes = logits.shape
    stride = classes
    if not logits.is_contiguous():
        stride = logits.stride(0)
        if logits.stride(1) != 1 or stride < classes:
            logits, stride = logits.contiguous(), classes
    labels = labels.contiguous()
    each = torch.empty(rows, dtype=torch.float64) if reduction == "none" else None
    value = torch.empty((), dtype=value_dtype) if each is None else None
    _core.run_at(
        loss._core,
        _DTYPES[logits.dtype],
        rows,
        logits.data_ptr(),
        stride,
        labels.data_ptr(),
        0 if gradient is None else gradient.data_ptr(),
        0 if each is None else each.data_ptr(),
        0 if sample_weights is None else sample_weights.data_ptr(),
        loss.ignore_index,
        _REDUCTIONS[reduction],
        torch.get_num_threads() if rows * classes >= _PARALLEL_LOGITS else 1,
        0 if value is None else value.data_ptr(),
        _DTYPES[value_dtype],
    )
    return value if each is None else each.to(value_dtype)  # type: ignore[return-value]


def _wide(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.detach().to("cpu", torch.float64).contiguous()


def _addresses(context: list[Tensor | None], gradients: list[Tensor | None]) -> list[int]:
    """As the extension takes them: features, weight and bias, each with its gradient, then offsets and noise."""
    pairs = itertools.chain.from_iterable(zip(context, gradients))
    return [0 if tensor is None else tensor.data_ptr() for tensor in (*pairs, *context[3:])]


def _width(context: list[Tensor | None]) -> int:
    return 0 if context[0] is None else context[0].shape[1]


def _first_position(rows: int) -> int:
    """Of this process's rows in the batch of all."""
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_rank() * rows if distributed else 0


def _scaled(gradient: Tensor, outer: Tensor) -> Tensor:
    """The gradient of each row times that of its loss."""
    if outer.dim() == 1:
        return gradient * outer.unsqueeze(1).to(gradient.dtype)
    return gradient * outer


class _Fused(torch.autograd.Function):
    """What has no gradient comes as one argument: each costs time at a batch of 128 x 10, where the calls are most of it."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, call: tuple[Loss, Tensor, Tensor | None, str, torch.dtype]) -> Tensor:
        loss, labels, sample_weights, reduction, value_dtype = call
        gradient = torch.empty_like(logits, memory_format=torch.contiguous_format)
        value = _evaluate(loss, logits, labels, sample_weights, gradient, reduction, value_dtype)
        ctx.save_for_backward(gradient)
        return value

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (gradient,) = ctx.saved_tensors
        if outer.dim() == 1 or outer.item() != 1:  # a plain backward() is spared a sweep
            gradient = _scaled(gradient, outer)
        if torch.is_grad_enabled():
            gradient = cast(Tensor, _NoSecondDerivative.apply(gradient.detach().requires_grad_()))
        return gradient, None


class _FusedWithContext(torch.autograd.Function):
    """The losses that look at more than logits and labels."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        labels: Tensor,
        sample_weights: Tensor | None,
        features: Tensor | None,
        weight: Tensor | None,
        bias: Tensor | None,
        offsets: Tensor | None,
        noise: Tensor | None,
        loss: Loss,
        value_dtype: torch.dtype,
    ) -> Tensor:
        rows, classes = logits.shape
        logits, labels = logits.contiguous(), labels.contiguous()
        inputs = [features, weight, bias]
        context = [_wide(tensor) for tensor in (*inputs, offsets, noise)]
        wanted = [tensor is not None and needed for tensor, needed in zip(inputs, ctx.needs_input_grad[3:6])]
        gradients = [torch.zeros_like(wide) if want and wide is not None else None for wide, want in zip(context, wanted)]
        gradient = torch.empty_like(logits) if ctx.needs_input_grad[0] else None
        losses = torch.empty(rows, dtype=torch.float64) if loss.reduction == "none" else None
        value = _core.run_with_context_at(
            loss._core,
            _DTYPES[logits.dtype],
            rows,
            logits.data_ptr(),
            classes,
            labels.data_ptr(),
            0 if gradient is None else gradient.data_ptr(),
            0 if losses is None else losses.data_ptr(),
            0 if sample_weights is None else sample_weights.data_ptr(),
            loss.ignore_index,
            _REDUCTIONS[loss.reduction],
            torch.get_num_threads() if rows * classes >= _PARALLEL_LOGITS else 1,
            _addresses(context, gradients),
            _width(context),
            _first_position(rows),
        )
        of_inputs = [
            None if made is None or tensor is None else made.to(tensor.dtype) for made, tensor in zip(gradients, inputs)
        ]
        ctx.save_for_backward(gradient, *of_inputs)
        return torch.tensor(value, dtype=value_dtype) if losses is None else losses.to(value_dtype)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        # With a loss for each sample only rows have gradients: losses that look at the head have none of one sample.
        gradients = [None if made is None else _scaled(made, outer) for made in ctx.saved_tensors]
        if torch.is_grad_enabled():
            gradients = [
                None if made is None else _NoSecondDerivative.apply(made.detach().requires_grad_()) for made in gradients
            ]
        return (gradients[0], None, None, *gradients[1:], *[None] * 4)


class _NoSecondDerivative(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> NoReturn:  # type: ignore[override]
        raise ValueError(
            "the fused loss has no second derivative; "
            "use ulmus.composed_loss(loss, logits, labels) where create_graph is needed"
        )


if hasattr(torch.library, "custom_op"):

    @torch.library.custom_op("ulmus::loss_and_gradient", mutates_args=(), device_types="cpu")
    def _compiled(
        logits: Tensor,
        labels: Tensor,
        sample_weights: Tensor | None,
        loss: int,
        reduction: str,
        ignore_index: int,
        value_dtype: torch.dtype,
        wants_gradient: bool,
    ) -> tuple[Tensor, Tensor]:
        rows = logits.shape[0] if wants_gradient else 0
        gradient = logits.new_empty((rows, logits.shape[1]))
        known = _losses[loss]
        value = _evaluate(known, logits, labels, sample_weights, gradient if wants_gradient else None, reduction, value_dtype)
        return value, gradient

    @_compiled.register_fake
    def _(
        logits: Tensor,
        labels: Tensor,
        sample_weights: Tensor | None,
        loss: int,
        reduction: str,
        ignore_index: int,
        value_dtype: torch.dtype,
        wants_gradient: bool,
    ) -> tuple[Tensor, Tensor]:
        shape = (logits.shape[0],) if reduction == "none" else ()
        rows = logits.shape[0] if wants_gradient else 0
        return logits.new_empty(shape, dtype=value_dtype), logits.new_empty((rows, logits.shape[1]))

    def _save(ctx: Any, inputs: Any, output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(output[1])

    def _backward(ctx: Any, outer: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return (_scaled(gradient, outer), *[None] * 7)

    _compiled.register_autograd(_backward, setup_context=_save)

# What torch._dynamo.disable would say, without importing it, which takes seconds: the losses that look at more than logits and
# labels run between two compiled graphs, and so do all of them before PyTorch 2.4.
Loss._forward_with_context._torchdynamo_disable = True  # type: ignore[attr-defined]
if not hasattr(torch.library, "custom_op"):
    Loss.forward._torchdynamo_disable = True  # type: ignore[attr-defined]


def composed_loss(
    loss: Loss,
    logits: Tensor,
    labels: Tensor,
    sample_weights: Tensor | None = None,
    *,
    features: Tensor | None = None,
    head: Any = None,
    offsets: Tensor | None = None,
    noise: Tensor | None = None,
) -> Tensor:
    """The same function as ``loss(logits, labels, sample_weights, ...)``, written with PyTorch operations: for any device
    and dtype, twice differentiable, and a second opinion on the kernel. A state that the loss carries stays as it is."""
    loss._check(logits, labels, sample_weights)
    return _compose(loss, logits, labels, sample_weights, loss._context(logits, features, head, offsets, noise))


def _compose(loss: Loss, logits: Tensor, labels: Tensor, sample_weights: Tensor | None, context: list[Tensor | None]) -> Tensor:
    wide = logits.float() if logits.dtype in _NARROW else logits
    device, dtype = wide.device, wide.dtype
    counted = labels != loss.ignore_index
    safe = torch.where(counted, labels, 0)
    smallest = min(count for count in loss.class_counts if count > 0)
    class_weights = loss._table("weights", loss.class_weights, device, dtype)
    row_weights = loss._row_weights(labels, sample_weights, dtype)
    tiny = torch.finfo(dtype).tiny
    unweighted = 1 / class_weights[safe].clamp_min(tiny)
    divisor = None
    if loss.reduction in ("mean", "weighted-mean"):
        divisor = loss._divisor(labels, sample_weights, dtype)
    if divisor is not None and loss.reduction == "weighted-mean":
        of_samples = counted.to(dtype) if sample_weights is None else sample_weights.to(dtype) * counted
        unweighted = unweighted * divisor / of_samples.sum().clamp_min(tiny)
    features, weight, bias, offsets, noise = (None if tensor is None else tensor.to(dtype) for tensor in context)
    state = loss._core.state() if loss._needs & _STATE else []
    batch = Batch(
        labels=safe,
        counted=counted,
        counts=loss._table("counts", [float(count or smallest) for count in loss.class_counts], device, dtype),
        total=sum(loss.class_counts),
        keys=_family.key_values(loss.spec),
        state=torch.tensor(state, device=device, dtype=dtype),
        class_weights=class_weights,
        unweighted=unweighted,
        features=features,
        weight=weight,
        bias=bias,
        offsets=offsets,
        noise=noise,
    )
    if loss._needs & _FEATURES and features is None and loss.started and offsets is None:
        raise ValueError(f"the loss '{loss.spec}' looks at features, but none came; give features=")
    losses, term = composed_losses(loss, wide, batch)
    losses = losses * row_weights
    if term is not None and divisor is None:
        raise ValueError(
            f"loss '{loss.spec}' has no loss of a single sample, so reduction {loss.reduction} cannot apply; "
            "use weighted-mean or mean"
        )
    if loss.reduction == "none":
        return losses.to(logits.dtype)
    value = losses.sum() if divisor is None else losses.sum() / divisor
    return (value if term is None else value + term).to(logits.dtype)


class DeferredReweighting:
    """Deferred re-weighting (DRW, Cao et al., NeurIPS 2019): equal weights, and from epoch `start` on the class-balanced
    ones of the effective number of samples, ``(1 - beta) / (1 - beta^n[j])`` normalised to mean 1.

    >>> schedule = ulmus.DeferredReweighting(loss, start=160, beta=0.9999)
    >>> for epoch in range(200):
    ...     schedule.step(epoch)

    The same as a loss with ``+drw`` and ``loss.set_epoch(epoch, epochs)``, for a start that is an epoch. Raises
    ``ValueError`` for a loss that has a rule of its own: the weights would multiply.
    """

    def __init__(self, loss: Loss, start: int, beta: float = 0.9999) -> None:
        if rule := _family.rule_name(loss.spec):
            raise ValueError(f"the loss '{loss.spec}' has the weight rule '{rule}' already; leave one of the two out")
        if start < 0:
            raise ValueError(f"start is {start}, expected an epoch, 0 or more")
        self.loss = loss
        self.start = start
        self.beta = beta
        self.last_epoch = -1
        rule_text = f"ce+cb:beta={_family.number_text(beta)}"
        self._balanced = _core.Loss(rule_text, loss.class_counts).class_weights()

    def step(self, epoch: int | None = None) -> None:
        """Says that `epoch`, 0-based, begins; without it the one after the last."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        deferred = self.last_epoch < self.start
        self.loss.set_class_weights([1.0] * len(self._balanced) if deferred else self._balanced)

    def state_dict(self) -> dict[str, Any]:
        return {"start": self.start, "beta": self.beta, "last_epoch": self.last_epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.__init__(self.loss, state["start"], state["beta"])  # type: ignore[misc]
        if state["last_epoch"] >= 0:
            self.step(state["last_epoch"])
