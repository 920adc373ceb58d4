"""XGBoost's calling conventions: ``XGBClassifier`` and ``xgboost.train``, version 1.6 and later. Does not import
XGBoost."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .objectives import Objective

__all__ = ["XGBoostObjective"]


def _takes_matrices() -> bool:
    """Returns whether gradients of several classes are ``[N, C]``, as in version 2.1 and later, and not flat, row after
    row."""
    version = getattr(sys.modules.get("xgboost"), "__version__", "3.0").split(".")
    return (int(version[0]), int(version[1])) >= (2, 1)


class XGBoostObjective(Objective):
    """An objective for ``XGBClassifier(objective=...)`` and ``xgboost.train(obj=...)``.

    The Hessian follows XGBoost's convention: with one score per class twice the diagonal, with one score for two
    classes the diagonal itself. ``ce`` therefore grows the trees of the built-in objective (from the same
    ``base_score``). The metrics are for ``eval_metric`` and ``custom_metric``; early stopping must be told that a
    higher balanced accuracy is better.

    ``XGBClassifier`` of version 1 does not pass sample weights to an objective; ``xgboost.train`` does.
    """

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tuple[NDArray[Any], NDArray[Any]]:
        """Returns gradient and Hessian. The arguments are ``(labels, scores, weights)`` from the scikit-learn interface
        and ``(scores, DMatrix)`` from ``train``."""
        _, scores, labels, weights = self._read(y_true, y_pred, sample_weight)
        gradient, hessian = self.gradient_and_hessian(scores, labels, weights)
        if gradient.ndim == 2:
            hessian *= 2
            if not _takes_matrices():
                return gradient.ravel(), hessian.ravel()
        return gradient, hessian

    def balanced_accuracy(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Returns the metric: a number for the scikit-learn interface, ``(name, number)`` for ``train``."""
        native, scores, labels, weights = self._read(y_true, y_pred, sample_weight)
        value = self.balanced_accuracy_value(scores, labels, weights)
        return ("balanced_accuracy", value) if native else value

    def mean_loss(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Returns the mean loss as a metric: a number for the scikit-learn interface, ``(name, number)`` for
        ``train``."""
        native, scores, labels, weights = self._read(y_true, y_pred, sample_weight)
        value = self.value(scores, labels, weights)
        return ("mean_loss", value) if native else value

    def _read(self, first: Any, second: Any, weight: Any) -> tuple[bool, NDArray[Any], Any, Any]:
        """Returns whether the caller is ``train``, scores, labels and weights."""
        native = hasattr(second, "get_label")
        if native:
            scores, labels, weight = np.asarray(first), second.get_label(), second.get_weight()
        else:
            scores, labels = np.asarray(second), np.asarray(first)
        if scores.ndim == 1 and len(scores) == len(labels) * self.classes:
            scores = scores.reshape(len(labels), self.classes)
        return native, scores, labels, weight
