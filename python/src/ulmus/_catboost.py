"""CatBoost's calling convention: an object that returns derivatives of the function to maximise. Does not import
CatBoost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from .objectives import Objective

__all__ = ["CatBoostMetric", "CatBoostObjective"]

_SUM = 2  # reduction argument of run_arrays


class CatBoostMetric:
    """A metric for ``CatBoostClassifier(eval_metric=...)``."""

    def __init__(self, objective: CatBoostObjective, value: Callable[..., float], higher_is_better: bool) -> None:
        self._objective = objective
        self._value = value
        self._higher_is_better = higher_is_better

    def is_max_optimal(self) -> bool:
        return self._higher_is_better

    def evaluate(self, approxes: Any, target: Any, weight: Any) -> tuple[float, float]:
        """Returns the metric of scores ``[C][N]`` or ``[1][N]``, and 1. CatBoost passes the whole data set in one
        call."""
        columns = np.array([np.asarray(column, dtype=np.float64) for column in approxes])
        scores = columns[0] if len(columns) == 1 else columns.T
        return self._value(scores, np.asarray(target), None if weight is None else np.asarray(weight)), 1.0

    def get_final_error(self, error: float, weight: float) -> float:
        return error


class CatBoostObjective(Objective):
    """An objective for ``CatBoostClassifier(loss_function=..., eval_metric=objective.balanced_accuracy)``.

    CatBoost uses the full Hessian of each sample; the one returned here is exact. For more than two classes, pass
    ``classes_count=C``: otherwise CatBoost computes a single score, which is an error here. For more than two classes
    CatBoost calls Python once per sample, tree and leaf estimation; for two classes, once for all samples.
    """

    def __init__(self, loss: str, class_counts: Iterable[Any]) -> None:
        super().__init__(loss, class_counts)
        self._label_rows = [np.array([label], dtype=np.int64) for label in range(self.classes)]

    @property
    def balanced_accuracy(self) -> CatBoostMetric:
        """Mean recall over the classes."""
        return CatBoostMetric(self, self.balanced_accuracy_value, True)

    @property
    def mean_loss(self) -> CatBoostMetric:
        """The mean loss as a metric."""
        return CatBoostMetric(self, self.value, False)

    def calc_ders_range(self, approxes: Any, targets: Any, weights: Any) -> list[tuple[float, float]]:
        """Returns the first and second derivatives of the negative loss of every sample, for one score of two
        classes."""
        scores = np.array([approxes[i] for i in range(len(approxes))], dtype=np.float64)
        if self.classes != 2:
            raise ValueError(f"CatBoost has one score for {self.classes} classes; give it classes_count={self.classes}")
        gradient, hessian = self.gradient_and_hessian(scores, np.asarray(targets), weights)
        return list(zip((-gradient).tolist(), (-hessian).tolist()))

    def calc_ders_multi(self, approxes: Any, target: float, weight: float) -> tuple[list[float], list[list[float]]]:
        """Returns gradient ``[C]`` and Hessian ``[C][C]`` of the negative loss of one sample."""
        label = int(target)
        if label != target or not 0 <= label < self.classes or len(approxes) != self.classes:
            self._labels(np.array([target]), 1)
            self._scores([[approxes[j] for j in range(len(approxes))]])
        # One row of gradient_and_hessian and full_hessian, without their checks: this is called millions of times.
        logits = np.array([[approxes[j] for j in range(self.classes)]], dtype=np.float64) / self._scale
        gradient = np.empty_like(logits)
        _core.run_arrays(self._kernel, logits, self._label_rows[label], gradient, None, None, -100, _SUM, 1)
        weight = weight * self._class_weights[label]
        row: NDArray[np.float64] = gradient[0] / self._scale
        scaled = row.copy()
        scaled[label] += self._slopes[label]
        hessian = np.outer(scaled, weight * scaled)
        hessian.flat[:: self.classes + 1] -= weight * self._slopes * scaled
        return (-weight * row).tolist(), hessian.tolist()
