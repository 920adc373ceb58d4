"""Every loss of the family written with PyTorch operations, from its equation: one function a member."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from . import _kernel

if TYPE_CHECKING:
    from .loss import Loss

__all__ = ["composed_loss"]


@dataclasses.dataclass
class Batch:
    """What a formula looks at beside its logits ``[N, C]``."""

    labels: Tensor  #: [N]
    counted: Tensor  #: [N], false for ignored samples
    active: Tensor  #: [N], true for samples of a weight above 0
    counts: Tensor  #: [C]; a class without samples counts like the rarest one that has some
    samples: Tensor  #: [C], as they are
    total: int  #: of all samples
    keys: dict[str, Any]
    class_weights: Tensor  #: [C], in force
    unweighted: Tensor  #: [N]; times this, a term is free of class weights
    state: Tensor | None = None  #: what the loss carries; negative before the first update
    features: Tensor | None = None  #: [N, D]
    weight: Tensor | None = None  #: [C, D] of a linear head
    bias: Tensor | None = None  #: [C]
    offsets: Tensor | None = None  #: [N, C], added to the scaled logits: draws of `gcl` and `eql`, margins of `tam`
    noise: Tensor | None = None  #: [N, C], in place of the draws

    @property
    def prior(self) -> Tensor:
        return self.counts / self.total


#: A member: logits and batch to losses [N].
Formula = Callable[[Tensor, Batch], Tensor]
#: What comes on top of the mean of the losses.
Term = Callable[[Tensor, Batch], Tensor]


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, reduction="none")


def _compared(u: Tensor, b: Batch) -> Tensor:
    """Cross entropy of the compared logits, with the label smoothing of the loss's key."""
    return F.cross_entropy(u, b.labels, reduction="none", label_smoothing=b.keys.get("smoothing", 0.0))


def margins(counts: Tensor, max_margin: float) -> Tensor:
    """``D[j] = max_margin (n_min / n[j])^(1/4)``."""
    return max_margin * (counts.min() / counts) ** 0.25


def _true_logit(z: Tensor, y: Tensor) -> Tensor:
    return z.gather(1, y.unsqueeze(1)).squeeze(1)


def _replaced(z: Tensor, y: Tensor, true_logit: Tensor) -> Tensor:
    return z.scatter(1, y.unsqueeze(1), true_logit.unsqueeze(1))


def _wrong(z: Tensor, y: Tensor) -> Tensor:
    """Constant for the gradient, minus infinity at the label."""
    return z.detach().scatter(1, y.unsqueeze(1), -math.inf)


def _scaled(z: Tensor, b: Batch) -> Tensor:
    return b.keys.get("scale", 1.0) * z


def _ce(z: Tensor, b: Batch) -> Tensor:
    return _compared(_scaled(z, b), b)


def _ldam(t: Tensor, rival: Tensor, b: Batch) -> Tensor:
    return t - margins(b.counts, b.keys["max_margin"])[b.labels]


def _elm(z: Tensor, b: Batch) -> Tensor:
    margin = margins(b.counts, b.keys["max_margin"])
    rival = _wrong(z, b.labels).argmax(1)
    raised = b.keys["lambda"] * margin[rival]
    t = _true_logit(z, b.labels) - margin[b.labels]
    if b.keys.get("placement") == "rival":
        z = z + F.one_hot(rival, z.shape[1]) * raised.unsqueeze(1)
    else:
        t = t + raised
    return _compared(b.keys["scale"] * _replaced(z, b.labels, t), b)


def _bs(z: Tensor, b: Batch) -> Tensor:
    return b.keys["scale"] * z + b.counts.log()


def _la(z: Tensor, b: Batch) -> Tensor:
    return b.keys["scale"] * z + b.keys["tau"] * b.prior.log()


def _vs(z: Tensor, b: Batch) -> Tensor:
    slope = (b.counts / b.counts.max()) ** b.keys["gamma"]
    return b.keys["scale"] * slope * z + b.keys["tau"] * b.prior.log()


def _cdt(z: Tensor, b: Batch) -> Tensor:
    return b.keys["scale"] * z / (b.counts.max() / b.counts) ** b.keys["gamma"]


def focused(c: Tensor, b: Batch) -> Tensor:
    """The focal loss of a cross entropy."""
    return c if b.keys["gamma"] == 0 else (-torch.expm1(-c)) ** b.keys["gamma"] * c


def _focal(z: Tensor, b: Batch) -> Tensor:
    return focused(_ce(z, b), b)


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


def _turned(cosine: Tensor, angle: Tensor | float) -> Tensor:
    """The cosine of an angle that is larger by `angle`."""
    angle = torch.as_tensor(angle, dtype=cosine.dtype, device=cosine.device)
    sine = (1 - cosine * cosine).clamp_min(1e-12).sqrt()
    return cosine * angle.cos() - sine * angle.sin()


def _dbm(t: Tensor, rival: Tensor, b: Batch) -> Tensor:
    margin = (b.keys["max_margin"] * (b.counts.min() / b.counts) ** b.keys["tau"])[b.labels]
    return _turned(t, margin * (1 + (rival > t) * b.keys["lambda"] * (1 - t) / 2))


def _arcface(t: Tensor, rival: Tensor, b: Batch) -> Tensor:
    margin = b.keys["margin"]
    if b.keys["variant"] == "opensphere":
        angle = t.detach().clamp(-1, 1).acos() + margin
        return t + (angle.clamp_max(3.14159).cos() - t.detach())
    passes = t <= math.cos(math.pi - margin)
    return torch.where(passes, t - margin * math.sin(margin), _turned(t, margin))


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
    v = _replaced(v, b.labels, _true_logit(v, b.labels) - (b.keys["max_margin"] * reverse / q.max())[b.labels])
    scale = float(b.keys["scale"])
    if b.keys["scaling"] == "label":
        of_label = (reverse[b.labels] * scale).clamp(scale, max(scale, 50.0))
        return _cross_entropy(of_label.unsqueeze(1) * v, b.labels)
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


def _members(b: Batch, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """``[C, N]``, 1 where an active sample is of the class, and how many those are, ``[C]``."""
    own = F.one_hot(b.labels, len(b.counts)).T.to(dtype) * b.active
    return own, own.sum(1)


def _log_active(b: Batch, dtype: torch.dtype) -> Tensor:
    """``[N]``, 0 for active samples, minus infinity for the others; zeros where none is active."""
    return torch.zeros_like(b.active, dtype=dtype).masked_fill(~b.active & b.active.any(), -math.inf)


def _lade_term(z: Tensor, b: Batch) -> Tensor:
    own, members = _members(b, z.dtype)
    prior = b.samples / b.total
    counted = members.sum().clamp_min(1)
    s = (z + _log_active(b, z.dtype).unsqueeze(1)).logsumexp(0) - (prior + 1e-9).log()
    s = s + math.log(1 / z.shape[1] + 1e-9) - counted.log()
    mean = (own.T * z).sum(0) / (members + 1e-8)
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
    offset = _replaced(mitigation + compensation, b.labels, torch.zeros_like(true_p))
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
    """``[C]``, what a sample of the class gives to the mean over all classes."""
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


def normalised(z: Tensor, b: Batch) -> Tensor:
    """Logits over their norm and the temperature."""
    norm = (z * z).sum(1, keepdim=True)
    norm = torch.where(norm > 0, norm, 1).sqrt() * (norm > 0)
    return z / (b.keys["temperature"] * (norm + 1e-7))


def _logitnorm(z: Tensor, b: Batch) -> Tensor:
    return _cross_entropy(normalised(z, b), b.labels)


def _lm_softmax(z: Tensor, b: Batch) -> Tensor:
    c = _cross_entropy(_replaced(z, b.labels, _true_logit(z, b.labels) - b.keys["lower"]), b.labels)
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


def _class_means(b: Batch, batch_means: Tensor, members: Tensor) -> tuple[Tensor, Tensor]:
    """Batches seen of each class ``[C]`` and running means ``[C, D]``; before the first update what this batch makes them."""
    assert b.state is not None
    classes = len(b.counts)
    seen, means = b.state[:classes], b.state[classes:].reshape(classes, -1)
    none = b.state[0] < 0
    present = (members > 0).to(means.dtype)
    first = batch_means.detach() * present.unsqueeze(1)
    return torch.where(none, present, seen), torch.where(none, first, means)


def _dro_term(z: Tensor, b: Batch) -> Tensor:
    h = b.features
    assert h is not None
    own, members = _members(b, h.dtype)
    _, means = _class_means(b, own @ h / members.clamp_min(1).unsqueeze(1), members)
    radius = b.keys["epsilon"] / b.counts.sqrt()
    d = -_distances(h.unsqueeze(0), means.unsqueeze(1)) - radius.unsqueeze(1) * own
    log_share = (d / b.keys["temperature"] + _log_active(b, h.dtype)).log_softmax(1)
    of_class = -torch.where(own > 0, log_share, 0).sum(1) / members.clamp_min(1)
    share = b.class_weights * (members > 0)
    return b.keys["alpha"] * (share * of_class).sum() / share.sum().clamp_min(torch.finfo(h.dtype).tiny)


def _lmd_term(z: Tensor, b: Batch) -> Tensor:
    h = b.features
    assert h is not None and b.weight is not None
    k = b.keys
    power = 1 if k["norm"] == "l1" else 2
    own, members = _members(b, h.dtype)
    present = members > 0
    batch_means = own @ h / members.clamp_min(1).unsqueeze(1)
    # The state holds the running means with this batch taken in; the batch's part of them has a gradient.
    seen, running = _class_means(b, batch_means, members)
    part = torch.where(seen <= 1, 1.0, 1 - k["momentum"]).to(h.dtype).unsqueeze(1)
    running = running + part * (batch_means - batch_means.detach())
    excess = (_distances(h, running[b.labels], power) - k["delta_v"]).clamp_min(0) ** 2
    compact = (own @ excess) / members.clamp_min(1)
    bias = b.weight.new_zeros(len(members)) if b.bias is None else b.bias
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


#: What is compared: the scaled logits with slopes and offsets of the classes. A member that is not here compares those as they are.
ADJUSTED: dict[str, Formula] = {"bs": _bs, "la": _la, "vs": _vs, "cdt": _cdt}

#: In place of the true logit: a function of itself, of the largest wrong one and of the numbers of the label. The arguments may
#: be [N], for the labels of the batch, or [N, C] with every class as the label.
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
    return lambda z, b: _compared(adjusted(z, b), b)


def _with_true_logit(rule: Callable[[Tensor, Tensor, Batch], Tensor]) -> Formula:
    def formula(z: Tensor, b: Batch) -> Tensor:
        t = rule(_true_logit(z, b.labels), _wrong(z, b.labels).amax(1), b)
        u = _scaled(_replaced(z, b.labels, t), b)
        return _compared(u + b.prior.log() if b.keys.get("base") == "bs" else u, b)

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

#: Members with a term of the whole batch: there is no loss of one sample.
TERMS: dict[str, Term] = {"lade": _lade_term, "dro-lt": _dro_term, "lmd": _lmd_term}


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
    batch = loss._arrange(logits, labels, sample_weights)
    context = loss._context(batch, features, head, offsets, noise)
    if batch.targets is not None or loss.label_smoothing:
        return loss._soft(batch).to(logits.dtype)
    return batch.unflatten(compose(loss, batch.logits, batch.labels, batch.sample_weights, context)).to(logits.dtype)


def compose(
    loss: Loss, logits: Tensor, labels: Tensor, sample_weights: Tensor | None, context: _kernel.Context
) -> Tensor:
    """`composed_loss` of a checked batch of one row a sample; at least float32."""
    wide = logits.float() if torch.finfo(logits.dtype).bits < 32 else logits
    device, dtype = wide.device, wide.dtype
    counted = labels != loss.ignore_index
    safe = torch.where(counted, labels, 0)
    class_weights = loss._table("weights", device, dtype)
    of_class = class_weights[safe]
    row_weights = loss._row_weights(labels, sample_weights, dtype)
    active = row_weights > 0
    tiny = torch.finfo(dtype).tiny
    unweighted = torch.where(of_class > 0, 1 / torch.where(of_class > 0, of_class, 1), 0)
    divisor = None
    if loss.reduction in ("mean", "weighted-mean"):
        divisor = loss._divisor(labels, sample_weights, dtype)
    if divisor is not None and loss.reduction == "weighted-mean":
        of_samples = counted.to(dtype) if sample_weights is None else sample_weights.to(dtype) * counted
        unweighted = unweighted * divisor / of_samples.sum().clamp_min(tiny)
    features, weight, bias, offsets, noise = (None if tensor is None else tensor.to(dtype) for tensor in context)
    batch = Batch(
        labels=safe,
        counted=counted,
        active=active,
        counts=loss._table("counts", device, dtype),
        samples=loss._table("samples", device, dtype),
        total=loss._total,
        keys=loss._keys,
        class_weights=class_weights,
        unweighted=unweighted,
        state=_state(loss, context, device, dtype),
        features=features,
        weight=weight,
        bias=bias,
        offsets=offsets,
        noise=noise,
    )
    if noise is None and offsets is None and _is_shifted(loss):
        batch.offsets = _offsets(loss, torch.where(active, labels, loss.ignore_index), context).to(device, dtype)
    name = loss._member
    formula, term = FORMULAS[name], TERMS.get(name)
    if not loss.active:
        formula, term = _tam_before if name == "tam" else _ce, None
    # Samples that weigh nothing cost nothing, whatever is in them.
    rows = torch.where(active.unsqueeze(1), wide, 0)
    losses = torch.where(active, formula(rows, batch), 0) * row_weights
    if term is not None and divisor is None:
        raise ValueError(
            f"loss '{loss.spec}' has no loss of a single sample, so reduction {loss.reduction} cannot apply; "
            "use weighted-mean or mean"
        )
    if loss.reduction == "none":
        return losses
    value = losses.sum() if divisor is None else losses.sum() / divisor
    return value if term is None else value + torch.where(active.any(), term(rows, batch), 0)


def _is_shifted(loss: Loss) -> bool:
    """Whether the library makes offsets for each row that do not depend on the logits."""
    if loss._member == "tam":
        return loss.active
    return loss._member == "gcl" or (loss._member == "eql" and loss._keys["kind"] != "sigmoid")


def _offsets(loss: Loss, labels: Tensor, context: _kernel.Context) -> Tensor:
    features = None if context[0] is None else context[0].detach()
    if labels.is_meta:
        return labels.new_empty((len(labels), loss._classes), dtype=torch.float64)
    if _kernel.is_compiling():
        return _kernel.compiled_offsets(loss._clock, labels, features, loss._id, loss._classes)
    return _kernel.offsets_of(loss, labels, features)


def _state(loss: Loss, context: _kernel.Context, device: torch.device, dtype: torch.dtype) -> Tensor | None:
    if not loss._needs & _kernel.STATE:
        return None
    width = 0 if context[0] is None else context[0].shape[1]
    if _kernel.is_compiling():
        size = loss._state_size or loss._classes * (1 + width)
        state = _kernel.compiled_state(loss._clock, loss._id, width, size)
    else:
        state = _kernel.state_of(loss, width)
    return state.to(device, dtype)
