"""Offsets of the classes that maximise a metric of the predictions; part of :mod:`ulmus.adjust`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _family
from ._costs import cost_matrix
from ._scores import Doubles, checked_labels, checked_weights, log_scores

__all__ = ["Thresholds", "fit_thresholds"]

_METRICS = ["f1", "mcc", "balanced", "cost", "recall@precision=0.9"]
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


@dataclasses.dataclass(frozen=True)
class _Tally:
    """What metrics are made of, for each of M choices: hits and predictions of every class ``[M, C]``, the mean cost
    ``[M]``; and the support ``[C]``."""

    hits: Doubles
    predicted: Doubles
    cost: Doubles
    support: Doubles


#: From tallies to what is maximised, ``[M]``.
_Metric = Callable[[_Tally], Doubles]


def _divide(numerator: Doubles, denominator: Doubles) -> Doubles:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _f1(tally: _Tally) -> Doubles:
    return _divide(2 * tally.hits, tally.predicted + tally.support)


def _mcc(tally: _Tally) -> Doubles:
    total = tally.support.sum()
    covariance = total * tally.hits.sum(axis=1) - tally.predicted @ tally.support
    spread = (total**2 - (tally.predicted**2).sum(axis=1)) * (total**2 - tally.support @ tally.support)
    return _divide(covariance, np.sqrt(np.maximum(spread, 0)))


def _macro(of_classes: Doubles, tally: _Tally) -> Doubles:
    mean: Doubles = of_classes[:, tally.support > 0].mean(axis=1)
    return mean


def _recall_at(precision: float, positive: int) -> _Metric:
    """The recall where the precision is enough, and below 0 elsewhere, rising with the precision."""

    def metric(tally: _Tally) -> Doubles:
        hits, predicted = tally.hits[:, positive], tally.predicted[:, positive]
        reached = _divide(hits, predicted)
        return np.where(reached >= precision, hits / tally.support[positive], reached - 2)

    return metric


def _metric_of(maximise: str, positive: int | None, classes: int, costs: Doubles | None) -> _Metric:
    at_precision = re.fullmatch(r"recall@precision=(.*)", maximise)
    if at_precision:
        try:
            precision = float(at_precision[1])
        except ValueError:
            precision = 0.0
        if not 0 < precision <= 1:
            raise ValueError(f"the precision in {maximise!r} is {at_precision[1]!r}, expected above 0 and at most 1")
        if positive is None:
            if classes > 2:
                raise ValueError(f"{maximise!r} is of one class; give positive=, its number")
            positive = 1
        return _recall_at(precision, positive)
    if maximise == "f1":
        one = 1 if positive is None and classes == 2 else positive
        return (lambda tally: _macro(_f1(tally), tally)) if one is None else (lambda tally: _f1(tally)[:, one])
    if positive is not None:
        raise ValueError(f"positive= is for f1 and recall@precision, not for {maximise!r}; leave it out")
    if maximise == "mcc":
        return _mcc
    if maximise == "balanced":
        return lambda tally: _macro(_divide(tally.hits, np.broadcast_to(tally.support, tally.hits.shape)), tally)
    if maximise == "cost":
        if costs is None:
            raise ValueError("maximise is 'cost', but there are no costs; give costs=, a matrix [true, predicted]")
        return lambda tally: -tally.cost
    raise ValueError(f"unknown metric to maximise {maximise!r}; {_family.nearest(maximise, _METRICS)}")


class _Fit:
    """Samples to choose offsets by."""

    def __init__(
        self, logs: Doubles, labels: NDArray[np.int64], weights: Doubles, costs: Doubles, metric: _Metric
    ) -> None:
        self.logs, self.labels, self.weights, self.costs, self.metric = logs, labels, weights, costs, metric
        self.classes = logs.shape[1]
        self.support: Doubles = np.bincount(labels, weights, minlength=self.classes).astype(np.float64)

    def value(self, offsets: Doubles) -> float:
        predicted = (self.logs + offsets).argmax(axis=1)
        hits = np.bincount(self.labels, self.weights * (predicted == self.labels), minlength=self.classes)
        counts = np.bincount(predicted, self.weights, minlength=self.classes)
        cost = self.weights @ self.costs[self.labels, predicted] / self.weights.sum()
        one = _Tally(hits[None].astype(np.float64), counts[None].astype(np.float64), np.array([cost]), self.support)
        return float(self.metric(one)[0])

    def search(self, offsets: Doubles, j: int) -> float:
        """The best offset of class j, of all that there are: as it rises, the samples become j one after the other, and
        every metric along the way is a cumulative sum. Of equally good ones that nearest to the offset it has."""
        others = self.logs + offsets
        others[:, j] = -np.inf
        rival = others.argmax(axis=1)
        turns_at = others[np.arange(len(others)), rival] - self.logs[:, j]
        order = np.argsort(turns_at, kind="stable")
        turns_at, rival, labels, weights = turns_at[order], rival[order], self.labels[order], self.weights[order]

        one_hot = np.eye(self.classes)
        of_rival, of_label = one_hot[rival] * weights[:, None], labels[:, None] == np.arange(self.classes)
        right = of_rival * of_label
        predicted = of_rival.sum(axis=0) - _cumulated(of_rival)
        predicted[:, j] += _cumulated(weights[:, None])[:, 0]
        hits = right.sum(axis=0) - _cumulated(right)
        hits[:, j] += _cumulated((weights * (labels == j))[:, None])[:, 0]
        before, after = self.costs[labels, rival], self.costs[labels, j]
        cost = (weights @ before + _cumulated((weights * (after - before))[:, None])[:, 0]) / weights.sum()

        edges = np.concatenate([[turns_at[0] - 2], turns_at, [turns_at[-1] + 2]])
        choices = (edges[:-1] + edges[1:]) / 2  # [N + 1], between the samples
        possible = edges[1:] - edges[:-1] > 1e-12 * np.maximum(1, np.abs(choices))
        values = np.where(possible, self.metric(_Tally(hits, predicted, cost, self.support)), -np.inf)
        best = np.flatnonzero(values >= values.max() - 1e-12)
        return float(choices[best[np.argmin(np.abs(choices[best] - offsets[j]))]])

    def ascend(self, offsets: Doubles) -> tuple[float, Doubles]:
        value = self.value(offsets)
        for _ in range(_SWEEPS):
            before = value
            for j in range(1 if self.classes == 2 else 0, self.classes):
                moved = offsets.copy()
                moved[j] = self.search(offsets, j)
                if (reached := self.value(moved)) > value + 1e-12:
                    value, offsets = reached, moved
            if value <= before + 1e-12:
                break
        return value, offsets


def _cumulated(values: Doubles) -> Doubles:
    """Sums of the first 0, 1, ... N rows, ``[N + 1, C]``."""
    return np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])


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

    Takes memory for 8 N C numbers. What it finds is as good as `value` on these samples only: judge it on others.
    Raises ``ValueError`` for an unknown metric, a precision that no threshold has, and scores that are none.
    """
    logs = log_scores(scores, logits)
    classes = logs.shape[1]
    truth, weights = checked_labels(labels, len(logs), classes), checked_weights(sample_weight, len(logs))
    if positive is not None and not 0 <= positive < classes:
        raise ValueError(f"positive is {positive}, expected a class from 0 to {classes - 1}")
    matrix = None if costs is None else cost_matrix(costs, classes, class_names)
    metric = _metric_of(maximise, positive, classes, matrix)
    fit = _Fit(logs, truth, weights, np.zeros((classes, classes)) if matrix is None else matrix, metric)
    even = -np.log(np.average(np.exp(logs), axis=0, weights=weights))
    value, offsets = max(
        (fit.ascend(start) for start in (np.zeros(classes), even - even[0])), key=lambda found: found[0]
    )
    if value < -0.5 and maximise.startswith("recall@"):
        raise ValueError(
            f"no threshold has the precision of {maximise!r} on these samples, the highest is {value + 2:.3g}; ask for "
            "less"
        )
    return Thresholds(offsets - offsets.mean(), maximise, -value if maximise == "cost" else value)
