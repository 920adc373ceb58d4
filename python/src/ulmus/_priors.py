"""Class priors given by the caller, in the order of the classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _family

__all__ = ["class_prior", "log_softmax"]


def class_prior(
    prior: Any,
    classes: int,
    *,
    train: Iterable[float] | None = None,
    names: Sequence[Any] | None = None,
    what: str = "prior",
) -> NDArray[np.float64]:
    """Returns a class prior, ``[C]`` numbers above 0 with sum 1.

    `prior` is ``"uniform"``, ``"train"`` (the frequencies in `train`), a mapping by class, or ``[C]`` numbers in the
    order of the classes. Numbers are divided by their sum, so counts are accepted. The keys of a mapping are the
    `names`, or the class numbers if there are no names.
    """
    if isinstance(prior, str):
        if prior == "uniform":
            return np.full(classes, 1 / classes)
        if prior != "train":
            raise ValueError(f"unknown {what} {prior!r}; {_family.nearest(prior, ['uniform', 'train'])}")
        if train is None:
            raise ValueError(
                f"the {what} is 'train', but the training frequencies are not known; give the class counts"
            )
        values = np.array(list(train), dtype=np.float64)
    elif isinstance(prior, Mapping) and names is not None:
        unknown = [key for key in prior if key not in names]
        missing = [name for name in names if name not in prior]
        if unknown or missing:
            wrong = f"has {unknown[0]!r}, which is no class" if unknown else f"has no number for class {missing[0]!r}"
            raise ValueError(f"the {what} {wrong}; the classes are {list(names)}")
        values = np.array([prior[name] for name in names], dtype=np.float64)
    else:
        values = np.array(_family.class_weights(prior, classes, f"numbers of the {what}"))
    if values.shape != (classes,):
        raise ValueError(f"the {what} has {values.size} numbers, expected one for each of {classes} classes")
    wrong_at = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if len(wrong_at):
        which = wrong_at[0] if names is None else repr(names[wrong_at[0]])
        raise ValueError(f"the {what} of class {which} is {values[wrong_at[0]]:g}, expected a number above 0")
    values = values / values.max()  # so that the sum cannot overflow
    normalised: NDArray[np.float64] = values / values.sum()
    return normalised


def log_softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the log probabilities of scores ``[N, C]``."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    logs: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logs
