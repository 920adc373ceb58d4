"""Every loss of the family written with PyTorch operations, from its equation: one function a member."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from . import _family

if TYPE_CHECKING:
    from .loss import Loss

#: A member: logits [N, C], labels [N], counts [C] without zeros, keys; to losses [N].
Formula = Callable[[Tensor, Tensor, Tensor, dict[str, Any]], Tensor]


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, reduction="none")


def _margins(counts: Tensor, max_margin: float) -> Tensor:
    """``D[j] = max_margin (n_min / n[j])^(1/4)``."""
    return max_margin * (counts.min() / counts) ** 0.25


def _with_true_logit(logits: Tensor, labels: Tensor, true_logit: Tensor) -> Tensor:
    return logits.scatter(1, labels.unsqueeze(1), true_logit.unsqueeze(1))


def _true_logit(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.gather(1, labels.unsqueeze(1)).squeeze(1)


def _rival(logits: Tensor, labels: Tensor) -> Tensor:
    """The largest wrong class, ``[N]``; constant for the gradient."""
    return logits.detach().scatter(1, labels.unsqueeze(1), -torch.inf).argmax(1)


def _ce(z: Tensor, y: Tensor, n: Tensor, k: dict[str, Any]) -> Tensor:
    return _cross_entropy(k["scale"] * z, y)


def _ldam(z: Tensor, y: Tensor, n: Tensor, k: dict[str, Any]) -> Tensor:
    margin = _margins(n, k["max_margin"])[y]
    return _cross_entropy(k["scale"] * _with_true_logit(z, y, _true_logit(z, y) - margin), y)


def _elm(z: Tensor, y: Tensor, n: Tensor, k: dict[str, Any]) -> Tensor:
    margins = _margins(n, k["max_margin"])
    margin = margins[y] - k["lambda"] * margins[_rival(z, y)]
    return _cross_entropy(k["scale"] * _with_true_logit(z, y, _true_logit(z, y) - margin), y)


def _bs(z: Tensor, y: Tensor, n: Tensor, k: dict[str, Any]) -> Tensor:
    return _cross_entropy(k["scale"] * z + n.log(), y)


def _la(z: Tensor, y: Tensor, n: Tensor, k: dict[str, Any]) -> Tensor:
    return _cross_entropy(k["scale"] * z + k["tau"] * n.log(), y)


def _vs(z: Tensor, y: Tensor, n: Tensor, k: dict[str, Any]) -> Tensor:
    return _cross_entropy(k["scale"] * (n / n.max()) ** k["gamma"] * z + k["tau"] * n.log(), y)


def _cdt(z: Tensor, y: Tensor, n: Tensor, k: dict[str, Any]) -> Tensor:
    return _cross_entropy(k["scale"] * z / (n.max() / n) ** k["gamma"], y)


def _focal(z: Tensor, y: Tensor, n: Tensor, k: dict[str, Any]) -> Tensor:
    cross_entropy = _cross_entropy(k["scale"] * z, y)
    if k["gamma"] == 0:
        return cross_entropy
    return (-torch.expm1(-cross_entropy)) ** k["gamma"] * cross_entropy


FORMULAS: dict[str, Formula] = {
    "ce": _ce,
    "ldam": _ldam,
    "elm": _elm,
    "bs": _bs,
    "la": _la,
    "vs": _vs,
    "cdt": _cdt,
    "focal": _focal,
}


def composed_losses(loss: Loss, logits: Tensor, labels: Tensor) -> Tensor:
    """The loss of each sample before any weight, ``[N]``; 0 for ignored samples, whatever is in them."""
    counted = labels != loss.ignore_index
    smallest = min(count for count in loss.class_counts if count > 0)
    counts = loss._table("counts", [float(count or smallest) for count in loss.class_counts], logits.device, logits.dtype)
    logits = torch.where(counted.unsqueeze(1), logits, 0)
    labels = torch.where(counted, labels, 0)
    name = _family.member_name(loss.spec)
    losses = FORMULAS[name](logits, labels, counts, _family.key_values(loss.spec))
    return torch.where(counted, losses, 0)
