"""Heads, and adjustments of a head or its output after training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from . import _family, functional

__all__ = ["CosineLinear", "LogitAdjustment", "tau_normalize"]


class CosineLinear(torch.nn.Module):
    """The cosine head: ``z[j] = <h / max(|h|, 1e-12), W[j] / max(|W[j]|, 1e-12)>``, without bias and scale; the loss
    multiplies by its scale. Maps features ``[N, D]`` to cosines ``[N, C]``; ``weight`` is ``[C, D]``, one row per
    class.

    The margins of ``ldam`` and ``elm`` are made for this head, which LDAM-DRW calls the normalised linear layer.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = torch.nn.Parameter(torch.empty(out_features, in_features))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        self.weight.uniform_(-1, 1)
        self.weight.copy_(F.normalize(self.weight, dim=1))

    def forward(self, features: Tensor) -> Tensor:
        return F.linear(F.normalize(features, dim=1), F.normalize(self.weight, dim=1))

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}"


class LogitAdjustment(torch.nn.Module):
    """Post-hoc logit adjustment for the output of a trained model: :func:`ulmus.functional.adjust_logits` as a module.

    >>> model = torch.nn.Sequential(trained, ulmus.LogitAdjustment(counts, tau=1.0)).eval()
    """

    def __init__(self, class_counts: Iterable[Any], tau: float = 1.0, kind: str = "additive") -> None:
        super().__init__()
        self.tau = tau
        self.kind = kind
        adjusted = torch.zeros if kind == "additive" else torch.ones
        counts = _family.class_counts(class_counts)
        numbers = functional.adjust_logits(adjusted(len(counts), dtype=torch.float64), counts, tau, kind)
        self.register_buffer("adjustment", numbers)

    def forward(self, logits: Tensor) -> Tensor:
        adjustment = self.get_buffer("adjustment").to(logits.dtype)
        return logits + adjustment if self.kind == "additive" else logits * adjustment

    def extra_repr(self) -> str:
        return f"tau={self.tau}, kind={self.kind}"


def tau_normalize(linear: torch.nn.Linear, tau: float = 1.0) -> torch.nn.Linear:
    """Returns a copy of a trained linear head with weights ``W[j] / |W[j]|^tau`` and no bias (tau-normalised
    classifier, Kang et al., ICLR 2020). This compensates for the longer weight vectors of frequent classes. Choose
    `tau`, 0 to 1, on validation data."""
    weight = linear.weight.detach()
    norms = weight.norm(dim=1, keepdim=True).clamp_min(1e-12)
    made = torch.nn.Linear(
        linear.in_features, linear.out_features, bias=False, device=weight.device, dtype=weight.dtype
    )
    with torch.no_grad():
        made.weight.copy_(weight / norms**tau)
    return made
