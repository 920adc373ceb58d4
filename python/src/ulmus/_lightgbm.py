"""LightGBM's calling conventions: ``LGBMClassifier`` and ``lightgbm.train``, version 3 and later. Does not import
LightGBM."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .objectives import Objective

__all__ = ["LightGBMObjective"]


class LightGBMObjective(Objective):
    """An objective for ``LGBMClassifier(objective=...)`` and ``lightgbm.train({"objective": ...})``.

    The Hessian follows LightGBM's convention: with one score per class the diagonal times ``C / (C - 1)``, with one
    score for two classes the diagonal itself. ``ce`` therefore grows the trees of the built-in objective (which starts
    from the class frequencies unless ``boost_from_average=False``). The metrics are for ``eval_metric`` and ``feval``.
    In version 3, pass the objective as ``lightgbm.train(fobj=...)``.
    """

    def __call__(self, y_true: Any, y_pred: Any, weight: Any = None) -> tuple[NDArray[Any], NDArray[Any]]:
        """Returns gradient and Hessian in the layout of the scores. The arguments are ``(labels, scores, weights)``
        from the scikit-learn interface and ``(scores, Dataset)`` from ``train``."""
        scores, labels, weights, flat = self._read(y_true, y_pred, weight)
        gradient, hessian = self.gradient_and_hessian(scores, labels, weights)
        if gradient.ndim == 2:
            hessian *= self.classes / (self.classes - 1)
        if flat:
            return gradient.ravel(order="F"), hessian.ravel(order="F")
        return gradient, hessian

    def balanced_accuracy(self, y_true: Any, y_pred: Any, weight: Any = None) -> tuple[str, float, bool]:
        """Returns the metric ``(name, value, higher is better)``."""
        scores, labels, weights, _ = self._read(y_true, y_pred, weight)
        return "balanced_accuracy", self.balanced_accuracy_value(scores, labels, weights), True

    def mean_loss(self, y_true: Any, y_pred: Any, weight: Any = None) -> tuple[str, float, bool]:
        """Returns the mean loss as a metric ``(name, value, higher is better)``."""
        scores, labels, weights, _ = self._read(y_true, y_pred, weight)
        return self.loss, self.value(scores, labels, weights), False

    def _read(self, first: Any, second: Any, weight: Any) -> tuple[NDArray[Any], Any, Any, bool]:
        """Returns scores, labels, weights, and whether the scores were flat, class after class, as before version 4."""
        if hasattr(second, "get_label"):
            scores, labels, weight = np.asarray(first), second.get_label(), second.get_weight()
        else:
            scores, labels = np.asarray(second), np.asarray(first)
        flat = scores.ndim == 1 and len(scores) == len(labels) * self.classes
        if flat:
            scores = scores.reshape((len(labels), self.classes), order="F")
        return scores, labels, weight, flat
