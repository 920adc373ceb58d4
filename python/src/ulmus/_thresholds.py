"""Offsets of the classes that maximise a metric of the predictions; part of :mod:`ulmus.adjust`."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._costs import cost_matrix
from ._scores import Doubles, checked_labels, checked_weights, log_scores
from ._threshold_metrics import Metric, metric_of

__all__ = ["Thresholds", "fit_thresholds"]

_SWEEPS = 50


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """Predictions ``argmax over j of log p[j] + offsets[j]``.

    Attributes:
        offsets: ``[C]``, of mean 0.
        maximise: the metric that they were fitted by.
        value: of the metric on the samples of the fit.
    """

    offsets: Doubles
    maximise: str
    value: float

    @property
    def threshold(self) -> float:
        """For two classes: class 1 is predicted where its probability is above this."""
        if len(self.offsets) != 2:
            raise ValueError(f"there are {len(self.offsets)} classes and an offset for each; one threshold is for two")
        return float(1 / (1 + np.exp(self.offsets[1] - self.offsets[0])))

    def predict(self, scores: ArrayLike, *, logits: bool = False) -> NDArray[np.int64]:
        """The class of each row of probabilities (or logits) ``[N, C]``."""
        logs = log_scores(scores, logits)
        if logs.shape[1] != len(self.offsets):
            raise ValueError(f"the scores have {logs.shape[1]} classes, expected {len(self.offsets)}")
        predicted: NDArray[np.int64] = (logs + self.offsets).argmax(axis=1)
        return predicted


class _Fit:
    """Samples to choose offsets by, with the two best classes of each under the current offsets: so an offset can be
    searched and moved without a comparison of all classes."""

    def __init__(
        self, logs: Doubles, labels: NDArray[np.int64], weights: Doubles, costs: Doubles, metric: Metric
    ) -> None:
        self.logs, self.labels, self.weights, self.costs, self.metric = logs, labels, weights, costs, metric
        self.classes, self.rows = np.arange(logs.shape[1]), np.arange(len(logs))

    def _scan(self, rows: Any) -> None:
        """Finds the two best classes of samples; the lower class on a tie."""
        scores, places = self.logs[rows] + self.offsets, np.arange(len(self.rows[rows]))
        self.first[rows] = first = scores.argmax(axis=1)
        self.first_score[rows] = scores[places, first]
        scores[places, first] = -np.inf
        self.second[rows] = second = scores.argmax(axis=1)
        self.second_score[rows] = scores[places, second]

    def _start(self, offsets: Doubles) -> None:
        self.offsets = offsets.copy()
        self.first, self.second = np.zeros_like(self.rows), np.zeros_like(self.rows)
        self.first_score, self.second_score = np.zeros(len(self.rows)), np.zeros(len(self.rows))
        self._scan(slice(None))

    def _move(self, j: int, offset: float) -> None:
        self.offsets[j] = offset
        score = self.logs[:, j] + offset
        scanned = (self.first == j) | (self.second == j)
        leads = ~scanned & _above(score, j, self.first_score, self.first)
        follows = ~scanned & ~leads & _above(score, j, self.second_score, self.second)
        self.second[leads], self.second_score[leads] = self.first[leads], self.first_score[leads]
        self.first[leads], self.first_score[leads] = j, score[leads]
        self.second[follows], self.second_score[follows] = j, score[follows]
        self._scan(np.flatnonzero(scanned))

    def counts(self, predicted: NDArray[np.int64]) -> tuple[Doubles, Doubles, float]:
        """Weights of hits and of predictions of every class ``[C]``, and the mean cost."""
        hits = np.bincount(self.labels, self.weights * (predicted == self.labels), minlength=len(self.classes))
        total = np.bincount(predicted, self.weights, minlength=len(self.classes))
        cost = self.weights @ self.costs[self.labels, predicted] / self.weights.sum()
        return hits.astype(np.float64), total.astype(np.float64), float(cost)

    def value(self) -> float:
        hits, predicted, cost = self.counts(self.first)
        sums = self.metric.parts(hits, predicted, self.classes).sum(axis=1, keepdims=True)
        return float(self.metric.finish(sums, np.array([cost]))[0])

    def search(self, j: int) -> tuple[float, float]:
        """The best offset of class j, of all that there are, and its value: as it rises, the samples become j one after
        the other, and every metric along the way is a cumulative sum. Of equally good ones that nearest to the offset
        it has."""
        leads = self.first == j
        rival = np.where(leads, self.second, self.first)
        turns_at = np.where(leads, self.second_score, self.first_score) - self.logs[:, j]
        hits, predicted, cost = self.counts(rival)  # while no sample is j
        order = np.argsort(turns_at, kind="stable")
        turns_at, rival, labels, weights = turns_at[order], rival[order], self.labels[order], self.weights[order]

        # What each class loses sample by sample, and what that changes in its part of the metric.
        right = weights * (rival == labels)
        right_so_far, so_far = _so_far(np.stack([right, weights]), rival)
        hits_left, predicted_left = hits[rival] - right_so_far, predicted[rival] - so_far
        parts = self.metric.parts
        change = parts(hits_left, predicted_left, rival) - parts(hits_left + right, predicted_left + weights, rival)
        start = parts(hits, predicted, self.classes)
        start = (start.sum(axis=1) - start[:, j])[:, None]
        own = np.full(len(labels) + 1, j)
        of_j = parts(_cumulated(weights * (labels == j)), _cumulated(weights), own)
        sums = start + np.stack([_cumulated(row) for row in change]) + of_j
        costs = cost + _cumulated(weights * (self.costs[labels, j] - self.costs[labels, rival])) / weights.sum()

        edges = np.concatenate([[turns_at[0] - 2], turns_at, [turns_at[-1] + 2]])
        choices = (edges[:-1] + edges[1:]) / 2  # [N + 1], between the samples
        possible = edges[1:] - edges[:-1] > 1e-12 * np.maximum(1, np.abs(choices))
        values = np.where(possible, self.metric.finish(sums, costs), -np.inf)
        best = np.flatnonzero(values >= values.max() - 1e-10)
        chosen = best[np.argmin(np.abs(choices[best] - self.offsets[j]))]
        return float(choices[chosen]), float(values[chosen])

    def ascend(self, offsets: Doubles) -> tuple[float, Doubles]:
        self._start(offsets)
        value = self.value()
        for _ in range(_SWEEPS):
            before = value
            for j in self.classes[1 if len(self.classes) == 2 else 0 :]:
                offset, reached = self.search(int(j))
                if reached > value + 1e-12:
                    self._move(int(j), offset)
                    value = self.value()
            if value <= before + 1e-12:
                break
        return value, self.offsets


def _above(score: Doubles, j: int, others: Doubles, classes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the score of class j is above those of other classes; the lower class on a tie."""
    above: NDArray[np.bool_] = (score > others) | ((score == others) & (j < classes))
    return above


def _cumulated(values: Doubles) -> Doubles:
    """Sums of the first 0, 1, ... N values, ``[N + 1]``."""
    return np.concatenate([[0.0], np.cumsum(values)])


def _so_far(values: Doubles, groups: NDArray[np.int64]) -> Doubles:
    """The sum of each row of the values ``[K, N]`` up to each one, it included, in its group."""
    few = groups.astype(np.int16) if groups.max() < 2**15 else groups  # a stable sort of 16 bits takes linear time
    order = np.argsort(few, kind="stable")
    ranked = groups[order]
    sums = np.cumsum(values[:, order], axis=1)
    first = np.flatnonzero(np.diff(ranked, prepend=-1))  # of each group
    before = np.concatenate([np.zeros((len(values), 1)), sums[:, first[1:] - 1]], axis=1)
    result = np.empty_like(sums)
    result[:, order] = sums - np.repeat(before, np.diff(first, append=len(ranked)), axis=1)
    return result


def fit_thresholds(
    scores: ArrayLike,
    labels: ArrayLike,
    maximise: str = "balanced",
    *,
    costs: Any = None,
    positive: int | None = None,
    class_names: Any = None,
    sample_weight: ArrayLike | None = None,
    logits: bool = False,
) -> Thresholds:
    """Offsets of the log probabilities ``[C]`` whose predictions are the best by a metric. For two classes that is a
    threshold, and the best of all; for more, coordinate ascent from offsets of 0 and from those that predict every
    class equally often, each step being the best offset of one class.

    Args:
        scores: probabilities ``[N, C]``, or logits, of samples that the model was not trained on.
        labels: ``[N]``, each from 0 to C - 1.
        maximise: ``f1`` (of class `positive`; by default of class 1 of two, and the macro mean of more), ``mcc``,
            ``balanced`` (mean recall), ``cost`` (least mean cost) or ``recall@precision=0.9`` (the largest recall of
            class `positive`, by default 1 of two, with at least this precision).
        costs: for ``cost``, as :func:`ulmus.adjust.cost_matrix` reads them, with `class_names`.

    A sweep takes time for C N log N comparisons. What it finds is as good as `value` on these samples only: judge it
    on others.
    Raises ``ValueError`` for an unknown metric, a precision that no threshold has, and scores that are none.
    """
    logs = log_scores(scores, logits)
    classes = logs.shape[1]
    truth, weights = checked_labels(labels, len(logs), classes), checked_weights(sample_weight, len(logs))
    if positive is not None and not 0 <= positive < classes:
        raise ValueError(f"positive is {positive}, expected a class from 0 to {classes - 1}")
    matrix = None if costs is None else cost_matrix(costs, classes, class_names)
    support = np.bincount(truth, weights, minlength=classes).astype(np.float64)
    metric = metric_of(maximise, support, positive, matrix is not None)
    fit = _Fit(logs, truth, weights, np.zeros((classes, classes)) if matrix is None else matrix, metric)
    even = -np.log(np.maximum(np.average(np.exp(logs), axis=0, weights=weights), 1e-300))
    value, offsets = max(
        (fit.ascend(start) for start in (np.zeros(classes), even - even[0])), key=lambda found: found[0]
    )
    if value < -0.5 and maximise.startswith("recall@"):
        raise ValueError(
            f"no threshold has the precision of {maximise!r} on these samples, the highest is {value + 2:.3g}; ask for "
            "less"
        )
    return Thresholds(offsets - offsets.mean(), maximise, -value if maximise == "cost" else value)
