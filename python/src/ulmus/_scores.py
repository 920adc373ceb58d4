"""Checks of the probabilities and logits that :mod:`ulmus.adjust` receives, and their conversion to log
probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._priors import log_softmax

__all__ = ["Doubles", "checked_labels", "checked_weights", "log_scores", "same_kind"]

Doubles = NDArray[np.float64]

_SUM_TOLERANCE = 1e-3  # allows for float16 and rounding to four digits
_ROUNDING = 1e-5
_SMALLEST = 1e-300  # keeps the logarithm of a probability of 0 finite


def log_scores(scores: ArrayLike, logits: bool) -> Doubles:
    """Returns log probabilities ``[N, C]`` from probabilities or logits."""
    array = np.asarray(scores)
    what = "logits" if logits else "probabilities"
    if array.dtype.kind not in "fiub":
        raise TypeError(f"the {what} are {array.dtype}, expected numbers")
    if array.ndim != 2 or array.shape[1] < 2:
        hint = "; of two classes give both: np.stack([1 - p, p], axis=1)" if array.ndim == 1 and not logits else ""
        raise ValueError(f"the {what} are {list(array.shape)}, expected [N, C] with at least two classes{hint}")
    array = array.astype(np.float64)
    wrong = np.argwhere(np.isnan(array))
    if len(wrong):
        row, column = wrong[0]
        raise ValueError(f"the {what} have NaN in row {row}, class {column}; expected numbers")
    if logits:
        wrong = np.argwhere(~np.isfinite(array))
        if len(wrong):
            row, column = wrong[0]
            raise ValueError(
                f"the logits have {array[row, column]} in row {row}, class {column}; expected finite numbers"
            )
        return log_softmax(array)
    wrong = np.argwhere((array < 0) | (array > 1 + _SUM_TOLERANCE))
    if len(wrong):
        row, column = wrong[0]
        value = array[row, column]
        raise ValueError(
            f"the probability in row {row}, class {column} is {value:g}, expected 0 to 1; give logits=True for logits"
        )
    sums = array.sum(axis=1)
    off = np.flatnonzero(np.abs(sums - 1) > _SUM_TOLERANCE)
    if len(off):
        raise ValueError(
            f"the probabilities of row {off[0]} sum to {sums[off[0]]:g}, expected 1; divide each row by its sum, or "
            "give logits=True for logits"
        )
    # Sums of rounded probabilities count as 1, so that equal probabilities of a class stay equal.
    sums[np.abs(sums - 1) <= _ROUNDING] = 1
    logs: Doubles = np.log(np.maximum(array / sums[:, None], _SMALLEST))
    return logs


def same_kind(logs: Doubles, logits: bool) -> Doubles:
    """Returns log scores as normalised probabilities or, for logits, unchanged."""
    return logs if logits else np.exp(log_softmax(logs))


def checked_labels(labels: Any, rows: int, classes: int) -> NDArray[np.int64]:
    """Returns labels ``[N]``, each in ``[0, C)``."""
    array = np.asarray(labels)
    if array.dtype.kind not in "iub":
        raise TypeError(
            f"the labels are {array.dtype}, expected whole numbers; the classes are the columns of the scores"
        )
    if array.shape != (rows,):
        raise ValueError(f"the labels are {list(array.shape)}, expected [{rows}], one for each row of scores")
    if rows == 0:
        raise ValueError("cannot fit to an empty set; give at least one sample")
    wrong = np.flatnonzero((array < 0) | (array >= classes))
    if len(wrong):
        raise ValueError(f"label {array[wrong[0]]} at position {wrong[0]} is out of range, expected 0 to {classes - 1}")
    return array.astype(np.int64)


def checked_weights(weights: Any, rows: int) -> Doubles:
    """Returns sample weights ``[N]``; ones for None."""
    if weights is None:
        return np.ones(rows)
    array = np.asarray(weights, dtype=np.float64)
    if array.shape != (rows,) or not (np.isfinite(array) & (array >= 0)).all() or not array.any():
        raise ValueError(f"the sample weights are {list(array.shape)}, expected [{rows}] finite, at least 0, not all 0")
    return array
