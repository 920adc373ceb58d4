"""Every loss compared with PyTorch operations, for shapes, counts and numbers chosen by Hypothesis."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import ulmus
from ulmus import _family
from ulmus.composed import FORMULAS

MEMBERS = sorted(_family.table()["losses"])
SETTINGS = {
    "ldam": ["ldam", "ldam:max_margin=0.3,scale=10"],
    "elm": ["elm", "elm:lambda=0.5", "elm:lambda=-0.7,max_margin=1,scale=5"],
    "la": ["la", "la:tau=1.5,scale=2"],
    "vs": ["vs", "vs:gamma=-0.2,tau=0.5"],
    "cdt": ["cdt", "cdt:gamma=0.4,scale=3"],
    "focal": ["focal", "focal:gamma=0.5", "focal:gamma=2,scale=4"],
}
#: Losses with a second implementation here; the others are compared with the composed formula.
TEXTBOOK = ["ce", "ldam", "elm", "bs", "la", "vs", "cdt", "focal"]
OTHERS = {
    "elm": ["elm:placement=rival,lambda=0.5"],
    "cb": ["cb", "cb:kind=sigmoid", "cb:kind=focal,gamma=2"],
    "mm": ["mm", "mm:variant=ldam,gamma=2"],
    "dbm": ["dbm", "dbm:base=bs,max_margin=0.3"],
    "kps": ["kps", "kps:scaling=label"],
    "ib": ["ib:from=0", "ib:weights=effective,from=0,alpha=10", "ib"],
    "ib-focal": ["ib-focal:from=0,gamma=2"],
    "eql": ["eql:lambda=0.05", "eql:kind=sigmoid,lambda=0.1"],
    "las": ["las", "las:shape=linear", "las:shape=convex"],
    "logitnorm": ["logitnorm:temperature=0.5"],
    "arcface": ["arcface:scale=10", "arcface:variant=opensphere,margin=2,scale=10"],
    "cosface": ["cosface:scale=10"],
    "dro-lt": ["dro-lt:from=0,temperature=1", "dro-lt"],
    "lmd": ["lmd", "lmd:norm=l1,gamma=0.1"],
    "tam": ["tam:from=0", "tam:from=0,base=bs", "tam"],
}
OTHER_TEXTS = [text for name in MEMBERS if name not in TEXTBOOK or name in OTHERS for text in OTHERS.get(name, [name])]
COSINES = {name for name in MEMBERS if _family.table()["losses"][name]["head"] == "cosine"}


def textbook(text: str, z: Tensor, y: Tensor, counts: list[int]) -> Tensor:
    """A second implementation of the losses, from the sums of exponentials in the equations."""
    name, k = _family.loss_name(text), _family.key_values(text)
    n = torch.tensor(counts, dtype=z.dtype)
    losses = []
    for row, label in zip(z, y.tolist()):
        s = k["scale"]
        v = s * row
        if name in ("ldam", "elm"):
            margins = k["max_margin"] * (n.min() / n) ** 0.25
            wrong = [j for j in range(len(counts)) if j != label]
            rival = max(wrong, key=lambda j: (row[j].item(), -j)) if wrong else label
            margin = margins[label] - (k["lambda"] * margins[rival] if name == "elm" else 0)
            v = torch.stack([s * (row[j] - margin if j == label else row[j]) for j in range(len(counts))])
        elif name == "bs":
            v = v + torch.log(n)
        elif name == "la":
            v = v + k["tau"] * torch.log(n / n.sum())
        elif name == "vs":
            v = v * (n / n.max()) ** k["gamma"] + k["tau"] * torch.log(n / n.sum())
        elif name == "cdt":
            v = v * (n.max() / n) ** -k["gamma"]
        c = torch.logsumexp(v, 0) - v[label]
        losses.append((1 - torch.exp(-c)) ** k["gamma"] * c if name == "focal" else c)
    return torch.stack(losses)


#: Rows, classes, seed, scale of the logits, imbalance ratio.
BATCHES = st.tuples(
    st.integers(1, 9),
    st.integers(2, 40),
    st.integers(0, 2**31),
    st.sampled_from([0.1, 1.0, 4.0]),
    st.sampled_from([1, 10, 100]),
)
Batch = tuple[int, int, int, float, int]


def make(batch: Batch, dtype: torch.dtype) -> tuple[Tensor, Tensor, list[int]]:
    rows, classes, seed, spread, ratio = batch
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (rows,), generator=generator)
    counts = [max(1, int(1000 * ratio ** (-j / classes))) for j in range(classes)]
    return logits.to(dtype).requires_grad_(), labels, counts


def assert_close(came: Tensor, expected: Tensor, tolerance: float) -> None:
    assert (came - expected).norm() <= tolerance * (1 + expected.norm())


def test_every_loss_has_a_formula() -> None:
    assert sorted(FORMULAS) == MEMBERS


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-11), (torch.float32, 2e-5)], ids=["f64", "f32"])
@pytest.mark.parametrize("text", [text for name in TEXTBOOK for text in SETTINGS.get(name, [name])])
@settings(max_examples=15)
@given(batch=BATCHES)
def test_kernel_composed_formula_and_equation_agree(
    text: str, dtype: torch.dtype, tolerance: float, batch: Batch
) -> None:
    logits, labels, counts = make(batch, dtype)
    loss = ulmus.Loss(text, counts)
    value = loss(logits, labels)
    (gradient,) = torch.autograd.grad(value, logits)
    assert value.dtype == gradient.dtype == dtype
    exact = logits.detach().double().requires_grad_()
    of_equation = textbook(text, exact, labels, counts).mean()
    (expected,) = torch.autograd.grad(of_equation, exact)
    assert_close(value.double(), of_equation, tolerance)
    assert_close(gradient.double(), expected, tolerance)
    of_operations = ulmus.composed_loss(loss, exact, labels)
    assert_close(of_operations, of_equation, 1e-11)
    assert_close(torch.autograd.grad(of_operations, exact)[0], expected, 1e-11)


@settings(max_examples=30)
@given(
    batch=BATCHES, name=st.sampled_from(TEXTBOOK), reduction=st.sampled_from(["weighted-mean", "mean", "sum", "none"])
)
def test_weights_reductions_and_ignored_samples_agree(batch: Batch, name: str, reduction: str) -> None:
    logits, labels, counts = make(batch, torch.float64)
    generator = torch.Generator().manual_seed(batch[2] + 1)
    labels = torch.where(torch.rand(len(labels), generator=generator) < 0.2, -100, labels)
    sample_weights = torch.rand(len(labels), generator=generator, dtype=torch.float64)
    class_weights = (torch.rand(len(counts), generator=generator, dtype=torch.float64) + 0.1).tolist()
    loss = ulmus.Loss(name, counts, reduction=reduction)
    loss.set_class_weights(class_weights)

    counted = labels != -100
    weights = torch.tensor(class_weights, dtype=torch.float64)[labels.clamp(0)] * sample_weights * counted
    losses = textbook(loss.spec, logits, labels.clamp(0), counts) * weights
    expected = {
        "none": losses,
        "sum": losses.sum(),
        "mean": losses.sum() / max(int(counted.sum()), 1),
        "weighted-mean": losses.sum() / max(weights.sum().item(), 1e-300),
    }[reduction]
    outer = torch.rand(expected.shape, generator=generator, dtype=torch.float64)
    (expected_gradient,) = torch.autograd.grad(expected, logits, outer)
    for function in (loss, lambda z, y, w: ulmus.composed_loss(loss, z, y, w)):
        value = function(logits, labels, sample_weights)
        assert_close(value, expected, 1e-11)
        assert_close(torch.autograd.grad(value, logits, outer)[0], expected_gradient, 1e-11)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-9), (torch.float32, 1e-4)], ids=["f64", "f32"])
@pytest.mark.parametrize("text", OTHER_TEXTS)
@settings(max_examples=15)
@given(batch=BATCHES, weighted=st.booleans())
def test_library_and_composed_formula_agree(
    text: str, dtype: torch.dtype, tolerance: float, batch: Batch, weighted: bool
) -> None:
    logits, labels, counts = make(batch, dtype)
    if _family.loss_name(text) in COSINES:
        logits = (0.95 * logits.detach().tanh()).requires_grad_()
    generator = torch.Generator().manual_seed(batch[2] + 1)
    rows, classes = logits.shape
    features = torch.randn(rows, 5, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    head = torch.nn.Linear(5, classes).to(dtype)
    context = {"features": features, "head": head}
    if text.startswith("tam"):
        context["offsets"] = torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    if text.startswith(("eql", "gcl")):
        noise = torch.rand(rows, classes, generator=generator, dtype=torch.float64)
        context["noise"] = noise.round() if text.startswith("eql") else noise
    weights = torch.rand(rows, generator=generator, dtype=torch.float64) + 0.1 if weighted else None
    loss = ulmus.Loss(text, counts)
    if weighted and loss.class_weights == [1.0] * classes:
        loss.set_class_weights((torch.rand(classes, generator=generator) + 0.1).tolist())
    value = loss(logits, labels, weights, **context)  # updates the state, if there is one
    wide = {
        name: tensor.double() if isinstance(tensor, torch.nn.Module) else tensor.detach().double().requires_grad_()
        for name, tensor in {**context, "head": copy.deepcopy(head)}.items()
    }
    exact = logits.detach().double().requires_grad_()
    expected = ulmus.composed_loss(loss, exact, labels, weights, **wide)
    assert value.dtype == dtype
    assert_close(value.double(), expected, tolerance)
    ours = [logits, features, head.weight, head.bias]
    theirs = [exact, wide["features"], wide["head"].weight, wide["head"].bias]
    made = torch.autograd.grad(value, ours, allow_unused=True)
    for came, right in zip(made, torch.autograd.grad(expected, theirs, allow_unused=True)):
        if right is None:
            assert came is None or not came.any()
        else:
            came = torch.zeros_like(right) if came is None else came
            assert_close(came.double(), right, tolerance)


def test_it_is_the_cross_entropy_of_pytorch() -> None:
    logits = torch.randn(64, 13, requires_grad=True)
    labels = torch.randint(13, (64,))
    weight = torch.rand(13)
    ours = ulmus.Loss("ce", [7] * 13)
    ours.set_class_weights(weight.tolist())
    value, expected = ours(logits, labels), F.cross_entropy(logits, labels, weight)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(*(torch.autograd.grad(loss, logits)[0] for loss in (value, expected)))
