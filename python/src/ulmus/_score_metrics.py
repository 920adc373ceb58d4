"""Metrics of scores and probabilities, one class against the others; part of :mod:`ulmus.metrics`."""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "average_precision_score",
    "brier_score_loss",
    "precision_at_threshold",
    "recall_at_precision",
    "recall_at_threshold",
    "roc_auc_score",
]

Doubles = NDArray[np.float64]
Average = Literal["macro"] | None


def _classes(labels: ArrayLike, classes: int) -> NDArray[np.int64]:
    truth = np.asarray(labels)
    if truth.dtype.kind not in "iub":
        raise TypeError(f"the labels are {truth.dtype}, expected whole numbers")
    if truth.ndim != 1:
        raise ValueError(f"the labels are {list(truth.shape)}, expected [N]")
    if len(truth) == 0:
        raise ValueError("cannot evaluate an empty set; give at least one sample")
    wrong = np.flatnonzero((truth < 0) | (truth >= classes))
    if len(wrong):
        raise ValueError(f"label {truth[wrong[0]]} at position {wrong[0]} is out of range, expected 0 to {classes - 1}")
    return truth.astype(np.int64)


def _columns(y_true: ArrayLike, y_score: ArrayLike) -> tuple[NDArray[np.bool_], Doubles, bool]:
    """Returns whether each sample is of each class and the score of that class, both ``[N, C]``, and whether there is
    only one column: scores ``[N]`` are those of class 1 of two."""
    scores = np.asarray(y_score, dtype=np.float64)
    if scores.ndim not in (1, 2) or len(scores) != np.asarray(y_true).shape[0]:
        raise ValueError(
            f"the scores are {list(scores.shape)}, expected [{np.asarray(y_true).shape[0]}, C] or, for class 1 of two, "
            f"[{np.asarray(y_true).shape[0]}]"
        )
    single = scores.ndim == 1
    truth = _classes(y_true, 2 if single else scores.shape[1])
    unknown = np.argwhere(np.isnan(scores))
    if len(unknown):
        raise ValueError(f"a score of sample {unknown[0][0]} is NaN, expected numbers")
    if single:
        return (truth == 1)[:, None], scores[:, None], True
    return truth[:, None] == np.arange(scores.shape[1]), scores, False


def _averaged(values: Doubles, is_class: NDArray[np.bool_], single: bool, average: Average) -> Any:
    if average not in ("macro", None):
        raise ValueError(f"average is {average!r}, expected 'macro' or None")
    if single:
        return float(values[0])
    if average is None:
        return values
    return float(values[is_class.any(axis=0)].mean())


def _curve(is_class: NDArray[np.bool_], scores: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Returns the distinct scores as thresholds in descending order and, for each, the number of samples at or above it
    and the number of those that are of the class."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(is_class[order])
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    return ranked[last], (last + 1).astype(np.float64), hits[last].astype(np.float64)


def _average_precision(is_class: NDArray[np.bool_], scores: Doubles) -> float:
    _, chosen, hits = _curve(is_class, scores)
    if hits[-1] == 0:
        return 0.0
    return float(np.sum(np.diff(hits, prepend=0) / hits[-1] * (hits / chosen)))


def _area_under_roc(is_class: NDArray[np.bool_], scores: Doubles) -> float:
    _, chosen, hits = _curve(is_class, scores)
    misses = chosen - hits
    if hits[-1] == 0 or misses[-1] == 0:
        return float("nan")
    # A tie counts half.
    width, height = np.diff(misses, prepend=0), (hits + np.concatenate([[0], hits[:-1]])) / 2
    return float((width @ height) / (hits[-1] * misses[-1]))


def _recall_at_precision(is_class: NDArray[np.bool_], scores: Doubles, precision: float) -> float:
    _, chosen, hits = _curve(is_class, scores)
    if hits[-1] == 0:
        return float("nan")
    enough = hits / chosen >= precision
    return float(hits[enough].max() / hits[-1]) if enough.any() else 0.0


@overload
def average_precision_score(y_true: ArrayLike, y_score: ArrayLike, *, average: Literal["macro"] = "macro") -> float: ...
@overload
def average_precision_score(y_true: ArrayLike, y_score: ArrayLike, *, average: None) -> Any: ...
def average_precision_score(y_true: ArrayLike, y_score: ArrayLike, *, average: Average = "macro") -> Any:
    """Average precision, the area under the precision-recall curve as a sum of steps: ``sum of (R[k] - R[k-1]) P[k]``
    over the distinct scores, highest first. Random scores give about the frequency of the class.

    Scores ``[N, C]`` give the macro average or, with ``average=None``, the value of every class against the others,
    ``[C]``; scores ``[N]`` are those of class 1 of two. A class without samples has 0, as in scikit-learn, and is
    excluded from the average.
    """
    is_class, scores, single = _columns(y_true, y_score)
    values = np.array([_average_precision(*column) for column in zip(is_class.T, scores.T)])
    return _averaged(values, is_class, single, average)


@overload
def roc_auc_score(y_true: ArrayLike, y_score: ArrayLike, *, average: Literal["macro"] = "macro") -> float: ...
@overload
def roc_auc_score(y_true: ArrayLike, y_score: ArrayLike, *, average: None) -> Any: ...
def roc_auc_score(y_true: ArrayLike, y_score: ArrayLike, *, average: Average = "macro") -> Any:
    """Area under the ROC curve: the probability that a sample of the class has a higher score than a sample of
    another class; a tie counts half. Shapes and averages are as for :func:`average_precision_score`, one class
    against the others (scikit-learn's ``multi_class="ovr"``). NaN if there are no samples of the class, or none of
    other classes."""
    is_class, scores, single = _columns(y_true, y_score)
    values = np.array([_area_under_roc(*column) for column in zip(is_class.T, scores.T)])
    return _averaged(values, is_class, single, average)


@overload
def recall_at_precision(
    y_true: ArrayLike, y_score: ArrayLike, precision: float, *, average: Literal["macro"] = "macro"
) -> float: ...
@overload
def recall_at_precision(y_true: ArrayLike, y_score: ArrayLike, precision: float, *, average: None) -> Any: ...
def recall_at_precision(y_true: ArrayLike, y_score: ArrayLike, precision: float, *, average: Average = "macro") -> Any:
    """The largest recall of a class at a threshold with at least this precision; 0 if no threshold reaches it, NaN for
    a class without samples. Shapes and averages are as for :func:`average_precision_score`."""
    if not 0 < precision <= 1:
        raise ValueError(f"the precision is {precision}, expected above 0 and at most 1")
    is_class, scores, single = _columns(y_true, y_score)
    values = np.array([_recall_at_precision(*column, precision) for column in zip(is_class.T, scores.T)])
    return _averaged(values, is_class, single, average)


def precision_at_threshold(
    y_true: ArrayLike, y_score: ArrayLike, threshold: float, *, average: Average = "macro"
) -> Any:
    """Precision among the samples whose score is at least the threshold; 0 if there are none (scikit-learn's
    ``zero_division=0``). Shapes and averages are as for :func:`average_precision_score`."""
    is_class, scores, single = _columns(y_true, y_score)
    chosen = scores >= threshold
    values = (chosen & is_class).sum(axis=0) / np.maximum(chosen.sum(axis=0), 1)
    return _averaged(values, is_class, single, average)


def recall_at_threshold(y_true: ArrayLike, y_score: ArrayLike, threshold: float, *, average: Average = "macro") -> Any:
    """Fraction of a class's samples whose score is at least the threshold; NaN for a class without samples. Shapes and
    averages are as for :func:`average_precision_score`."""
    is_class, scores, single = _columns(y_true, y_score)
    support = is_class.sum(axis=0)
    values = np.where(support > 0, ((scores >= threshold) & is_class).sum(axis=0) / np.maximum(support, 1), np.nan)
    return _averaged(values, is_class, single, average)


def brier_score_loss(y_true: ArrayLike, y_prob: ArrayLike, *, average: Literal["sum"] | None = "sum") -> Any:
    """Mean squared error of probabilities. For ``[N]``, the probabilities of class 1 of two: ``mean (p - [y = 1])^2``.
    For ``[N, C]``: the sum over the classes, ``mean of sum (p[j] - [y = j])^2``, halved for two classes so that it
    equals the value for ``[N]`` (scikit-learn's ``scale_by_half="auto"``); with ``average=None`` the error of each
    class, ``[C]``."""
    if average not in ("sum", None):
        raise ValueError(f"average is {average!r}, expected 'sum' or None")
    is_class, probabilities, single = _columns(y_true, y_prob)
    wrong = np.argwhere((probabilities < 0) | (probabilities > 1))
    if len(wrong):
        value = probabilities[tuple(wrong[0])]
        raise ValueError(f"a probability of sample {wrong[0][0]} is {value:g}, expected 0 to 1")
    errors: Doubles = ((probabilities - is_class) ** 2).mean(axis=0)
    if single:
        return float(errors[0])
    if average is None:
        return errors
    return float(errors.sum() / (2 if len(errors) == 2 else 1))
