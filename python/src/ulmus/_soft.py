"""The losses of soft targets: for a sample with logits z and target q, the sum over classes c of q[c] times the loss of label c.

Every class takes its turn as the true one, in O(C) a row: the log-sum-exp of the others comes from that of all, and the rival of
c is the row's largest logit, or the second largest where c has the largest.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from . import composed
from .composed import Batch

if TYPE_CHECKING:
    from .loss import Arranged, Loss

__all__ = ["soft_loss"]


def _is_largest(v: Tensor) -> Tensor:
    """True at the largest entry of each row, the first of equal ones."""
    return torch.zeros_like(v, dtype=torch.bool).scatter(1, v.argmax(1, keepdim=True), True)


def _rivals(v: Tensor) -> Tensor:
    """The place of the largest other entry, ``[N, C]``."""
    largest = _is_largest(v)
    second = v.masked_fill(largest, -math.inf).argmax(1, keepdim=True)
    return torch.where(largest, second, v.argmax(1, keepdim=True))


def _logsumexp_of_others(u: Tensor) -> Tensor:
    # Without the largest entry the sum is made anew: the others' share of the whole would be what rounding leaves of it.
    largest = _is_largest(u)
    total = u.logsumexp(1, keepdim=True)
    share = (u - total).exp().masked_fill(largest, 0)
    return torch.where(largest, u.masked_fill(largest, -math.inf).logsumexp(1, keepdim=True), total + torch.log1p(-share))


def _cross_entropy_of_each(name: str, z: Tensor, b: Batch) -> Tensor:
    """The cross entropy, smoothed by the loss's key, with each class as the label, ``[N, C]``; ``b.labels`` are all classes."""
    scale = b.keys.get("scale", 1.0)
    if name == "logitnorm":
        z = composed.normalised(z, b)
    u = composed.ADJUSTED[name](z, b) if name in composed.ADJUSTED else scale * z
    of_others, true_logit, raised_sum = _logsumexp_of_others(u), u, 0.0
    if name in composed.TRUE_LOGITS:
        true_logit = scale * composed.TRUE_LOGITS[name](z, z.detach().gather(1, _rivals(z)), b)
    elif name == "elm":
        margin, rival = composed.margins(b.counts, b.keys["max_margin"]), _rivals(z)
        raised = scale * b.keys["lambda"] * margin[rival]
        true_logit = u - scale * margin
        if b.keys["placement"] == "rival":
            raised_sum = raised
            of_others = of_others + torch.log1p((u.gather(1, rival) - of_others).exp() * torch.expm1(raised))
        else:
            true_logit = true_logit + raised
    if b.keys.get("base") == "bs":
        u, true_logit = u + b.prior.log(), true_logit + b.prior.log()
        of_others = _logsumexp_of_others(u)
    c = torch.logaddexp(torch.zeros_like(u), of_others - true_logit)
    smoothing = b.keys.get("smoothing", 0.0)
    if not smoothing:
        return c
    mean = (u.sum(1, keepdim=True) - u + true_logit + raised_sum) / u.shape[1]
    return c + smoothing * (true_logit - mean)


def _losses_of_each(name: str, z: Tensor, b: Batch) -> Tensor:
    if name == "las":
        log_p = z.log_softmax(1)
        smoothing = composed.label_aware_smoothing(b)
        return -(1 - smoothing) * log_p - smoothing * log_p.mean(1, keepdim=True)
    if name == "cb" and b.keys["kind"] != "softmax":
        gamma = b.keys["gamma"] if b.keys["kind"] == "focal" else 0.0
        yes, no = (torch.exp(-gamma * F.softplus(x)) * F.softplus(-x) for x in (z, -z))
        return no.sum(1, keepdim=True) + yes - no
    c = _cross_entropy_of_each(name, z, b)
    return composed.focused(c, b) if name == "focal" else c


def soft_loss(loss: Loss, batch: Arranged) -> Tensor:
    """The loss of a batch with soft targets, or with labels and label smoothing; at least float32."""
    logits, labels, sample_weights = batch.logits, batch.labels, batch.sample_weights
    z = logits.float() if torch.finfo(logits.dtype).bits < 32 else logits
    device, dtype = z.device, z.dtype
    class_weights = loss._table("weights", device, dtype)
    if batch.targets is None:
        counted = labels != loss.ignore_index
        hard = F.one_hot(torch.where(counted, labels, 0), loss._classes).to(dtype)
        q = ((1 - loss.label_smoothing) * hard + loss.label_smoothing / loss._classes) * counted.unsqueeze(1)
        row_weights = loss._row_weights(labels, sample_weights, dtype)
    else:
        q = batch.targets.to(dtype)
        if loss.label_smoothing:
            q = (1 - loss.label_smoothing) * q + loss.label_smoothing / loss._classes
        counted = torch.ones(len(z), dtype=torch.bool, device=device)
        row_weights = q @ class_weights if sample_weights is None else (q @ class_weights) * sample_weights.to(dtype)
    of_samples = counted.to(dtype) if sample_weights is None else sample_weights.to(dtype) * counted
    numbers = Batch(
        labels=torch.arange(loss._classes, device=device),
        counted=counted,
        active=counted,
        counts=loss._table("counts", device, dtype),
        samples=loss._table("samples", device, dtype),
        total=loss._total,
        keys=loss._keys,
        class_weights=class_weights,
        unweighted=of_samples,
    )
    share = q * class_weights * of_samples.unsqueeze(1)
    if loss._classes == 1:
        of_each = 0 * z
    else:
        of_each = _losses_of_each(loss._member, torch.where(counted.unsqueeze(1), z, 0), numbers)
    losses = torch.where(share != 0, share * of_each, 0).sum(1)
    free = torch.zeros_like(losses)  # of class weights
    if loss._member == "poly1":
        free_share = q * (class_weights > 0) * of_samples.unsqueeze(1)
        free = -loss._keys["epsilon"] * (free_share * torch.expm1(-of_each)).sum(1)
    if loss.reduction == "none":
        return losses + free
    if loss.reduction == "sum":
        return losses.sum() + free.sum()
    tiny = torch.finfo(dtype).tiny
    if loss.reduction == "mean":
        return (losses.sum() + free.sum()) / counted.sum().clamp_min(1)
    return losses.sum() / row_weights.sum().clamp_min(tiny) + free.sum() / of_samples.sum().clamp_min(tiny)
