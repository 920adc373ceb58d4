"""Calls of the kernel from a module's forward call: autograd functions in eager code, custom operators under
``torch.compile`` (PyTorch 2.4 and later).

An operator is opaque to the compiler and looks up the loss by its id when the graph runs. The state of a loss is
outside the graph. Therefore `apply_update` mutates the tensor `clock`, and every operator that reads the state takes
`clock` as an argument: the compiler then keeps their order and removes none of them.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from . import _kernel
from ._autograd import Fused, FusedWithContext, chain
from ._kernel import Context, LossHandle, handles, is_compiling

__all__ = ["CAN_COMPILE", "apply_update", "fused", "fused_with_context", "offsets_of", "share_of_processes", "state_of"]

CAN_COMPILE = hasattr(torch.library, "custom_op")


def fused(
    handle: LossHandle,
    logits: Tensor,
    labels: Tensor,
    sample_weights: Tensor | None,
    reduction: str,
    value_dtype: torch.dtype,
) -> Tensor:
    """Returns the loss of a checked batch on the CPU, for a loss that needs only logits and labels."""
    if is_compiling():
        return _in_graph(handle, logits, labels, sample_weights, _kernel.NO_CONTEXT, reduction, value_dtype)
    if logits.requires_grad and torch.is_grad_enabled():
        return cast(Tensor, Fused.apply(logits, (handle, labels, sample_weights, reduction, value_dtype)))
    return _kernel.evaluate(handle, logits, labels, sample_weights, None, reduction, value_dtype)


def fused_with_context(
    handle: LossHandle,
    logits: Tensor,
    labels: Tensor,
    sample_weights: Tensor | None,
    context: Context,
    value_dtype: torch.dtype,
) -> Tensor:
    """Returns the loss of a checked batch on the CPU, for a loss that needs more than logits and labels."""
    if is_compiling():
        return _in_graph(handle, logits, labels, sample_weights, context, handle.reduction, value_dtype)
    call = (handle, labels, sample_weights, context, value_dtype)
    return cast(Tensor, FusedWithContext.apply(logits, *context[:3], call))


def apply_update(handle: LossHandle, logits: Tensor, labels: Tensor, context: Context) -> None:
    """Updates the state of a loss with a training batch."""
    if is_compiling():
        _apply_update_op(handle.clock, logits, labels, *context[:3], handle.id)
    else:
        _kernel.apply_update(handle, logits, labels, context)


def state_of(handle: LossHandle, features: Tensor | None) -> Tensor:
    """Returns the state that the composed formula reads, float64 on the CPU. A state that depends on the width of the
    features is -1 everywhere before the first update."""
    width = 0 if features is None else features.shape[1]
    if is_compiling():
        size = handle.state_size or handle.classes * (1 + width)
        return _state_op(handle.clock, handle.id, width, size)
    return _kernel.state_of(handle, width)


def offsets_of(handle: LossHandle, labels: Tensor, features: Tensor | None) -> Tensor:
    """Returns the offsets that the library adds to the scaled logits, random draws or margins computed from features:
    ``[N, C]``, float64."""
    features = None if features is None else features.detach()
    if labels.is_meta:
        return labels.new_empty((len(labels), handle.classes), dtype=torch.float64)
    if is_compiling():
        return _offsets_op(handle.clock, labels, features, handle.id, handle.classes)
    return _kernel.offsets_of(handle, labels, features)


def share_of_processes(divisor: Tensor) -> Tensor:
    """Returns the factor that turns the mean of this process into its share of the mean over all processes, a
    scalar."""
    return _share_op(divisor) if is_compiling() else _kernel.share_of_processes(divisor)


def _in_graph(
    handle: LossHandle,
    logits: Tensor,
    labels: Tensor,
    sample_weights: Tensor | None,
    context: Context,
    reduction: str,
    value_dtype: torch.dtype,
) -> Tensor:
    differentiable = [logits, *context[:3]]
    wanted = 0
    for k, tensor in enumerate(differentiable):
        if tensor is not None and tensor.requires_grad and torch.is_grad_enabled():
            wanted |= 1 << k
    return _loss_op(
        *differentiable,
        labels,
        sample_weights,
        *context[3:],
        handle.clock,
        handle.id,
        reduction,
        value_dtype,
        wanted,
    )[0]


if CAN_COMPILE:

    @torch.library.custom_op("ulmus::loss_and_gradients", mutates_args=(), device_types="cpu")
    def _loss_op(
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
        """Returns the loss and its gradients with respect to the first four arguments. A gradient is empty if its bit
        in `wanted` is not set."""
        handle = handles[loss]
        gradients: Context
        if handle.needs:
            context = [features, weight, bias, offsets, noise]
            bits = tuple(bool(wanted >> k & 1) for k in range(4))
            value, gradients = _kernel.evaluate_with_context(
                handle, logits, labels, sample_weights, context, bits, reduction, value_dtype
            )
        else:
            gradients = [logits.new_empty(logits.shape) if wanted & 1 else None, None, None, None]
            value = _kernel.evaluate(handle, logits, labels, sample_weights, gradients[0], reduction, value_dtype)
        made = [logits.new_empty(0) if gradient is None else gradient for gradient in gradients[:4]]
        return value, made[0], made[1], made[2], made[3]

    @_loss_op.register_fake
    def _(*arguments: Any) -> tuple[Tensor, ...]:
        logits, (reduction, value_dtype, wanted) = arguments[0], arguments[-3:]
        made = [
            logits.new_empty(0) if tensor is None or not wanted >> k & 1 else tensor.new_empty(tensor.shape)
            for k, tensor in enumerate(arguments[:4])
        ]
        shape = (logits.shape[0],) if reduction == "none" else ()
        return (logits.new_empty(shape, dtype=value_dtype), *made)

    def _save_gradients(ctx: Any, inputs: Any, output: tuple[Tensor, ...]) -> None:
        ctx.wanted = inputs[-1]
        ctx.save_for_backward(*output[1:])

    def _chain_gradients(ctx: Any, outer: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        saved = enumerate(ctx.saved_tensors)
        return (*(chain(gradient, outer) if ctx.wanted >> k & 1 else None for k, gradient in saved), *[None] * 9)

    _loss_op.register_autograd(_chain_gradients, setup_context=_save_gradients)

    @torch.library.custom_op("ulmus::apply_update", mutates_args=("clock",))
    def _apply_update_op(
        clock: Tensor,
        logits: Tensor,
        labels: Tensor,
        features: Tensor | None,
        weight: Tensor | None,
        bias: Tensor | None,
        loss: int,
    ) -> None:
        clock.add_(1)
        _kernel.apply_update(handles[loss], logits, labels, [features, weight, bias, None, None])

    @_apply_update_op.register_fake
    def _(*arguments: Any) -> None:
        return None

    @torch.library.custom_op("ulmus::share_of_processes", mutates_args=())
    def _share_op(divisor: Tensor) -> Tensor:
        return _kernel.share_of_processes(divisor)

    @_share_op.register_fake
    def _(divisor: Tensor) -> Tensor:
        return torch.empty_like(divisor)

    @torch.library.custom_op("ulmus::state", mutates_args=())
    def _state_op(clock: Tensor, loss: int, width: int, size: int) -> Tensor:
        return _kernel.state_of(handles[loss], width)

    @_state_op.register_fake
    def _(clock: Tensor, loss: int, width: int, size: int) -> Tensor:
        return torch.empty(size, dtype=torch.float64, device="cpu")

    @torch.library.custom_op("ulmus::offsets", mutates_args=())
    def _offsets_op(clock: Tensor, labels: Tensor, features: Tensor | None, loss: int, classes: int) -> Tensor:
        return _kernel.offsets_of(handles[loss], labels, features)

    @_offsets_op.register_fake
    def _(clock: Tensor, labels: Tensor, features: Tensor | None, loss: int, classes: int) -> Tensor:
        return torch.empty(labels.shape[0], classes, dtype=torch.float64, device="cpu")
