"""Autograd functions that call the kernel from eager code."""

from __future__ import annotations

from typing import Any, NoReturn, cast

import torch
from torch import Tensor

from ._kernel import Context, LossHandle, evaluate, evaluate_with_context

__all__ = ["Fused", "FusedWithContext", "chain"]


def chain(gradient: Tensor, outer: Tensor) -> Tensor:
    """Applies the chain rule: multiplies the gradient of each row by the gradient of its loss."""
    if outer.dim() == 1:
        return gradient * outer.unsqueeze(1).to(gradient.dtype)
    return gradient * outer


def _backward(gradient: Tensor | None, outer: Tensor) -> Tensor | None:
    """Multiplies the gradient computed in the forward call by the gradient of the value."""
    if gradient is None:
        return None
    if outer.dim() == 1 or outer.item() != 1:  # a plain backward() skips this pass
        gradient = chain(gradient, outer)
    if torch.is_grad_enabled():
        gradient = cast(Tensor, _NoSecondDerivative.apply(gradient.detach().requires_grad_()))
    return gradient


class Fused(torch.autograd.Function):
    """A loss of logits and labels. Inputs without a gradient are passed as one argument: each argument costs time, and
    for a batch of 128 x 10 the calls take most of the time."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, call: tuple[LossHandle, Tensor, Tensor | None, str, torch.dtype]) -> Tensor:
        handle, labels, sample_weights, reduction, value_dtype = call
        gradient = torch.empty_like(logits, memory_format=torch.contiguous_format)
        value = evaluate(handle, logits, labels, sample_weights, gradient, reduction, value_dtype)
        ctx.save_for_backward(gradient)
        return value

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, None]:  # type: ignore[override]
        return _backward(ctx.saved_tensors[0], outer), None


class FusedWithContext(torch.autograd.Function):
    """A loss that needs more than logits and labels."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        features: Tensor | None,
        weight: Tensor | None,
        bias: Tensor | None,
        call: tuple[LossHandle, Tensor, Tensor | None, Context, torch.dtype],
    ) -> Tensor:
        handle, labels, sample_weights, context, value_dtype = call
        wanted = ctx.needs_input_grad[:4]
        value, gradients = evaluate_with_context(
            handle, logits, labels, sample_weights, context, wanted, handle.reduction, value_dtype
        )
        ctx.save_for_backward(*gradients)
        return value

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        # With reduction "none" only logits and features have gradients: a loss that needs the head is not defined for
        # a single sample.
        return (*(_backward(gradient, outer) for gradient in ctx.saved_tensors), None)


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
