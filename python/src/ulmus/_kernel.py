"""The kernel under PyTorch: autograd functions for eager code, operators for ``torch.compile``."""

from __future__ import annotations

import itertools
import weakref
from typing import TYPE_CHECKING, Any, NoReturn, cast

import torch
from torch import Tensor

# After torch, so that the extension finds PyTorch's OpenMP runtime instead of bringing a second one.
from . import _core

if TYPE_CHECKING:
    from .loss import Loss

#: Element types with a kernel, by their number in the C interface.
DTYPES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}

#: What a loss looks at beside logits and labels.
FEATURES, HEAD, STATE, OFFSETS = 1, 2, 4, 8

#: Reductions by their number in the C interface. There ``none`` is the sum: its gradient has in each row that of its own loss.
REDUCTIONS = {"mean": 0, "weighted-mean": 1, "sum": 2, "none": 2}

#: A batch with fewer logits runs on the calling thread, whatever it is told.
_PARALLEL_LOGITS = 1 << 15

#: Features, weight and bias of the head, offsets, noise: what a loss looks at beside logits and labels.
Context = list[Tensor | None]

if hasattr(torch, "compiler") and hasattr(torch.compiler, "is_compiling"):
    is_compiling = torch.compiler.is_compiling
else:

    def is_compiling() -> bool:
        return False


ids = itertools.count()
#: Losses by the number under which compiled graphs know them.
losses: weakref.WeakValueDictionary[int, Loss] = weakref.WeakValueDictionary()


def _threads(logits: Tensor) -> int:
    return torch.get_num_threads() if logits.numel() >= _PARALLEL_LOGITS else 1


def _wide(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.detach().to("cpu", torch.float64).contiguous()


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _addresses(context: Context, gradients: Context) -> list[int]:
    """As the extension takes them: features, weight and bias, each with its gradient, then offsets and noise."""
    pairs = itertools.chain.from_iterable(zip(context, gradients))
    return [_address(tensor) for tensor in (*pairs, *context[3:])]


def _width(context: Context) -> int:
    return 0 if context[0] is None else context[0].shape[1]


def _is_distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _first_position(rows: int) -> int:
    """Of this process's rows in the batch of all."""
    return torch.distributed.get_rank() * rows if _is_distributed() else 0


def evaluate(
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
    each = torch.empty(rows, dtype=torch.float64, device="cpu") if reduction == "none" else None
    value = torch.empty((), dtype=value_dtype, device="cpu") if each is None else None
    _core.run_at(
        loss._core,
        DTYPES[logits.dtype],
        rows,
        logits.data_ptr(),
        stride,
        labels.data_ptr(),
        _address(gradient),
        _address(each),
        _address(sample_weights),
        loss.ignore_index,
        REDUCTIONS[reduction],
        _threads(logits),
        _address(value),
        DTYPES[value_dtype],
    )
    return value if each is None else each.to(value_dtype)  # type: ignore[return-value]


def evaluate_with_context(
    loss: Loss,
    logits: Tensor,
    labels: Tensor,
    sample_weights: Tensor | None,
    context: Context,
    wanted: tuple[bool, ...],
    value_dtype: torch.dtype,
) -> tuple[Tensor, Context]:
    """The loss of a checked batch on the CPU, and its gradients by logits, features, weight and bias where they are wanted."""
    rows = len(logits)
    logits, labels = logits.contiguous(), labels.contiguous()
    in_double = [_wide(tensor) for tensor in context]
    gradients = [
        torch.zeros_like(wide) if want and wide is not None else None for wide, want in zip(in_double, wanted[1:])
    ]
    gradient = torch.empty_like(logits) if wanted[0] else None
    each = torch.empty(rows, dtype=torch.float64, device="cpu") if loss.reduction == "none" else None
    value = _core.run_with_context_at(
        loss._core,
        DTYPES[logits.dtype],
        rows,
        logits.data_ptr(),
        loss._classes,
        labels.data_ptr(),
        _address(gradient),
        _address(each),
        _address(sample_weights),
        loss.ignore_index,
        REDUCTIONS[loss.reduction],
        _threads(logits),
        _addresses(in_double, gradients),
        _width(context),
        _first_position(rows),
    )
    of_context = [
        None if made is None or tensor is None else made.to(tensor.dtype) for made, tensor in zip(gradients, context)
    ]
    reduced = torch.tensor(value, dtype=value_dtype, device="cpu") if each is None else each.to(value_dtype)
    return reduced, [gradient, *of_context]


def apply_update(loss: Loss, logits: Tensor, labels: Tensor, context: Context) -> None:
    """Moves the state of a loss by a training batch, of which every process of ``torch.distributed`` has a part."""
    if logits.is_meta:
        return
    wide, targets = _wide(logits), labels.detach().to("cpu").contiguous()
    in_double = [_wide(tensor) for tensor in context]
    assert wide is not None
    delta = _core.collect_update_at(
        loss._core,
        DTYPES[torch.float64],
        len(wide),
        wide.data_ptr(),
        loss._classes,
        targets.data_ptr(),
        loss.ignore_index,
        _addresses(in_double, [None, None, None]),
        _width(context),
        _first_position(len(wide)),
    )
    if _is_distributed() and torch.distributed.get_world_size() > 1:
        total = torch.tensor(delta, dtype=torch.float64, device=logits.device)
        torch.distributed.all_reduce(total)
        delta = total.tolist()
    loss._core.apply_update(delta)


def state_of(loss: Loss, width: int) -> Tensor:
    """The state as the composed formula reads it, float64 on the CPU; -1 everywhere while there is none."""
    size = loss._state_size or loss._classes * (1 + width)
    values = loss._core.state()
    if values and len(values) != size:
        of = len(values) // loss._classes - 1
        raise ValueError(f"the state of loss '{loss.spec}' is of features of width {of}, but features of width {width} came")
    return torch.tensor(values or [-1.0] * size, dtype=torch.float64, device="cpu")


def offsets_of(loss: Loss, labels: Tensor, features: Tensor | None) -> Tensor:
    """What the library adds to the scaled logits of a batch: random draws, margins from features. ``[N, C]``, float64."""
    targets, wide = labels.detach().to("cpu").contiguous(), _wide(features)
    made = torch.empty(len(targets), loss._classes, dtype=torch.float64, device="cpu")
    _core.offsets_at(
        loss._core,
        loss.spec,
        loss.class_counts,
        loss._seed,
        loss._epoch or (0, 1_000_000),
        len(targets),
        targets.data_ptr(),
        loss.ignore_index,
        _address(wide),
        0 if wide is None else wide.shape[1],
        _first_position(len(targets)),
        made.data_ptr(),
    )
    return made


def scaled(gradient: Tensor, outer: Tensor) -> Tensor:
    """The gradient of each row times that of its loss."""
    if outer.dim() == 1:
        return gradient * outer.unsqueeze(1).to(gradient.dtype)
    return gradient * outer


def _backward_of(gradient: Tensor | None, outer: Tensor) -> Tensor | None:
    """What goes back of a gradient that the forward call made."""
    if gradient is None:
        return None
    if outer.dim() == 1 or outer.item() != 1:  # a plain backward() is spared a sweep
        gradient = scaled(gradient, outer)
    if torch.is_grad_enabled():
        gradient = cast(Tensor, _NoSecondDerivative.apply(gradient.detach().requires_grad_()))
    return gradient


class Fused(torch.autograd.Function):
    """What has no gradient comes as one argument: each costs time at a batch of 128 x 10, where the calls are most of it."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, call: tuple[Loss, Tensor, Tensor | None, str, torch.dtype]) -> Tensor:
        loss, labels, sample_weights, reduction, value_dtype = call
        gradient = torch.empty_like(logits, memory_format=torch.contiguous_format)
        value = evaluate(loss, logits, labels, sample_weights, gradient, reduction, value_dtype)
        ctx.save_for_backward(gradient)
        return value

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, None]:  # type: ignore[override]
        return _backward_of(ctx.saved_tensors[0], outer), None


class FusedWithContext(torch.autograd.Function):
    """The losses that look at more than logits and labels."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        features: Tensor | None,
        weight: Tensor | None,
        bias: Tensor | None,
        call: tuple[Loss, Tensor, Tensor | None, Context, torch.dtype],
    ) -> Tensor:
        loss, labels, sample_weights, context, value_dtype = call
        value, gradients = evaluate_with_context(
            loss, logits, labels, sample_weights, context, ctx.needs_input_grad[:4], value_dtype
        )
        ctx.save_for_backward(*gradients)
        return value

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        # With a loss for each sample only rows have gradients: losses that look at the head have none of one sample.
        return (*(_backward_of(gradient, outer) for gradient in ctx.saved_tensors), None)


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


# Under torch.compile each of these is one operator of the graph, opaque to the compiler. It reads the loss by its number when the
# graph runs. A loss with a state has a tensor `clock` that `apply_update` changes and the others read, so that the compiler keeps their
# order and leaves none out.

if hasattr(torch.library, "custom_op"):

    @torch.library.custom_op("ulmus::loss_and_gradient", mutates_args=(), device_types="cpu")
    def compiled(
        logits: Tensor,
        labels: Tensor,
        sample_weights: Tensor | None,
        loss: int,
        reduction: str,
        value_dtype: torch.dtype,
        wants_gradient: bool,
    ) -> tuple[Tensor, Tensor]:
        gradient = logits.new_empty((logits.shape[0] if wants_gradient else 0, logits.shape[1]))
        target = gradient if wants_gradient else None
        return evaluate(losses[loss], logits, labels, sample_weights, target, reduction, value_dtype), gradient

    @compiled.register_fake
    def _(
        logits: Tensor,
        labels: Tensor,
        sample_weights: Tensor | None,
        loss: int,
        reduction: str,
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
        return (scaled(gradient, outer), *[None] * 6)

    compiled.register_autograd(_backward, setup_context=_save)

    @torch.library.custom_op("ulmus::loss_with_context", mutates_args=(), device_types="cpu")
    def compiled_with_context(
        logits: Tensor,
        features: Tensor | None,
        weight: Tensor | None,
        bias: Tensor | None,
        labels: Tensor,
        sample_weights: Tensor | None,
        offsets: Tensor | None,
        noise: Tensor | None,
        clock: Tensor,
        loss: int,
        reduction: str,
        value_dtype: torch.dtype,
        wanted: int,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        context = [features, weight, bias, offsets, noise]
        wants = tuple(bool(wanted >> k & 1) for k in range(4))
        value, gradients = evaluate_with_context(losses[loss], logits, labels, sample_weights, context, wants, value_dtype)
        made = [logits.new_empty(0) if gradient is None else gradient for gradient in gradients[:4]]
        return value, made[0], made[1], made[2], made[3]

    @compiled_with_context.register_fake
    def _(
        logits: Tensor,
        features: Tensor | None,
        weight: Tensor | None,
        bias: Tensor | None,
        labels: Tensor,
        sample_weights: Tensor | None,
        offsets: Tensor | None,
        noise: Tensor | None,
        clock: Tensor,
        loss: int,
        reduction: str,
        value_dtype: torch.dtype,
        wanted: int,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        made = [
            logits.new_empty(0) if tensor is None or not wanted >> k & 1 else tensor.new_empty(tensor.shape)
            for k, tensor in enumerate([logits, features, weight, bias])
        ]
        shape = (logits.shape[0],) if reduction == "none" else ()
        return logits.new_empty(shape, dtype=value_dtype), made[0], made[1], made[2], made[3]

    def _save_with_context(ctx: Any, inputs: Any, output: tuple[Tensor, ...]) -> None:
        ctx.wanted = inputs[-1]
        ctx.save_for_backward(*output[1:])

    def _backward_with_context(ctx: Any, outer: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        made = [scaled(made, outer) if ctx.wanted >> k & 1 else None for k, made in enumerate(ctx.saved_tensors)]
        return (*made, *[None] * 9)

    compiled_with_context.register_autograd(_backward_with_context, setup_context=_save_with_context)

    @torch.library.custom_op("ulmus::apply_update", mutates_args=("clock",))
    def compiled_apply_update(
        clock: Tensor,
        logits: Tensor,
        labels: Tensor,
        features: Tensor | None,
        weight: Tensor | None,
        bias: Tensor | None,
        loss: int,
    ) -> None:
        clock.add_(1)
        apply_update(losses[loss], logits, labels, [features, weight, bias, None, None])

    @compiled_apply_update.register_fake
    def _(
        clock: Tensor,
        logits: Tensor,
        labels: Tensor,
        features: Tensor | None,
        weight: Tensor | None,
        bias: Tensor | None,
        loss: int,
    ) -> None:
        return None

    @torch.library.custom_op("ulmus::state", mutates_args=())
    def compiled_state(clock: Tensor, loss: int, width: int, size: int) -> Tensor:
        return state_of(losses[loss], width)

    @compiled_state.register_fake
    def _(clock: Tensor, loss: int, width: int, size: int) -> Tensor:
        return torch.empty(size, dtype=torch.float64, device="cpu")

    @torch.library.custom_op("ulmus::offsets", mutates_args=())
    def compiled_offsets(clock: Tensor, labels: Tensor, features: Tensor | None, loss: int, classes: int) -> Tensor:
        return offsets_of(losses[loss], labels, features)

    @compiled_offsets.register_fake
    def _(clock: Tensor, labels: Tensor, features: Tensor | None, loss: int, classes: int) -> Tensor:
        return torch.empty(labels.shape[0], classes, dtype=torch.float64, device="cpu")
