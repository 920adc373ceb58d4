"""Cost matrices and cost-sensitive decisions; part of :mod:`ulmus.adjust`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._scores import Doubles, log_scores

__all__ = ["cost_matrix", "decide"]


def cost_matrix(costs: Any, classes: int, class_names: Sequence[Any] | None = None) -> Doubles:
    """Returns the costs ``[true, predicted]`` in the order of the classes.

    `costs` is an array in that order, a pandas ``DataFrame`` with class names as index and columns, or a mapping
    ``{true: {predicted: cost}}``, in which a missing entry costs 0. Without `class_names`, the names are the class
    numbers. Costs must be finite; a negative cost is a gain.
    """
    names = list(range(classes)) if class_names is None else list(class_names)
    if len(names) != classes:
        raise ValueError(f"there are {len(names)} class names, expected {classes}")
    if hasattr(costs, "columns") and hasattr(costs, "index"):
        _expect_names("rows", costs.index.tolist(), names)
        _expect_names("columns", costs.columns.tolist(), names)
        matrix = costs.loc[names, names].to_numpy(dtype=np.float64)
    elif isinstance(costs, Mapping):
        matrix = np.zeros((classes, classes))
        for true, row in costs.items():
            if not isinstance(row, Mapping):
                raise TypeError(
                    f"the costs of class {true!r} are {row!r}, expected a mapping from predicted class to cost"
                )
            for predicted, cost in row.items():
                for name in (true, predicted):
                    if name not in names:
                        raise ValueError(f"the costs have {name!r}, which is no class; the classes are {names}")
                matrix[names.index(true), names.index(predicted)] = cost
    else:
        matrix = np.asarray(costs, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"the cost matrix is {list(matrix.shape)}, expected a square one [{classes}, {classes}]")
    if len(matrix) != classes:
        raise ValueError(f"the cost matrix is for {len(matrix)} classes, expected {classes}")
    wrong = np.argwhere(~np.isfinite(matrix))
    if len(wrong):
        true, predicted = wrong[0]
        raise ValueError(
            f"the cost of predicting {names[predicted]!r} for {names[true]!r} is {matrix[true, predicted]}, expected a "
            "finite number"
        )
    return matrix


def _expect_names(which: str, came: list[Any], names: list[Any]) -> None:
    unknown = [name for name in came if name not in names]
    missing = [name for name in names if name not in came]
    if unknown or missing or len(came) != len(names):
        wrong = (
            f"have {unknown[0]!r}, which is no class" if unknown else f"lack class {missing[0]!r}" if missing else ""
        )
        raise ValueError(f"the {which} of the cost matrix {wrong or 'repeat a class'}; the classes are {names}")


def decide(
    probabilities: ArrayLike, costs: Any, *, class_names: Sequence[Any] | None = None, logits: bool = False
) -> NDArray[np.int64]:
    """Returns the class of least expected cost, ``argmin over k of sum over j of p[j] cost[j, k]``, for each row of
    probabilities (or logits) ``[N, C]``; of equal costs the lowest class. Nothing is fitted, so the decisions are only
    as good as the probabilities."""
    logs = log_scores(probabilities, logits)
    expected = np.exp(logs) @ cost_matrix(costs, logs.shape[1], class_names)
    chosen: NDArray[np.int64] = expected.argmin(axis=1)
    return chosen
