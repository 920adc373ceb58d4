"""The metrics that thresholds maximise, as sums over the classes: a sample that changes class changes only two
terms."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from . import _family
from ._scores import Doubles

__all__ = ["Metric", "metric_of"]

_METRICS = ["f1", "mcc", "balanced", "cost", "recall@precision=0.9"]

Classes = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric to maximise: ``finish(sums over the classes of parts, mean cost)``.

    ``parts(hits, predicted, classes)`` returns ``[P, M]`` from the weights of the correct predictions and of all
    predictions of a class, ``[M]`` each; ``finish`` takes ``[P, M]`` and ``[M]`` and returns ``[M]``.
    """

    parts: Callable[[Doubles, Doubles, Classes], Doubles]
    finish: Callable[[Doubles, Doubles], Doubles]


def divide(numerator: Doubles, denominator: Doubles) -> Doubles:
    """Divides; 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _f1(support: Doubles, one: int | None) -> Metric:
    counts = (support > 0).astype(np.float64) / np.sum(support > 0) if one is None else np.eye(len(support))[one]

    def parts(hits: Doubles, predicted: Doubles, classes: Classes) -> Doubles:
        return (counts[classes] * divide(2 * hits, predicted + support[classes]))[None]

    return Metric(parts, lambda sums, cost: sums[0])


def _balanced(support: Doubles) -> Metric:
    factor = divide(np.ones_like(support), support) / np.sum(support > 0)
    return Metric(lambda hits, predicted, classes: (factor[classes] * hits)[None], lambda sums, cost: sums[0])


def _mcc(support: Doubles) -> Metric:
    total = support.sum()

    def finish(sums: Doubles, cost: Doubles) -> Doubles:
        spread = (total**2 - sums[2]) * (total**2 - support @ support)
        return divide(total * sums[0] - sums[1], np.sqrt(np.maximum(spread, 0)))

    return Metric(lambda hits, predicted, classes: np.stack([hits, predicted * support[classes], predicted**2]), finish)


def _recall_at(precision: float, support: Doubles, positive: int) -> Metric:
    """The recall if the precision is reached; otherwise a negative number that increases with the precision."""
    if support[positive] == 0:
        raise ValueError(f"class {positive} has no samples, so no recall; give samples of it")

    def finish(sums: Doubles, cost: Doubles) -> Doubles:
        reached = divide(sums[0], sums[1])
        return np.where(reached >= precision - 1e-12, sums[0] / support[positive], reached - 2)

    return Metric(lambda hits, predicted, classes: np.stack([hits, predicted]) * (classes == positive), finish)


def metric_of(maximise: str, support: Doubles, positive: int | None, has_costs: bool) -> Metric:
    """Returns the metric with this name; `support` is the weight of the samples of each class, ``[C]``."""
    classes = len(support)
    at_precision = re.fullmatch(r"recall@precision=(.*)", maximise)
    if at_precision:
        try:
            precision = float(at_precision[1])
        except ValueError:
            precision = 0.0
        if not 0 < precision <= 1:
            raise ValueError(f"the precision in {maximise!r} is {at_precision[1]!r}, expected above 0 and at most 1")
        if positive is None and classes > 2:
            raise ValueError(f"{maximise!r} is of one class; give positive=, its number")
        return _recall_at(precision, support, 1 if positive is None else positive)
    if maximise == "f1":
        return _f1(support, 1 if positive is None and classes == 2 else positive)
    if positive is not None:
        raise ValueError(f"positive= is for f1 and recall@precision, not for {maximise!r}; leave it out")
    if maximise == "mcc":
        return _mcc(support)
    if maximise == "balanced":
        return _balanced(support)
    if maximise == "cost":
        if not has_costs:
            raise ValueError("maximise is 'cost', but there are no costs; give costs=, a matrix [true, predicted]")
        return Metric(lambda hits, predicted, classes: np.zeros((1, len(hits))), lambda sums, cost: -cost)
    raise ValueError(f"unknown metric to maximise {maximise!r}; {_family.nearest(maximise, _METRICS)}")
