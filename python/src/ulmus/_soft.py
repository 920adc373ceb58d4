"""Losses of soft targets: the loss of a sample with logits z and target q is the sum over classes c of q[c] times the
loss with label c.

A row takes O(C) although every class is the label once: the log-sum-exp of the other classes follows from the
log-sum-exp of all classes, and the rival of c is the class with the largest logit, or the second largest if c has the
largest.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from . import composed
from ._batch import CheckedBatch
from ._kernel import LossHandle
from .composed import Batch

__all__ = ["soft_loss", "soft_weights"]


def _is_largest(v: Tensor) -> Tensor:
    """Returns a mask of the largest entry of each row; of equal entries, the first."""
    return torch.zeros_like(v, dtype=torch.bool).scatter(1, v.argmax(1, keepdim=True), True)


def _rivals(v: Tensor) -> Tensor:
    """Returns the index of the largest other entry of the row for each entry, ``[N, C]``."""
    largest = _is_largest(v)
    second = v.masked_fill(largest, -math.inf).argmax(1, keepdim=True)
    return torch.where(largest, second, v.argmax(1, keepdim=True))


def _logsumexp_others(u: Tensor) -> Tensor:
    # The sum without the largest entry is computed directly: subtracting that entry from the total would lose most
    # digits to rounding.
    largest = _is_largest(u)
    total = u.logsumexp(1, keepdim=True)
    share = (u - total).exp().masked_fill(largest, 0)
    return torch.where(
        largest, u.masked_fill(largest, -math.inf).logsumexp(1, keepdim=True), total + torch.log1p(-share)
    )


def _cross_entropy_of_each(name: str, z: Tensor, b: Batch) -> Tensor:
    """Returns the cross entropy, smoothed by the loss's key, with each class as the label, ``[N, C]``; ``b.labels``
    contains all classes."""
    scale = b.keys.get("scale", 1.0)
    if name == "logitnorm":
        z = composed.normalize(z, b)
    u = composed.ADJUSTED[name](z, b) if name in composed.ADJUSTED else scale * z
    others, true_logit, raised_sum = _logsumexp_others(u), u, 0.0
    if name in composed.TRUE_LOGITS:
        true_logit = scale * composed.TRUE_LOGITS[name](z, z.detach().gather(1, _rivals(z)), b)
    elif name == "elm":
        margin, rival = composed.margins(b.counts, b.keys["max_margin"]), _rivals(z)
        raised = scale * b.keys["lambda"] * margin[rival]
        true_logit = u - scale * margin
        if b.keys["placement"] == "rival":
            raised_sum = raised
            others = others + torch.log1p((u.gather(1, rival) - others).exp() * torch.expm1(raised))
        else:
            true_logit = true_logit + raised
    if b.keys.get("base") == "bs":
        u, true_logit = u + b.prior.log(), true_logit + b.prior.log()
        others = _logsumexp_others(u)
    c = torch.logaddexp(torch.zeros_like(u), others - true_logit)
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
    return composed.focal(c, b) if name == "focal" else c


def soft_weights(handle: LossHandle, batch: CheckedBatch, label_smoothing: float, dtype: torch.dtype) -> Tensor:
    """Returns the weight of each sample with a soft target, ``sum over c of q[c] w[c]`` times its sample weight,
    ``[N]``."""
    assert batch.targets is not None
    q = batch.targets.to(dtype)
    if label_smoothing:
        q = (1 - label_smoothing) * q + label_smoothing / handle.classes
    weights = q @ handle.table("weights", q.device, dtype)
    return weights if batch.sample_weights is None else weights * batch.sample_weights.to(dtype)


def soft_loss(handle: LossHandle, batch: CheckedBatch, label_smoothing: float) -> Tensor:
    """Returns the loss of a batch with soft targets, or with labels and label smoothing; at least float32."""
    logits, labels, sample_weights = batch.logits, batch.labels, batch.sample_weights
    z = logits.float() if torch.finfo(logits.dtype).bits < 32 else logits
    device, dtype = z.device, z.dtype
    class_weights = handle.table("weights", device, dtype)
    if batch.targets is None:
        valid = labels != handle.ignore_index
        hard = F.one_hot(torch.where(valid, labels, 0), handle.classes).to(dtype)
        q = ((1 - label_smoothing) * hard + label_smoothing / handle.classes) * valid.unsqueeze(1)
        row_weights = handle.row_weights(labels, sample_weights, dtype)
    else:
        q = batch.targets.to(dtype)
        if label_smoothing:
            q = (1 - label_smoothing) * q + label_smoothing / handle.classes
        valid = torch.ones(len(z), dtype=torch.bool, device=device)
        row_weights = soft_weights(handle, batch, label_smoothing, dtype)
    samples = valid.to(dtype) if sample_weights is None else sample_weights.to(dtype) * valid
    numbers = Batch(
        labels=torch.arange(handle.classes, device=device),
        active=valid,
        counts=handle.table("counts", device, dtype),
        samples=handle.table("samples", device, dtype),
        total=handle.total,
        keys=handle.keys,
        class_weights=class_weights,
        unweighted=samples,
    )
    share = q * class_weights * samples.unsqueeze(1)
    if handle.classes == 1:
        class_losses = 0 * z
    else:
        class_losses = _losses_of_each(handle.name, torch.where(valid.unsqueeze(1), z, 0), numbers)
    losses = torch.where(share != 0, share * class_losses, 0).sum(1)
    free = torch.zeros_like(losses)  # the term without class weights
    if handle.name == "poly1":
        free_share = q * (class_weights > 0) * samples.unsqueeze(1)
        free = -handle.keys["epsilon"] * (free_share * torch.expm1(-class_losses)).sum(1)
    if handle.reduction == "none":
        return losses + free
    if handle.reduction == "sum":
        return losses.sum() + free.sum()
    tiny = torch.finfo(dtype).tiny
    if handle.reduction == "mean":
        return (losses.sum() + free.sum()) / valid.sum().clamp_min(1)
    return losses.sum() / row_weights.sum().clamp_min(tiny) + free.sum() / samples.sum().clamp_min(tiny)
