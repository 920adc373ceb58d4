"""The losses on arrays."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch

import ulmus
from ulmus.functional import adjust_logits, loss_and_grad, prepare

from .conftest import long_tail

COUNTS = long_tail(10)
LOGITS = np.random.default_rng(0).normal(size=(32, 10))
LABELS = np.arange(32) % 10


@pytest.mark.parametrize("reduction", ["weighted-mean", "mean", "sum", "none"])
def test_it_is_the_module(reduction: str) -> None:
    loss = ulmus.Loss("elm:lambda=0.5+cb", COUNTS, reduction=reduction)
    logits = torch.tensor(LOGITS, requires_grad=True)
    weights = np.linspace(0, 2, 32)
    expected = loss(logits, torch.tensor(LABELS), torch.tensor(weights))
    expected.sum().backward()
    for given in (loss, prepare("elm:lambda=0.5+cb", COUNTS)):
        value, gradient = loss_and_grad(LOGITS, LABELS, given, sample_weights=weights, reduction=reduction)
        np.testing.assert_array_equal(value, expected.detach().numpy())
        np.testing.assert_array_equal(gradient, logits.grad)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_the_gradient_has_the_dtype_of_the_logits_and_may_take_their_place(dtype: type) -> None:
    logits = LOGITS.astype(dtype)
    value, gradient = loss_and_grad(logits, LABELS, "la", COUNTS)
    assert gradient.dtype == dtype and isinstance(value, float)
    again, same = loss_and_grad(logits, LABELS, "la", COUNTS, out=logits)
    assert again == value and same is logits
    np.testing.assert_array_equal(logits, gradient)


def test_anything_that_speaks_dlpack_goes_in() -> None:
    expected, gradient = loss_and_grad(LOGITS, LABELS, "bs", COUNTS)
    tensors = torch.tensor(LOGITS), torch.tensor(LABELS)
    assert loss_and_grad(*tensors, "bs", COUNTS)[0] == expected
    out = torch.empty(32, 10, dtype=torch.bfloat16)
    value, _ = loss_and_grad(tensors[0].bfloat16(), tensors[1], "bs", COUNTS, out=out)
    assert abs(value - expected) < 0.01
    np.testing.assert_allclose(out.float().numpy(), gradient, atol=1e-3)
    frozen = LOGITS.copy()
    frozen.setflags(write=False)
    assert loss_and_grad(frozen, LABELS.tolist(), "bs", COUNTS)[0] == expected
    assert loss_and_grad(np.asfortranarray(LOGITS), LABELS, "bs", COUNTS)[0] == expected
    assert loss_and_grad(np.hstack([LOGITS, LOGITS])[:, :10], LABELS, "bs", COUNTS)[0] == expected


def test_class_weights_take_the_place_of_those_of_a_rule() -> None:
    weights = np.linspace(1, 2, 10)
    loss = ulmus.Loss("ce", COUNTS)
    loss.set_class_weights(weights)
    expected = loss(torch.tensor(LOGITS), torch.tensor(LABELS)).item()
    assert loss_and_grad(LOGITS, LABELS, "ce+cb", COUNTS, class_weights=weights)[0] == expected


def test_the_interpreter_lock_is_released() -> None:
    logits = np.random.default_rng(0).normal(size=(4096, 2000))
    labels = np.zeros(4096, dtype=np.int64)
    loss = prepare("elm", long_tail(2000))
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            loss_and_grad(logits, labels, loss, out=logits.copy(), threads=1)

    thread = threading.Thread(target=work)
    thread.start()
    longest, end = 0.0, time.perf_counter() + 0.5
    while (now := time.perf_counter()) < end:
        time.sleep(0)
        longest = max(longest, time.perf_counter() - now)
    done.set()
    thread.join()
    assert longest < 0.3  # if the lock were held, each call of the other thread would block this one


def test_a_posthoc_adjustment_keeps_kind_and_dtype() -> None:
    array, tensor = LOGITS.astype(np.float32), torch.tensor(LOGITS, dtype=torch.bfloat16)
    assert adjust_logits(array, COUNTS).dtype == np.float32
    assert adjust_logits(tensor, COUNTS, 0.5).dtype == torch.bfloat16
    np.testing.assert_array_equal(adjust_logits(array, COUNTS, 0.0), array)


FAILURES = [
    (dict(loss="ell"), ValueError, "unknown loss 'ell'; did you mean 'elm'?"),
    (dict(class_counts=None), TypeError, "came without class_counts"),
    (dict(class_counts=COUNTS[:4]), ValueError, "10 columns, expected one for each of the 4 class counts"),
    (dict(labels=LABELS.astype(float)), TypeError, "the labels are float64, expected int64"),
    (dict(labels=LABELS[:5]), ValueError, "5 labels came with 32 rows of logits"),
    (
        dict(labels=np.where(LABELS == 3, 77, LABELS)),
        ValueError,
        "label 77 at position 3 is out of range, expected 0 to 9",
    ),
    (dict(labels=LABELS[None]), ValueError, r"the labels are \[1, 32\]"),
    (dict(logits=LOGITS.astype(np.int64)), TypeError, "dtype without a kernel"),
    (dict(logits=LOGITS[0]), ValueError, r"the logits are \[10\], expected floating point \[N, 10\]"),
    (dict(out=np.empty((3, 10))), ValueError, r"the gradient is \[3, 10\], expected \[32, 10\]"),
    (dict(out=np.empty((32, 10), np.float32)), TypeError, "another dtype than the logits"),
    (dict(sample_weights=np.full(32, np.nan)), ValueError, "the sample weight at position 0 is nan"),
    (dict(sample_weights=np.ones(3)), ValueError, "3 sample weights came with 32 rows"),
    (dict(reduction="max"), ValueError, "unknown reduction 'max'"),
    (dict(loss=3), TypeError, "the loss is a int"),
    (dict(logits=torch.tensor(LOGITS).bfloat16()), TypeError, "NumPy has no array for torch.bfloat16"),
]


@pytest.mark.parametrize("change, kind, message", FAILURES)
def test_mistakes_are_named(change: dict[str, object], kind: type[Exception], message: str) -> None:
    arguments = {"logits": LOGITS, "labels": LABELS, "loss": "ce", "class_counts": COUNTS} | change
    if not isinstance(arguments["loss"], str):
        arguments["class_counts"] = None
    with pytest.raises(kind, match=message):
        loss_and_grad(**arguments)  # type: ignore[arg-type]


def test_a_read_only_out_is_refused() -> None:
    out = np.empty((32, 10))
    out.setflags(write=False)
    with pytest.raises(TypeError, match="cannot be read without a copy|writable"):
        loss_and_grad(LOGITS, LABELS, "ce", COUNTS, out=out)
