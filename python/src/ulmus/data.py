"""Made imbalance: the choice of training samples that ``ulmus compare`` makes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core

__all__ = ["make_long_tailed"]


def make_long_tailed(labels: ArrayLike, imbalance: str, seed: int = 0, *, rng: str = "ulmus") -> NDArray[np.int64]:
    """The indices of a long-tailed choice from (nearly) balanced samples, ascending.

    >>> indices = ulmus.make_long_tailed(dataset.targets, "exp:100", seed=0)
    >>> train = torch.utils.data.Subset(dataset, indices)
    >>> counts = np.bincount(labels[indices])

    Args:
        labels: ``[N]`` whole numbers, 0 to C - 1, in the order of the data set.
        imbalance: a profile of ``--imbalance``, ``exp:RATIO``, ``step:RATIO``, ``pareto:ALPHA``, ``counts:FILE`` or
            ``none``.
        seed: the choice is a pure function of labels, profile and seed: the same images as ``ulmus compare
            --split-seed`` chooses from a data set with these labels and a test part of its own, on any machine.

        rng: ``numpy`` keeps the images that the reference code of LDAM-DRW keeps (NumPy's legacy generator).

    Raises ``ValueError`` for an unknown profile (with the nearest name) and when a class is left without a sample.
    """
    array = np.asarray(labels)
    if array.dtype.kind not in "iu":
        raise TypeError(f"the labels are {array.dtype}, expected whole numbers")
    if array.ndim != 1 or len(array) == 0:
        raise ValueError(f"the labels are {list(array.shape)}, expected [N], at least one")
    if array.min() < 0:
        position = int(np.argmax(array < 0))
        raise ValueError(f"label {array[position]} at position {position} is out of range, expected 0 or more")
    whole = np.ascontiguousarray(array, dtype=np.int64)
    chosen, _ = _core.long_tailed(whole, int(whole.max()) + 1, imbalance, seed, rng, 0)
    return np.array(chosen, dtype=np.int64)
