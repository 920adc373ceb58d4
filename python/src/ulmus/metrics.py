"""Metrics for long-tailed classification as functions of ``(y_true, y_pred)`` with scikit-learn's names.

:func:`evaluate` returns the metrics of the program's report at once, from logits, with the same numbers and keys.
Averages over classes exclude classes without samples in `y_true`. The functions work with
``sklearn.metrics.make_scorer``. `class_counts` are given as for a loss: in the order of the classes, or as a
``Counter``, a ``dict`` or pandas' ``value_counts()`` by class.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core, _family
from ._score_metrics import (
    average_precision_score,
    brier_score_loss,
    precision_at_threshold,
    recall_at_precision,
    recall_at_threshold,
    roc_auc_score,
)

__all__ = [
    "accuracy_score",
    "average_precision_score",
    "balanced_accuracy_score",
    "brier_score_loss",
    "confusion_matrix",
    "evaluate",
    "expected_calibration_error",
    "f1_score",
    "few_shot_score",
    "geometric_mean_score",
    "log_loss",
    "many_shot_score",
    "margins",
    "matthews_corrcoef",
    "medium_shot_score",
    "precision_at_threshold",
    "precision_score",
    "recall_at_precision",
    "recall_at_threshold",
    "recall_score",
    "roc_auc_score",
    "top_k_accuracy_score",
    "worst_class_score",
]

_CALIBRATION_BINS = 15


def evaluate(
    logits: ArrayLike,
    labels: ArrayLike,
    class_counts: Iterable[Any],
    *,
    scale: float = 1.0,
    many_above: int = 100,
    few_below: int = 20,
) -> dict[str, Any]:
    """Evaluates logits ``[N, C]`` with labels ``[N]``; `class_counts` ``[C]``, the training samples of each class,
    define the shot groups.

    Uses the same code and keys as ``results/*.json`` of ``ulmus train``: ``top1``, ``top5``, ``balanced_accuracy``,
    ``macro_f1``, ``geometric_mean``, ``worst_class``, ``many_shot``, ``medium_shot``, ``few_shot``, ``ece``, ``nll``,
    ``mcc``, ``brier``, for two classes ``average_precision`` and ``roc_auc`` of the one with fewer training samples,
    ``confusion`` (for every true class, pairs of a predicted class and its count above 0), and for every class in
    ``classes`` precision, recall, f1, support and the distribution of its margins. Probabilities are
    ``softmax(scale * logits)``: pass ``loss.scale`` with the output of a cosine head. A value that does not exist is
    None.
    """
    matrix = np.ascontiguousarray(logits, dtype=np.float32)
    if matrix.ndim != 2:
        raise ValueError(f"the logits are {list(matrix.shape)}, expected [N, C]")
    counts = _family.class_counts(class_counts)
    text = _core.evaluate(matrix, _integer_labels(labels), counts, scale, many_above, few_below)
    result: dict[str, Any] = json.loads(text)
    return result


def _integer_labels(labels: ArrayLike) -> NDArray[np.int64]:
    array = np.asarray(labels)
    if array.dtype.kind not in "iu":
        raise TypeError(f"the labels are {array.dtype}, expected whole numbers")
    if array.ndim != 1:
        raise ValueError(f"the labels are {list(array.shape)}, expected [N]")
    return np.ascontiguousarray(array, dtype=np.int64)


def _pair(y_true: ArrayLike, y_other: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    truth, other = np.asarray(y_true), np.asarray(y_other)
    if truth.ndim != 1 or len(truth) != len(other):
        raise ValueError(
            f"y_true is {list(truth.shape)} and the predictions are {list(other.shape)}, expected one for each label"
        )
    if len(truth) == 0:
        raise ValueError("cannot evaluate an empty set; give at least one sample")
    return truth, other


def _scores(y_true: ArrayLike, y_score: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    truth, scores = _integer_labels(y_true), np.asarray(y_score, dtype=np.float64)
    if scores.ndim != 2 or len(scores) != len(truth):
        raise ValueError(f"the scores are {list(scores.shape)}, expected [{len(truth)}, C]")
    wrong = np.flatnonzero((truth < 0) | (truth >= scores.shape[1]))
    if len(wrong):
        raise ValueError(
            f"label {truth[wrong[0]]} at position {wrong[0]} is out of range, expected 0 to {scores.shape[1] - 1}"
        )
    return truth, scores


def recall_score(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[np.float64]:
    """Recall of every class in `y_true`, in the sorted order of the classes."""
    truth, predicted = _pair(y_true, y_pred)
    _, of_class, support = np.unique(truth, return_inverse=True, return_counts=True)
    recalls: NDArray[np.float64] = np.bincount(of_class, weights=truth == predicted) / support
    return recalls


def precision_score(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[np.float64]:
    """Precision of every class in `y_true`, in the sorted order of the classes; 0 for a class that is never
    predicted."""
    truth, predicted = _pair(y_true, y_pred)
    classes = np.unique(truth)
    chosen = predicted[:, None] == classes
    hits = (chosen & (truth[:, None] == classes)).sum(axis=0)
    precisions: NDArray[np.float64] = hits / np.maximum(chosen.sum(axis=0), 1)
    return precisions


def accuracy_score(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Fraction of samples that are predicted correctly (top-1)."""
    truth, predicted = _pair(y_true, y_pred)
    return float(np.mean(truth == predicted))


def balanced_accuracy_score(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mean recall over the classes."""
    return float(recall_score(y_true, y_pred).mean())


def geometric_mean_score(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Geometric mean of the recalls; 0 if one of them is 0."""
    recalls = recall_score(y_true, y_pred)
    return float(np.exp(np.log(recalls).mean())) if recalls.all() else 0.0


def worst_class_score(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Smallest recall of any class."""
    return float(recall_score(y_true, y_pred).min())


def f1_score(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mean F1 over the classes in `y_true` (macro); a class that is never predicted counts as 0."""
    truth, predicted = _pair(y_true, y_pred)
    scores = []
    for label in np.unique(truth):
        hits = np.sum((truth == label) & (predicted == label))
        scores.append(2 * hits / (np.sum(truth == label) + np.sum(predicted == label)))
    return float(np.mean(scores))


def matthews_corrcoef(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Matthews correlation of labels and predictions, -1 to 1, for two or more classes (Gorodkin, 2004); 0 if all
    labels or all predictions are of one class."""
    matrix = confusion_matrix(y_true, y_pred).astype(np.float64)
    total, of_truth, of_predicted = matrix.sum(), matrix.sum(axis=1), matrix.sum(axis=0)
    covariance = np.trace(matrix) * total - of_truth @ of_predicted
    spread = (total**2 - of_truth @ of_truth) * (total**2 - of_predicted @ of_predicted)
    return float(covariance / np.sqrt(spread)) if spread > 0 else 0.0


def confusion_matrix(y_true: ArrayLike, y_pred: ArrayLike) -> NDArray[np.int64]:
    """Counts ``[true, predicted]`` over the sorted classes of both."""
    truth, predicted = _pair(y_true, y_pred)
    classes, codes = np.unique(np.concatenate([truth, predicted]), return_inverse=True)
    matrix = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(matrix, (codes[: len(truth)], codes[len(truth) :]), 1)
    return matrix


def _shot_score(
    y_true: ArrayLike, y_pred: ArrayLike, class_counts: Iterable[Any], at_least: float = 0, at_most: float = math.inf
) -> float:
    counts = np.array(_family.class_counts(class_counts))
    truth = _integer_labels(y_true)
    classes = np.unique(truth)
    wrong = classes[(classes < 0) | (classes >= len(counts))]
    if len(wrong):
        raise ValueError(f"a label is {wrong[0]}, expected 0 to {len(counts) - 1}, one for each class count")
    of_classes = counts[classes]
    recalls = recall_score(truth, y_pred)[(of_classes >= at_least) & (of_classes <= at_most)]
    return float(recalls.mean()) if len(recalls) else float("nan")


def many_shot_score(y_true: ArrayLike, y_pred: ArrayLike, class_counts: Iterable[Any], many_above: int = 100) -> float:
    """Mean recall of the classes with more than `many_above` training samples; NaN if there are none."""
    return _shot_score(y_true, y_pred, class_counts, at_least=many_above + 1)


def medium_shot_score(
    y_true: ArrayLike, y_pred: ArrayLike, class_counts: Iterable[Any], many_above: int = 100, few_below: int = 20
) -> float:
    """Mean recall of the classes with `few_below` to `many_above` training samples; NaN if there are none."""
    return _shot_score(y_true, y_pred, class_counts, few_below, many_above)


def few_shot_score(y_true: ArrayLike, y_pred: ArrayLike, class_counts: Iterable[Any], few_below: int = 20) -> float:
    """Mean recall of the classes with fewer than `few_below` training samples; NaN if there are none."""
    return _shot_score(y_true, y_pred, class_counts, at_most=few_below - 1)


def top_k_accuracy_score(y_true: ArrayLike, y_score: ArrayLike, k: int = 5) -> float:
    """Fraction of samples whose class has one of the `k` highest scores in `y_score` ``[N, C]``; of equal scores the
    lowest class index ranks first."""
    truth, scores = _scores(y_true, y_score)
    of_truth = scores[np.arange(len(truth)), truth][:, None]
    before = np.arange(scores.shape[1]) < truth[:, None]
    rank = np.sum((scores > of_truth) | ((scores == of_truth) & before), axis=1)
    return float(np.mean(rank < k))


def log_loss(y_true: ArrayLike, y_prob: ArrayLike) -> float:
    """Mean negative log-likelihood of probabilities ``[N, C]``, in nats."""
    truth, probabilities = _scores(y_true, y_prob)
    with np.errstate(divide="ignore"):
        return float(-np.log(probabilities[np.arange(len(truth)), truth]).mean())


def expected_calibration_error(y_true: ArrayLike, y_prob: ArrayLike) -> float:
    """Gap between top probability and accuracy over 15 equal-width bins ``(lower, upper]``, weighted by the number of
    samples."""
    truth, probabilities = _scores(y_true, y_prob)
    confidence = probabilities.max(axis=1)
    gap = confidence - (probabilities.argmax(axis=1) == truth)
    bins = np.clip(np.ceil(confidence * _CALIBRATION_BINS).astype(int) - 1, 0, _CALIBRATION_BINS - 1)
    return float(np.abs(np.bincount(bins, weights=gap, minlength=_CALIBRATION_BINS)).sum() / len(truth))


def margins(y_true: ArrayLike, y_score: ArrayLike) -> NDArray[np.float64]:
    """Margin ``z[y] - max over j != y of z[j]`` of every sample, in the unit of the scores."""
    truth, scores = _scores(y_true, y_score)
    rows = np.arange(len(truth))
    wrong = scores.copy()
    wrong[rows, truth] = -np.inf
    result: NDArray[np.float64] = scores[rows, truth] - wrong.max(axis=1)
    return result
