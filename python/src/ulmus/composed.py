"""The formula of every loss, composed of PyTorch operations from its equation: the differentiable reference."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from . import _compile, _kernel
from ._kernel import Context, LossHandle

__all__ = ["compose"]


@dataclasses.dataclass
class Batch:
    """The inputs of a formula besides the logits ``[N, C]``."""

    labels: Tensor  #: [N]
    active: Tensor  #: [N], true for samples with a weight above 0
    counts: Tensor  #: [C]; a class without samples counts like the rarest class with samples
    samples: Tensor  #: [C], the unchanged counts
    total: int  #: number of all samples
    keys: dict[str, Any]
    class_weights: Tensor  #: [C], the current ones
    unweighted: Tensor  #: [N], factor that cancels the class weights of a term
    state: Tensor | None = None  #: negative before the first update
    features: Tensor | None = None  #: [N, D]
    weight: Tensor | None = None  #: [C, D] of a linear head
    bias: Tensor | None = None  #: [C]
    offsets: Tensor | None = None  #: [N, C], added to the scaled logits: draws of `gcl` and `eql`, margins of `tam`
    noise: Tensor | None = None  #: [N, C], replaces the draws

    @property
    def prior(self) -> Tensor:
        return self.counts / self.total


#: Maps logits and batch to losses [N].
Formula = Callable[[Tensor, Batch], Tensor]
#: A term added to the mean of the losses.
Term = Callable[[Tensor, Batch], Tensor]


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, reduction="none")


def _smoothed_cross_entropy(u: Tensor, b: Batch) -> Tensor:
    """Cross entropy with the label smoothing of the loss's key."""
    return F.cross_entropy(u, b.labels, reduction="none", label_smoothing=b.keys.get("smoothing", 0.0))


def margins(counts: Tensor, max_margin: float) -> Tensor:
    """``D[j] = max_margin (n_min / n[j])^(1/4)``."""
    return max_margin * (counts.min() / counts) ** 0.25


def _true_logit(z: Tensor, y: Tensor) -> Tensor:
    return z.gather(1, y.unsqueeze(1)).squeeze(1)


def _replace_true_logit(z: Tensor, y: Tensor, true_logit: Tensor) -> Tensor:
    return z.scatter(1, y.unsqueeze(1), true_logit.unsqueeze(1))


def _wrong_logits(z: Tensor, y: Tensor) -> Tensor:
    """Returns the logits without gradient, minus infinity at the label."""
    return z.detach().scatter(1, y.unsqueeze(1), -math.inf)


def _scale(z: Tensor, b: Batch) -> Tensor:
    return b.keys.get("scale", 1.0) * z


def _ce(z: Tensor, b: Batch) -> Tensor:
    return _smoothed_cross_entropy(_scale(z, b), b)


def _ldam(t: Tensor, rival: Tensor, b: Batch) -> Tensor:
    return t - margins(b.counts, b.keys["max_margin"])[b.labels]


def _elm(z: Tensor, b: Batch) -> Tensor:
    margin = margins(b.counts, b.keys["max_margin"])
    rival = _wrong_logits(z, b.labels).argmax(1)
    raised = b.keys["lambda"] * margin[rival]
    t = _true_logit(z, b.labels) - margin[b.labels]
    if b.keys.get("placement") == "rival":
        z = z + F.one_hot(rival, z.shape[1]) * raised.unsqueeze(1)
    else:
        t = t + raised
    return _smoothed_cross_entropy(b.keys["scale"] * _replace_true_logit(z, b.labels, t), b)


def _bs(z: Tensor, b: Batch) -> Tensor:
    return b.keys["scale"] * z + b.counts.log()


def _la(z: Tensor, b: Batch) -> Tensor:
    return b.keys["scale"] * z + b.keys["tau"] * b.prior.log()


def _vs(z: Tensor, b: Batch) -> Tensor:
    slope = (b.counts / b.counts.max()) ** b.keys["gamma"]
    return b.keys["scale"] * slope * z + b.keys["tau"] * b.prior.log()


def _cdt(z: Tensor, b: Batch) -> Tensor:
    return b.keys["scale"] * z / (b.counts.max() / b.counts) ** b.keys["gamma"]


def focal(c: Tensor, b: Batch) -> Tensor:
    """Returns the focal loss from a cross entropy."""
    return c if b.keys["gamma"] == 0 else (-torch.expm1(-c)) ** b.keys["gamma"] * c


def _focal(z: Tensor, b: Batch) -> Tensor:
    return focal(_ce(z, b), b)


def _poly1(z: Tensor, b: Batch) -> Tensor:
    c = _ce(z, b)
    return c - b.keys["epsilon"] * b.unweighted * torch.expm1(-c)


def _signs(z: Tensor, b: Batch) -> Tensor:
    return 2 * F.one_hot(b.labels, z.shape[1]).to(z.dtype) - 1


def _cb(z: Tensor, b: Batch) -> Tensor:
    if b.keys["kind"] == "softmax":
        return _ce(z, b)
    x = _signs(z, b) * z
    gamma = b.keys["gamma"] if b.keys["kind"] == "focal" else 0.0
    return (torch.exp(-gamma * F.softplus(x)) * F.softplus(-x)).sum(1)


def _mm(t: Tensor, rival: Tensor, b: Batch) -> Tensor:
    margin = torch.full_like(b.counts, b.keys["max_margin"])
    if b.keys["variant"] == "ldam":
        margin = margin - margins(b.counts, 0.5)
    margin = margin[b.labels]
    gap = t.detach() - rival.clamp_min(0)
    right, wrong = torch.exp(-gap - b.keys["gamma"] * margin), torch.exp(gap - margin)
    return t - torch.where(gap > 0, right, torch.where(gap < 0, wrong, 0))


def _ala(t: Tensor, rival: Tensor, b: Batch) -> Tensor:
    strength = math.log(2) / torch.log(b.counts / b.counts.min() + 1)
    return t - strength[b.labels] * (1 - t.detach()) / 2


def _add_angle(cosine: Tensor, angle: Tensor) -> Tensor:
    """Returns the cosine of the sum of two angles, the first given by its cosine."""
    sine = (1 - cosine * cosine).clamp_min(1e-12).sqrt()
    return cosine * angle.cos() - sine * angle.sin()


def _dbm(t: Tensor, rival: Tensor, b: Batch) -> Tensor:
    margin = (b.keys["max_margin"] * (b.counts.min() / b.counts) ** b.keys["tau"])[b.labels]
    return _add_angle(t, margin * (1 + (rival > t) * b.keys["lambda"] * (1 - t) / 2))


def _arcface(t: Tensor, rival: Tensor, b: Batch) -> Tensor:
    margin = b.keys["margin"]
    if b.keys["variant"] == "opensphere":
        angle = t.detach().clamp(-1, 1).acos() + margin
        return t + (angle.clamp_max(3.14159).cos() - t.detach())
    passes = t <= math.cos(math.pi - margin)
    return torch.where(passes, t - margin * math.sin(margin), _add_angle(t, torch.full_like(t, margin)))


def _cosface(t: Tensor, rival: Tensor, b: Batch) -> Tensor:
    return t - b.keys["margin"]


def _sphereface(t: Tensor, rival: Tensor, b: Batch) -> Tensor:
    angle = b.keys["margin"] * t.detach().clamp(-1, 1).acos()
    k = (angle / math.pi).floor()
    return t + ((1 - 2 * (k % 2)) * angle.cos() - 2 * k - t.detach())


def _kps(z: Tensor, b: Batch) -> Tensor:
    q = torch.log(50 * b.counts / b.counts.min()) / math.log(50)
    order = q.sort(descending=True, stable=True).indices
    reverse = torch.empty_like(q).scatter(0, order, q[order.flip(0)])
    v = q * z
    v = _replace_true_logit(
        v, b.labels, _true_logit(v, b.labels) - (b.keys["max_margin"] * reverse / q.max())[b.labels]
    )
    scale = float(b.keys["scale"])
    if b.keys["scaling"] == "label":
        scales = (reverse[b.labels] * scale).clamp(scale, max(scale, 50.0))
        return _cross_entropy(scales.unsqueeze(1) * v, b.labels)
    return _cross_entropy(scale * v, b.labels)


def _gcl(z: Tensor, b: Batch) -> Tensor:
    log_counts = b.counts.log()
    spread = log_counts.max() - log_counts.min()
    amplitude = torch.where(spread > 0, (log_counts.max() - log_counts) / spread, 0)
    v = z.scatter_add(1, b.labels.unsqueeze(1), torch.full_like(z[:, :1], -b.keys["margin"]))
    if b.noise is None:
        assert b.offsets is not None
        return _cross_entropy(b.keys["scale"] * v + b.offsets, b.labels)
    return _cross_entropy(b.keys["scale"] * (v - b.keys["noise"] * b.noise.abs() * amplitude), b.labels)


def _lade(z: Tensor, b: Batch) -> Tensor:
    return _cross_entropy(z + (b.samples / b.total + 1e-9).log(), b.labels)


def _class_masks(b: Batch, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Returns ``[C, N]``, 1 where an active sample is of the class, and the number of active samples of each class,
    ``[C]``."""
    own = F.one_hot(b.labels, len(b.counts)).T.to(dtype) * b.active
    return own, own.sum(1)


def _log_active(b: Batch, dtype: torch.dtype) -> Tensor:
    """Returns ``[N]``: 0 for active samples, minus infinity for the others; all 0 if no sample is active."""
    return torch.zeros_like(b.active, dtype=dtype).masked_fill(~b.active & b.active.any(), -math.inf)


def _lade_term(z: Tensor, b: Batch) -> Tensor:
    own, sizes = _class_masks(b, z.dtype)
    prior = b.samples / b.total
    total = sizes.sum().clamp_min(1)
    s = (z + _log_active(b, z.dtype).unsqueeze(1)).logsumexp(0) - (prior + 1e-9).log()
    s = s + math.log(1 / z.shape[1] + 1e-9) - total.log()
    mean = (own.T * z).sum(0) / (sizes + 1e-8)
    return -b.keys["alpha"] * (prior * (mean - s - b.keys["lambda"] * s**2)).sum()


def _ib(z: Tensor, b: Batch) -> Tensor:
    assert b.features is not None
    c = _ce(z, b)
    influence = -2 * torch.expm1(-c) * b.features.abs().sum(1) + 0.001
    losses = b.keys["alpha"] * c / influence
    if "gamma" not in b.keys:
        return losses
    return losses * (-torch.expm1(-b.class_weights[b.labels] * c)) ** b.keys["gamma"]


def _seesaw(z: Tensor, b: Batch) -> Tensor:
    assert b.state is not None
    u = b.keys["scale"] * z
    seen = b.state.clamp_min(1)
    mitigation = (seen / seen[b.labels].unsqueeze(1)).clamp_max(1).log() * b.keys["p"]
    log_p = u.detach().log_softmax(1)
    true_p = _true_logit(log_p, b.labels).clamp_min(math.log(b.keys["eps"]))
    compensation = (b.keys["q"] * (log_p - true_p.unsqueeze(1))).clamp_min(0)
    offset = _replace_true_logit(mitigation + compensation, b.labels, torch.zeros_like(true_p))
    return _cross_entropy(u + offset, b.labels)


def _eql(z: Tensor, b: Batch) -> Tensor:
    own = F.one_hot(b.labels, z.shape[1]).bool()
    rare = (b.samples / b.total < b.keys["lambda"]) & ~own
    if b.keys["kind"] == "sigmoid":
        return (F.softplus(-_signs(z, b) * z) * ~rare).sum(1)
    if b.noise is None:
        assert b.offsets is not None
        return _cross_entropy(z + b.offsets, b.labels)
    return _cross_entropy(z.masked_fill(rare & (b.noise != 0), -math.inf), b.labels)


def _loce(z: Tensor, b: Batch) -> Tensor:
    assert b.state is not None
    return _cross_entropy(b.keys["scale"] * z + b.state.log(), b.labels)


def _false_cross_entropy(u: Tensor, b: Batch) -> Tensor:
    p = u.softmax(1)
    frequent = b.samples > b.samples[b.labels].unsqueeze(1)
    false = ((1 - p + 1e-7).log() * frequent).sum(1)
    return -(_true_logit(p, b.labels) + 1e-7).log() - false


def _fce(z: Tensor, b: Batch) -> Tensor:
    return _false_cross_entropy(z / b.keys["temperature"], b)


def _lafce(z: Tensor, b: Batch) -> Tensor:
    return _false_cross_entropy(z / b.keys["temperature"] + b.prior.log(), b)


def label_aware_smoothing(b: Batch) -> Tensor:
    """Returns the label smoothing of each class, ``[C]``."""
    span = b.counts.max() - b.counts.min()
    t = torch.where(span > 0, (b.counts - b.counts.min()) / span.clamp_min(1), 0)
    head, tail, quarter = b.keys["head"], b.keys["tail"], math.pi / 2
    return {
        "concave": tail + (head - tail) * torch.sin(quarter * t),
        "linear": tail + (head - tail) * t,
        "convex": head + (head - tail) * torch.sin(3 * quarter + quarter * t),
    }[b.keys["shape"]]


def _las(z: Tensor, b: Batch) -> Tensor:
    smoothing = label_aware_smoothing(b)[b.labels]
    log_p = z.log_softmax(1)
    return -(1 - smoothing) * _true_logit(log_p, b.labels) - smoothing * log_p.mean(1)


def normalize(z: Tensor, b: Batch) -> Tensor:
    """Divides the logits by their norm and the temperature."""
    norm = (z * z).sum(1, keepdim=True)
    norm = torch.where(norm > 0, norm, 1).sqrt() * (norm > 0)
    return z / (b.keys["temperature"] * (norm + 1e-7))


def _logitnorm(z: Tensor, b: Batch) -> Tensor:
    return _cross_entropy(normalize(z, b), b.labels)


def _lm_softmax(z: Tensor, b: Batch) -> Tensor:
    c = _cross_entropy(_replace_true_logit(z, b.labels, _true_logit(z, b.labels) - b.keys["lower"]), b.labels)
    own = F.one_hot(b.labels, z.shape[1]).bool()
    log_q = z.masked_fill(own, -math.inf).log_softmax(1)
    q = log_q.exp()
    uniform = 1 / max(z.shape[1] - 1, 1)
    regulariser = ((q - uniform) * log_q.masked_fill(own, 0)).masked_fill(own, 0).sum(1)
    return c + b.keys["lambda"] / 2 * b.unweighted * regulariser


def _distances(features: Tensor, means: Tensor, power: int = 2) -> Tensor:
    apart = features - means
    if power == 1:
        return apart.abs().sum(-1)
    square = (apart * apart).sum(-1)
    return torch.where(square > 0, square, 1).sqrt() * (square > 0)


def _class_means(b: Batch, batch_means: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the number of batches that contained each class, ``[C]``, and the running means, ``[C, D]``; before the
    first update, the values of this batch."""
    assert b.state is not None
    classes = len(b.counts)
    seen, means = b.state[:classes], b.state[classes:].reshape(classes, -1)
    none = b.state[0] < 0
    present = (sizes > 0).to(means.dtype)
    first = batch_means.detach() * present.unsqueeze(1)
    return torch.where(none, present, seen), torch.where(none, first, means)


def _dro_term(z: Tensor, b: Batch) -> Tensor:
    h = b.features
    assert h is not None
    own, sizes = _class_masks(b, h.dtype)
    _, means = _class_means(b, own @ h / sizes.clamp_min(1).unsqueeze(1), sizes)
    radius = b.keys["epsilon"] / b.counts.sqrt()
    d = -_distances(h.unsqueeze(0), means.unsqueeze(1)) - radius.unsqueeze(1) * own
    log_share = (d / b.keys["temperature"] + _log_active(b, h.dtype)).log_softmax(1)
    class_losses = -torch.where(own > 0, log_share, 0).sum(1) / sizes.clamp_min(1)
    share = b.class_weights * (sizes > 0)
    return b.keys["alpha"] * (share * class_losses).sum() / share.sum().clamp_min(torch.finfo(h.dtype).tiny)


def _lmd_term(z: Tensor, b: Batch) -> Tensor:
    h = b.features
    assert h is not None and b.weight is not None
    k = b.keys
    power = 1 if k["norm"] == "l1" else 2
    own, sizes = _class_masks(b, h.dtype)
    present = sizes > 0
    batch_means = own @ h / sizes.clamp_min(1).unsqueeze(1)
    # The running means in the state include this batch; its share of them has a gradient.
    seen, running = _class_means(b, batch_means, sizes)
    part = torch.where(seen <= 1, 1.0, 1 - k["momentum"]).to(h.dtype).unsqueeze(1)
    running = running + part * (batch_means - batch_means.detach())
    excess = (_distances(h, running[b.labels], power) - k["delta_v"]).clamp_min(0) ** 2
    compact = (own @ excess) / sizes.clamp_min(1)
    bias = b.weight.new_zeros(len(sizes)) if b.bias is None else b.bias
    scores = batch_means @ b.weight.T + bias  # [C of the mean, C]
    apart = _distances(b.weight.unsqueeze(0), b.weight.unsqueeze(1))
    valid = apart > 0
    gap = (scores - scores.diagonal().unsqueeze(1)) / torch.where(valid, apart, 1)
    boundary = ((k["delta_d"] + gap) * valid).clamp_min(0).amax(1)
    norms = _distances(running, torch.zeros_like(running), power)
    total = k["alpha"] * compact + k["beta"] * boundary + k["gamma"] * norms
    return (total * present).sum() / present.sum().clamp_min(1)


def _tam(z: Tensor, b: Batch) -> Tensor:
    assert b.offsets is not None
    u = b.keys["scale"] * z + b.offsets
    return _cross_entropy(u + b.counts.log() if b.keys["base"] == "bs" else u, b.labels)


def _tam_before(z: Tensor, b: Batch) -> Tensor:
    return _cross_entropy(_bs(z, b), b.labels) if b.keys["base"] == "bs" else _ce(z, b)


#: Losses that are the cross entropy of scaled logits with a slope and an offset per class.
ADJUSTED: dict[str, Formula] = {"bs": _bs, "la": _la, "vs": _vs, "cdt": _cdt}

#: Losses that replace the true logit with a function of itself, the largest incorrect logit and constants of the label.
#: The arguments are [N], for the labels of the batch, or [N, C] with every class as the label.
TRUE_LOGITS: dict[str, Callable[[Tensor, Tensor, Batch], Tensor]] = {
    "ldam": _ldam,
    "mm": _mm,
    "ala": _ala,
    "dbm": _dbm,
    "arcface": _arcface,
    "cosface": _cosface,
    "sphereface": _sphereface,
}


def _with_adjusted(adjusted: Formula) -> Formula:
    return lambda z, b: _smoothed_cross_entropy(adjusted(z, b), b)


def _with_true_logit(rule: Callable[[Tensor, Tensor, Batch], Tensor]) -> Formula:
    def formula(z: Tensor, b: Batch) -> Tensor:
        t = rule(_true_logit(z, b.labels), _wrong_logits(z, b.labels).amax(1), b)
        u = _scale(_replace_true_logit(z, b.labels, t), b)
        return _smoothed_cross_entropy(u + b.prior.log() if b.keys.get("base") == "bs" else u, b)

    return formula


FORMULAS: dict[str, Formula] = {
    **{name: _with_adjusted(adjusted) for name, adjusted in ADJUSTED.items()},
    **{name: _with_true_logit(rule) for name, rule in TRUE_LOGITS.items()},
    "ce": _ce,
    "gr": _ce,
    "elm": _elm,
    "focal": _focal,
    "poly1": _poly1,
    "cb": _cb,
    "kps": _kps,
    "gcl": _gcl,
    "lade": _lade,
    "ib": _ib,
    "ib-focal": _ib,
    "seesaw": _seesaw,
    "eql": _eql,
    "loce": _loce,
    "fce": _fce,
    "lafce": _lafce,
    "las": _las,
    "los": _ce,
    "logitnorm": _logitnorm,
    "lm-softmax": _lm_softmax,
    "dro-lt": _ce,
    "lmd": _ce,
    "tam": _tam,
}

#: Losses with a term of the whole batch, which is not defined for a single sample.
TERMS: dict[str, Term] = {"lade": _lade_term, "dro-lt": _dro_term, "lmd": _lmd_term}


def compose(
    handle: LossHandle, logits: Tensor, labels: Tensor, sample_weights: Tensor | None, context: Context
) -> Tensor:
    """Returns the loss of a checked batch; at least float32."""
    z = logits.float() if torch.finfo(logits.dtype).bits < 32 else logits
    device, dtype = z.device, z.dtype
    valid = labels != handle.ignore_index
    safe_labels = torch.where(valid, labels, 0)
    class_weights = handle.table("weights", device, dtype)
    label_weights = class_weights[safe_labels]
    row_weights = handle.row_weights(labels, sample_weights, dtype)
    active = row_weights > 0
    unweighted = torch.where(label_weights > 0, 1 / torch.where(label_weights > 0, label_weights, 1), 0)
    divisor = None
    if handle.reduction in ("mean", "weighted-mean"):
        divisor = handle.divisor(labels, sample_weights, dtype)
    if divisor is not None and handle.reduction == "weighted-mean":
        samples = valid.to(dtype) if sample_weights is None else sample_weights.to(dtype) * valid
        unweighted = unweighted * divisor / samples.sum().clamp_min(torch.finfo(dtype).tiny)
    features, weight, bias, offsets, noise = (None if tensor is None else tensor.to(dtype) for tensor in context)
    state = None
    if handle.needs & _kernel.STATE:
        state = _compile.state_of(handle, context[0]).to(device, dtype)
    if noise is None and offsets is None and _has_offsets(handle):
        active_labels = torch.where(active, labels, handle.ignore_index)
        offsets = _compile.offsets_of(handle, active_labels, context[0]).to(device, dtype)
    batch = Batch(
        labels=safe_labels,
        active=active,
        counts=handle.table("counts", device, dtype),
        samples=handle.table("samples", device, dtype),
        total=handle.total,
        keys=handle.keys,
        class_weights=class_weights,
        unweighted=unweighted,
        state=state,
        features=features,
        weight=weight,
        bias=bias,
        offsets=offsets,
        noise=noise,
    )
    formula, term = FORMULAS[handle.name], TERMS.get(handle.name)
    if not handle.active:
        formula, term = _tam_before if handle.name == "tam" else _ce, None
    if term is not None and divisor is None:
        raise ValueError(
            f"loss '{handle.text}' has no loss of a single sample, so reduction {handle.reduction} cannot apply; "
            "use weighted-mean or mean"
        )
    # Samples with weight 0 have zero loss, whatever their logits contain.
    rows = torch.where(active.unsqueeze(1), z, 0)
    losses = torch.where(active, formula(rows, batch), 0) * row_weights
    if handle.reduction == "none":
        return losses
    value = losses.sum() if divisor is None else losses.sum() / divisor
    return value if term is None else value + torch.where(active.any(), term(rows, batch), 0)


def _has_offsets(handle: LossHandle) -> bool:
    """Returns whether the library adds offsets to each row that do not depend on the logits."""
    if handle.name == "tam":
        return handle.active
    return handle.name == "gcl" or (handle.name == "eql" and handle.keys["kind"] != "sigmoid")
