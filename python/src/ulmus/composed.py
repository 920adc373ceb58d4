"""Every loss of the family written with PyTorch operations, from its equation: one function a member."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from . import _family

if TYPE_CHECKING:
    from .loss import Loss


@dataclasses.dataclass
class Batch:
    """What a formula looks at beside its logits ``[N, C]``."""

    labels: Tensor  #: [N]
    counted: Tensor  #: [N], false for ignored samples
    counts: Tensor  #: [C]; a class without samples counts like the rarest one that has some
    total: int  #: of all samples
    keys: dict[str, Any]
    state: Tensor  #: what the loss carries
    class_weights: Tensor  #: [C], in force
    unweighted: Tensor  #: [N]; times this, a term is free of class weights
    features: Tensor | None = None  #: [N, D]
    weight: Tensor | None = None  #: [C, D] of a linear head
    bias: Tensor | None = None  #: [C]
    offsets: Tensor | None = None  #: [N, C]
    noise: Tensor | None = None  #: [N, C]

    @property
    def prior(self) -> Tensor:
        return self.counts / self.total


#: A member: logits and batch to losses [N].
Formula = Callable[[Tensor, Batch], Tensor]
#: What comes on top of the mean of the losses.
Term = Callable[[Tensor, Batch], Tensor]


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, reduction="none")


def _margins(counts: Tensor, max_margin: float) -> Tensor:
    """``D[j] = max_margin (n_min / n[j])^(1/4)``."""
    return max_margin * (counts.min() / counts) ** 0.25


def _true_logit(z: Tensor, y: Tensor) -> Tensor:
    return z.gather(1, y.unsqueeze(1)).squeeze(1)


def _replaced(z: Tensor, y: Tensor, true_logit: Tensor) -> Tensor:
    return z.scatter(1, y.unsqueeze(1), true_logit.unsqueeze(1))


def _wrong(z: Tensor, y: Tensor) -> Tensor:
    """Constant for the gradient, minus infinity at the label."""
    return z.detach().scatter(1, y.unsqueeze(1), -math.inf)


def _with_true_logit(rule: Callable[[Tensor, Tensor, Batch], Tensor]) -> Formula:
    """Cross entropy of the scaled logits with another true logit, of the true and the largest wrong one."""

    def formula(z: Tensor, b: Batch) -> Tensor:
        true_logit = rule(_true_logit(z, b.labels), _wrong(z, b.labels).amax(1), b)
        return _cross_entropy(b.keys["scale"] * _replaced(z, b.labels, true_logit), b.labels)

    return formula


def _ce(z: Tensor, b: Batch) -> Tensor:
    return _cross_entropy(b.keys.get("scale", 1.0) * z, b.labels)


@_with_true_logit
def _ldam(t: Tensor, rival: Tensor, b: Batch) -> Tensor:
    return t - _margins(b.counts, b.keys["max_margin"])[b.labels]


def _elm(z: Tensor, b: Batch) -> Tensor:
    margins = _margins(b.counts, b.keys["max_margin"])
    rival = _wrong(z, b.labels).argmax(1)
    raised = b.keys["lambda"] * margins[rival]
    t = _true_logit(z, b.labels) - margins[b.labels]
    if b.keys.get("placement") == "rival":
        z = z + F.one_hot(rival, z.shape[1]) * raised.unsqueeze(1)
    else:
        t = t + raised
    return _cross_entropy(b.keys["scale"] * _replaced(z, b.labels, t), b.labels)


def _bs(z: Tensor, b: Batch) -> Tensor:
    return _cross_entropy(b.keys["scale"] * z + b.counts.log(), b.labels)


def _la(z: Tensor, b: Batch) -> Tensor:
    return _cross_entropy(b.keys["scale"] * z + b.keys["tau"] * b.prior.log(), b.labels)


def _vs(z: Tensor, b: Batch) -> Tensor:
    slope = (b.counts / b.counts.max()) ** b.keys["gamma"]
    return _cross_entropy(b.keys["scale"] * slope * z + b.keys["tau"] * b.prior.log(), b.labels)


def _cdt(z: Tensor, b: Batch) -> Tensor:
    return _cross_entropy(b.keys["scale"] * z / (b.counts.max() / b.counts) ** b.keys["gamma"], b.labels)


def _focal(z: Tensor, b: Batch) -> Tensor:
    c = _ce(z, b)
    return c if b.keys["gamma"] == 0 else (-torch.expm1(-c)) ** b.keys["gamma"] * c


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


@_with_true_logit
def _mm(t: Tensor, rival: Tensor, b: Batch) -> Tensor:
    margin = torch.full_like(b.counts, b.keys["max_margin"])
    if b.keys["variant"] == "ldam":
        margin = margin - _margins(b.counts, 0.5)
    margin = margin[b.labels]
    gap = t.detach() - rival.clamp_min(0)
    right, wrong = torch.exp(-gap - b.keys["gamma"] * margin), torch.exp(gap - margin)
    return t - torch.where(gap > 0, right, torch.where(gap < 0, wrong, 0))


@_with_true_logit
def _ala(t: Tensor, rival: Tensor, b: Batch) -> Tensor:
    strength = math.log(2) / torch.log(b.counts / b.counts.min() + 1)
    return t - strength[b.labels] * (1 - t.detach()) / 2


def _turned(cosine: Tensor, angle: Tensor | float) -> Tensor:
    """The cosine of an angle that is larger by `angle`."""
    angle = torch.as_tensor(angle, dtype=cosine.dtype, device=cosine.device)
    sine = (1 - cosine * cosine).clamp_min(1e-12).sqrt()
    return cosine * angle.cos() - sine * angle.sin()


def _dbm(z: Tensor, b: Batch) -> Tensor:
    margin = (b.keys["max_margin"] * (b.counts.min() / b.counts) ** b.keys["tau"])[b.labels]
    t = _true_logit(z, b.labels)
    hard = _wrong(z, b.labels).amax(1) > t
    turned = _turned(t, margin * (1 + hard * b.keys["lambda"] * (1 - t) / 2))
    u = b.keys["scale"] * _replaced(z, b.labels, turned)
    return _cross_entropy(u + b.prior.log() if b.keys["base"] == "bs" else u, b.labels)


@_with_true_logit
def _arcface(t: Tensor, rival: Tensor, b: Batch) -> Tensor:
    margin = b.keys["margin"]
    if b.keys["variant"] == "opensphere":
        angle = t.detach().clamp(-1, 1).acos() + margin
        return t + (angle.clamp_max(3.14159).cos() - t.detach())
    passes = t <= math.cos(math.pi - margin)
    return torch.where(passes, t - margin * math.sin(margin), _turned(t, margin))


@_with_true_logit
def _cosface(t: Tensor, rival: Tensor, b: Batch) -> Tensor:
    return t - b.keys["margin"]


@_with_true_logit
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
    noise = (torch.randn_like(z) / 3).clamp(-1, 1) if b.noise is None else b.noise
    v = z.scatter_add(1, b.labels.unsqueeze(1), torch.full_like(z[:, :1], -b.keys["margin"]))
    return _cross_entropy(b.keys["scale"] * (v - b.keys["noise"] * noise.abs() * amplitude), b.labels)


def _lade(z: Tensor, b: Batch) -> Tensor:
    return _cross_entropy(z + (b.prior + 1e-9).log(), b.labels)


def _lade_term(z: Tensor, b: Batch) -> Tensor:
    z, y = z[b.counted], b.labels[b.counted]
    own = F.one_hot(y, z.shape[1]).to(z.dtype)
    s = z.logsumexp(0) - (b.prior + 1e-9).log() + math.log(1 / z.shape[1] + 1e-9) - math.log(max(len(z), 1))
    mean = (own * z).sum(0) / (own.sum(0) + 1e-8)
    return -b.keys["alpha"] * (b.prior * (mean - s - b.keys["lambda"] * s**2)).sum()


def _ib(z: Tensor, b: Batch) -> Tensor:
    assert b.features is not None
    c = _ce(z, b)
    influence = -2 * torch.expm1(-c) * b.features.abs().sum(1) + 0.001
    losses = b.keys["alpha"] * c / influence
    if "gamma" not in b.keys:
        return losses
    return losses * (-torch.expm1(-b.class_weights[b.labels] * c)) ** b.keys["gamma"]


def _seesaw(z: Tensor, b: Batch) -> Tensor:
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
    rare = (b.prior < b.keys["lambda"]) & ~own
    if b.keys["kind"] == "sigmoid":
        return (F.softplus(-_signs(z, b) * z) * ~rare).sum(1)
    spared = rare & (torch.rand_like(z) < b.keys["gamma"] if b.noise is None else b.noise != 0)
    return _cross_entropy(z.masked_fill(spared, -math.inf), b.labels)


def _loce(z: Tensor, b: Batch) -> Tensor:
    return _cross_entropy(b.keys["scale"] * z + b.state.log(), b.labels)


def _false_cross_entropy(u: Tensor, b: Batch) -> Tensor:
    p = u.softmax(1)
    frequent = b.counts > b.counts[b.labels].unsqueeze(1)
    false = ((1 - p + 1e-7).log() * frequent).sum(1)
    return -(_true_logit(p, b.labels) + 1e-7).log() - false


def _fce(z: Tensor, b: Batch) -> Tensor:
    return _false_cross_entropy(z / b.keys["temperature"], b)


def _lafce(z: Tensor, b: Batch) -> Tensor:
    return _false_cross_entropy(z / b.keys["temperature"] + b.prior.log(), b)


def _las(z: Tensor, b: Batch) -> Tensor:
    span = b.counts.max() - b.counts.min()
    t = torch.where(span > 0, (b.counts - b.counts.min()) / span.clamp_min(1), 0)
    head, tail, quarter = b.keys["head"], b.keys["tail"], math.pi / 2
    smoothing = {
        "concave": tail + (head - tail) * torch.sin(quarter * t),
        "linear": tail + (head - tail) * t,
        "convex": head + (head - tail) * torch.sin(3 * quarter + quarter * t),
    }[b.keys["shape"]][b.labels]
    log_p = z.log_softmax(1)
    return -(1 - smoothing) * _true_logit(log_p, b.labels) - smoothing * log_p.mean(1)


def _logitnorm(z: Tensor, b: Batch) -> Tensor:
    norm = (z * z).sum(1, keepdim=True)
    norm = torch.where(norm > 0, norm, 1).sqrt() * (norm > 0)
    return _cross_entropy(z / (b.keys["temperature"] * (norm + 1e-7)), b.labels)


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


def _dro_term(z: Tensor, b: Batch) -> Tensor:
    assert b.features is not None
    classes = z.shape[1]
    h, y = b.features[b.counted], b.labels[b.counted]
    means = b.state[classes:].reshape(classes, -1).to(h.dtype)
    own = F.one_hot(y, classes).T.to(h.dtype)  # [C, N]
    radius = b.keys["epsilon"] / b.counts.sqrt()
    d = -_distances(h.unsqueeze(0), means.unsqueeze(1)) - radius.unsqueeze(1) * own
    members = own.sum(1)
    of_class = -(own * (d / b.keys["temperature"]).log_softmax(1)).sum(1) / members.clamp_min(1)
    share = b.class_weights * (members > 0)
    return b.keys["alpha"] * (share * of_class).sum() / share.sum().clamp_min(torch.finfo(h.dtype).tiny)


def _lmd_term(z: Tensor, b: Batch) -> Tensor:
    assert b.features is not None and b.weight is not None
    classes, k = z.shape[1], b.keys
    power = 1 if k["norm"] == "l1" else 2
    h, y = b.features[b.counted], b.labels[b.counted]
    own = F.one_hot(y, classes).T.to(h.dtype)
    members = own.sum(1)
    present = members > 0
    batch_means = own @ h / members.clamp_min(1).unsqueeze(1)
    # The state holds the running means with this batch taken in; the batch's part of them has a gradient.
    running = b.state[classes:].reshape(classes, -1).to(h.dtype)
    part = torch.where(b.state[:classes] <= 1, 1.0, 1 - k["momentum"]).to(h.dtype).unsqueeze(1)
    running = running + part * (batch_means - batch_means.detach())
    excess = (_distances(h, running[y], power) - k["delta_v"]).clamp_min(0) ** 2
    compact = (own @ excess) / members.clamp_min(1)
    bias = b.weight.new_zeros(classes) if b.bias is None else b.bias
    scores = batch_means @ b.weight.T + bias  # [C of the mean, C]
    apart = _distances(b.weight.unsqueeze(0), b.weight.unsqueeze(1))
    valid = apart > 0
    gap = (scores - scores.diagonal().unsqueeze(1)) / torch.where(valid, apart, 1)
    boundary = ((k["delta_d"] + gap) * valid).clamp_min(0).amax(1)
    norms = _distances(running, torch.zeros_like(running), power)
    total = k["alpha"] * compact + k["beta"] * boundary + k["gamma"] * norms
    return (total * present).sum() / present.sum().clamp_min(1)


def _tam(z: Tensor, b: Batch) -> Tensor:
    if b.offsets is None:
        raise ValueError("the margins of the nodes are not composed; give offsets= with the loss 'tam' on this device")
    u = b.keys["scale"] * z + b.offsets
    return _cross_entropy(u + b.counts.log() if b.keys["base"] == "bs" else u, b.labels)


def _tam_before(z: Tensor, b: Batch) -> Tensor:
    return _bs(z, b) if b.keys["base"] == "bs" else _ce(z, b)


FORMULAS: dict[str, Formula] = {
    "ce": _ce,
    "ldam": _ldam,
    "elm": _elm,
    "bs": _bs,
    "la": _la,
    "vs": _vs,
    "cdt": _cdt,
    "focal": _focal,
    "poly1": _poly1,
    "cb": _cb,
    "gr": _ce,
    "mm": _mm,
    "ala": _ala,
    "dbm": _dbm,
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
    "logitnorm": _logitnorm,
    "lm-softmax": _lm_softmax,
    "arcface": _arcface,
    "cosface": _cosface,
    "sphereface": _sphereface,
    "dro-lt": _ce,
    "lmd": _ce,
    "tam": _tam,
}

#: Members with a term of the whole batch: there is no loss of one sample.
TERMS: dict[str, Term] = {"lade": _lade_term, "dro-lt": _dro_term, "lmd": _lmd_term}


def composed_losses(loss: Loss, logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor | None]:
    """The loss of each sample before any weight, ``[N]``, and the term of the whole batch where there is one; ignored
    samples cost nothing, whatever is in them."""
    logits = torch.where(batch.counted.unsqueeze(1), logits, 0)
    name = _family.member_name(loss.spec)
    formula, term = FORMULAS[name], TERMS.get(name)
    if not loss.started:
        formula, term = _tam_before if name == "tam" else _ce, None
    losses = torch.where(batch.counted, formula(logits, batch), 0)
    return losses, None if term is None else term(logits, batch)
