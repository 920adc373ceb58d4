"""The losses on arrays, without PyTorch. DLPack arrays are read without a copy; gradients are NumPy arrays."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np

from . import _core, _family

__all__ = ["adjust_logits", "loss_and_grad", "prepare"]

_REDUCTIONS = {"mean": 0, "weighted-mean": 1, "sum": 2, "none": 2}


def prepare(loss: str, class_counts: Iterable[Any], class_weights: Iterable[float] | None = None) -> _core.Loss:
    """Prepares a loss for repeated calls of :func:`loss_and_grad`; `class_weights` replace the weights of a rule.

    Its ``text``, ``classes``, ``scale``, ``head`` and ``class_weights()`` describe the loss;
    ``set_epoch(epoch, epochs)`` sets the current epoch for ``+drw``.
    """
    _family.refuse_sampling_rule(loss)
    made = _core.Loss(loss, _family.class_counts(class_counts))
    if class_weights is not None:
        made.set_class_weights([float(weight) for weight in class_weights])
    return made


@functools.lru_cache(maxsize=64)
def _prepared(loss: str, counts: tuple[int, ...], weights: tuple[float, ...] | None) -> _core.Loss:
    return prepare(loss, counts, weights)


def loss_and_grad(
    logits: Any,
    labels: Any,
    loss: Any = "ce",
    class_counts: Iterable[Any] | None = None,
    *,
    class_weights: Iterable[float] | None = None,
    sample_weights: Any = None,
    reduction: str | None = None,
    ignore_index: int = -100,
    out: Any = None,
    threads: int = 0,
) -> tuple[Any, Any]:
    """Computes the loss of a batch and its gradient in one pass.

    >>> value, gradient = ulmus.functional.loss_and_grad(logits, labels, "elm:lambda=0.5", class_counts=counts)

    Args:
        logits: ``[N, C]``, float32, float64, float16 or bfloat16, contiguous along a row (NumPy arrays with another
            layout are copied).
        labels: ``[N]`` int64, each in ``[0, C)`` or `ignore_index`.
        loss: text, with `class_counts`; the result of :func:`prepare`; or an :class:`ulmus.Loss`.
        class_counts: number of training samples of each class, ``[C]``, as for :class:`ulmus.Loss`.
        class_weights: ``[C]``, replace the weights of a rule.
        sample_weights: ``[N]``.
        reduction: ``"weighted-mean"``, ``"mean"``, ``"sum"`` or ``"none"``, as for :class:`ulmus.Loss`. Default: the
            reduction of the loss or of its definition.
        ignore_index: samples with this label have zero loss.
        out: array that receives the gradient; may be `logits` itself.
        threads: maximum number of threads; 0: OpenMP's default. The interpreter lock is released.

    Returns the reduced loss as a float (float64 ``[N]`` with ``"none"``) and the gradient ``[N, C]`` in the dtype of
    the logits. Does not support losses that need features and does not update a state: use :class:`ulmus.Loss` for
    these. Raises the same errors as :class:`ulmus.Loss`.
    """
    if reduction is not None and reduction not in _REDUCTIONS:
        raise ValueError(f"unknown reduction {reduction!r}; {_family.nearest(str(reduction), _REDUCTIONS)}")
    core = _core_of(loss, class_counts, class_weights)
    if reduction is None:
        reduction = list(_REDUCTIONS)[core.reduction] if isinstance(loss, (str, _core.Loss)) else str(loss.reduction)
    logits = _array(logits)
    labels = _array(labels)
    if isinstance(labels, np.ndarray) and labels.dtype.kind in "iu":
        labels = np.ascontiguousarray(labels, dtype=np.int64)
    _check_dtype(labels, "int64", "labels")
    if len(logits.shape) != 2:
        raise ValueError(f"the logits are {list(logits.shape)}, expected floating point [N, {core.classes}]")
    if len(labels.shape) != 1:
        raise ValueError(
            f"the labels are {list(labels.shape)}, expected [{logits.shape[0]}], one for each row of logits"
        )
    if isinstance(logits, np.ndarray) and logits.dtype.kind == "f":
        # Reversed, transposed and big-endian arrays are copied.
        native = logits.dtype.newbyteorder("=")
        if logits.dtype != native or logits.strides[1] != logits.itemsize or logits.strides[0] < 0:
            logits = np.ascontiguousarray(logits, dtype=native)
    if out is None:
        if not isinstance(logits, np.ndarray):
            logits = _from_dlpack(logits)
        out = np.empty(logits.shape, dtype=logits.dtype)
    losses = np.empty(logits.shape[0]) if reduction == "none" else None
    if sample_weights is not None:
        sample_weights = np.ascontiguousarray(sample_weights, dtype=np.float64)
        if sample_weights.ndim != 1:
            raise ValueError(f"the sample weights are {list(sample_weights.shape)}, expected [{logits.shape[0]}]")
    try:
        value = _core.run_arrays(
            core, logits, labels, out, losses, sample_weights, ignore_index, _REDUCTIONS[reduction], threads
        )
    except TypeError as error:
        if "incompatible function arguments" not in str(error):
            raise
        came = f"logits {_describe(logits)}, labels {_describe(labels)}, out {_describe(out)}"
        message = f"the arrays cannot be read without a copy: {came}; give writable CPU arrays"
        raise TypeError(message) from None
    return (value if losses is None else losses), out


def _core_of(loss: Any, class_counts: Iterable[Any] | None, class_weights: Iterable[float] | None) -> _core.Loss:
    if isinstance(loss, str):
        if class_counts is None:
            raise TypeError(f"the loss '{loss}' came without class_counts, the training samples of each class")
        counts = tuple(_family.class_counts(class_counts))
        weights = None if class_weights is None else tuple(float(weight) for weight in class_weights)
        return _prepared(loss, counts, weights)
    if class_counts is not None or class_weights is not None:
        raise TypeError("class_counts and class_weights go with a loss in text; this one has its own")
    core = getattr(getattr(loss, "_handle", None), "core", loss)
    if not isinstance(core, _core.Loss):
        raise TypeError(
            f"the loss is a {type(loss).__name__}, expected text, ulmus.functional.prepare(...) or ulmus.Loss"
        )
    return core


def _array(value: Any) -> Any:
    return value if hasattr(value, "__dlpack__") else np.asarray(value)


def _from_dlpack(value: Any) -> Any:
    try:
        return np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError) as error:
        raise TypeError(f"NumPy has no array for {_describe(value)} ({error}); give `out` for the gradient") from None


def _describe(value: Any) -> str:
    return f"{getattr(value, 'dtype', type(value).__name__)} {list(getattr(value, 'shape', []))}"


def _check_dtype(value: Any, name: str, what: str) -> None:
    came = str(value.dtype).removeprefix("torch.")
    if came != name:
        raise TypeError(f"the {what} are {came}, expected {name}")


def adjust_logits(logits: Any, class_counts: Iterable[Any], tau: float = 1.0, kind: str = "additive") -> Any:
    """Post-hoc logit adjustment (Menon et al., ICLR 2021; Kang et al., ICLR 2020): shifts the predictions of a model
    that learned the class frequencies towards rare classes, without training.

    ``additive``: ``z[j] - tau log pi[j]``; ``multiplicative``: ``z[j] pi[j]^(-tau)``, with ``pi[j] = n[j] / sum n``.
    Takes an array or tensor ``[..., C]`` and returns the same kind. A class without samples counts like the rarest
    class with samples.
    """
    if kind not in ("additive", "multiplicative"):
        raise ValueError(f"unknown kind {kind!r}; {_family.nearest(str(kind), ['additive', 'multiplicative'])}")
    counts = _family.class_counts(class_counts)
    _core.Loss("ce", counts)  # raises an error for invalid counts
    if logits.shape[-1] != len(counts):
        raise ValueError(
            f"the logits have {logits.shape[-1]} columns, expected one for each of the {len(counts)} class counts"
        )
    smallest = min(count for count in counts if count > 0)
    log_prior = np.log(np.array([count or smallest for count in counts], dtype=np.float64) / sum(counts))
    numbers = tau * log_prior if kind == "additive" else np.exp(-tau * log_prior)
    if hasattr(logits, "new_tensor"):
        numbers = logits.new_tensor(numbers.tolist())
    else:
        logits = np.asarray(logits)
        numbers = numbers.astype(logits.dtype if logits.dtype.kind == "f" else np.float64)
    return logits - numbers if kind == "additive" else logits * numbers
