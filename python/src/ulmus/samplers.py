"""Samplers for imbalanced data: identical on every machine, divided among ranks, resumable in the middle of an
epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.utils.data import Sampler

from . import _core, _family

__all__ = ["ClassSampler"]


class ClassSampler(Sampler[int]):
    """The samplers of ``ulmus train``: an epoch has as many samples as the data set, and the sampler sets the
    probability of each class.

    ======================  =================  ======================================================================
    text                    samples are        probability of class j
    ======================  =================  ======================================================================
    ``instance``            shuffled           its frequency, ``n[j] / N``
    ``balanced``            drawn              the same for every class
    ``sqrt``                drawn              ``~ sqrt(n[j])``
    ``progressive``         drawn              from ``n[j] / N`` to equal over the epochs (Kang et al., ICLR 2020)
    ``effective:BETA``      drawn              ``~ (1 - BETA^n[j]) / (1 - BETA)``, the effective number
    ``drs:from=F,beta=B``   shuffled, then     balanced from epoch ``round(F * epochs)`` on: deferred re-sampling
                            drawn              (Cao et al., NeurIPS 2019)
    ======================  =================  ======================================================================

    >>> sampler = ulmus.ClassSampler(labels, "balanced", seed=0)
    >>> loader = torch.utils.data.DataLoader(dataset, batch_size=128, sampler=sampler)

    Args:
        labels: ``[N]``, the class of each sample.
        sampler: a text of the table. "Drawn" means drawn with replacement.
        epochs: number of epochs of the whole training, for ``progressive`` and ``drs``.
        seed: an epoch is a function of seed and epoch only, the same as in the program.
        num_replicas, rank: by default those of ``torch.distributed`` if it is initialised. Each rank takes every
            ``num_replicas``-th sample, so that all ranks together have the epoch of one process. If the number of
            samples is not divisible, the last ranks take the first samples again.

    The end of a pass starts the next epoch automatically; ``set_epoch`` sets another one. ``state_dict(consumed)`` and
    ``load_state_dict`` resume in the middle of an epoch. A loader with workers requests samples in advance, so pass the
    number of samples that this rank has used. Raises ``ValueError`` for an unknown text, with the nearest name.
    """

    def __init__(
        self,
        labels: Any,
        sampler: str = "balanced",
        *,
        epochs: int | None = None,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
    ) -> None:
        self.sampler, needs_epochs = _core.parse_sampler(sampler)
        if needs_epochs and epochs is None:
            raise ValueError(f"the sampler '{sampler}' needs the number of epochs; give epochs=")
        numbers = _family.whole_numbers(labels, "label")
        if not numbers or min(numbers) < 0:
            raise ValueError("there are no labels, or some are negative; expected 0 or more for each sample")
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        self.num_replicas = num_replicas or (torch.distributed.get_world_size() if distributed else 1)
        self.rank = rank if rank is not None else (torch.distributed.get_rank() if distributed else 0)
        if not 0 <= self.rank < self.num_replicas:
            raise ValueError(f"rank is {self.rank} of {self.num_replicas}, expected 0 to {self.num_replicas - 1}")
        self.epochs = epochs
        self.seed = seed
        self.epoch = 0
        self._begin = 0
        self._given = 0
        self._labels = torch.tensor(numbers, dtype=torch.int64)
        self._counts: list[int] = torch.bincount(self._labels).tolist()

    def __len__(self) -> int:
        return -(-len(self._labels) // self.num_replicas)

    def probabilities(self, epoch: int | None = None) -> list[float]:
        """Returns the probability of each class in an epoch, ``[C]``."""
        place, epochs = self._place(self.epoch if epoch is None else epoch)
        return _core.class_probabilities(self.sampler, self._counts, place, epochs)

    def _place(self, epoch: int) -> tuple[int, int]:
        """Returns the epoch and the number of epochs; a training that continues beyond its end stays at the last
        epoch."""
        return (epoch, epoch + 1) if self.epochs is None else (min(epoch, self.epochs - 1), self.epochs)

    def _draws(self, epoch: int) -> list[int]:
        whole = _core.sample_epoch(self.sampler, self._labels, self.seed, *self._place(epoch))
        total = len(self) * self.num_replicas
        return [whole[i % len(whole)] for i in range(self.rank, total, self.num_replicas)]

    def __iter__(self) -> Iterator[int]:
        mine = self._draws(self.epoch)
        begin, self._begin = self._begin, 0
        self._given = begin
        for index in mine[begin:]:
            self._given += 1
            yield index
        self.epoch += 1
        self._given = 0

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch of the next pass. A position loaded by `load_state_dict` applies only to its own epoch."""
        if epoch != self.epoch:
            self._begin = 0
            self._given = 0
        self.epoch = epoch

    def state_dict(self, consumed: int | None = None) -> dict[str, Any]:
        """Returns the position of the sampler. `consumed`: number of samples of this epoch that this rank has used; by
        default the number handed out."""
        return {"epoch": self.epoch, "consumed": self._given if consumed is None else consumed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.epoch = state["epoch"]
        self._begin = self._given = state["consumed"]
