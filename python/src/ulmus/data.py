"""Artificial imbalance: the selection of training samples that ``ulmus compare`` makes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core

__all__ = ["make_long_tailed"]


def make_long_tailed(labels: ArrayLike, imbalance: str, seed: int = 0, *, rng: str = "ulmus") -> NDArray[np.int64]:
    """Returns the indices of a long-tailed selection from (nearly) balanced samples, in ascending order.

    >>> indices = ulmus.make_long_tailed(dataset.targets, "exp:100", seed=0)
    >>> train = torch.utils.data.Subset(dataset, indices)
    >>> counts = np.bincount(labels[indices])

    Args:
        labels: ``[N]`` whole numbers, 0 to C - 1, in the order of the data set.
        imbalance: a profile as for ``--imbalance``: ``exp:RATIO``, ``step:RATIO``, ``pareto:ALPHA``, ``counts:FILE`` or
            ``none``.
        seed: seed of the selection, which is a pure function of labels, profile and seed. It contains the images that
            ``ulmus compare --split-seed`` selects, on any machine, from a data set with these labels and a separate
            test part.
        rng: ``numpy`` selects the images that the reference code of LDAM-DRW selects (NumPy's legacy generator).

    Raises ``ValueError`` for an unknown profile (with the nearest name) and if a class would be left without samples.
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
