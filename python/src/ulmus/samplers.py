"""Samplers for imbalanced data, the same on every machine, split among ranks, and able to go on in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.utils.data import Sampler

from . import _core, _family

__all__ = ["ClassSampler"]

_KINDS = ["instance", "balanced", "sqrt", "reverse", "effective", "progressive", "deferred"]


class ClassSampler(Sampler[int]):
    """Draws samples so that class j comes with a chosen probability.

    ==================  ===========================================================================================
    ``instance``        every sample once, in random order: ``p[j] ~ n[j]``
    ``balanced``        every class as often: ``p[j] = 1 / C``
    ``sqrt``            ``p[j] ~ sqrt(n[j])``
    ``reverse``         ``p[j] ~ 1 / n[j]`` (the second branch of BBN, Zhou et al., CVPR 2020)
    ``effective``       ``p[j] ~ n[j] (1 - beta) / (1 - beta^n[j])``: each sample by the effective number of its class
    ``progressive``     from instance to balanced over the epochs: ``(1 - t) p_instance + t p_balanced``, ``t = epoch /
                        (epochs - 1)`` (Kang et al., ICLR 2020)
    ``deferred``        instance, and balanced from epoch ``round(start * epochs)`` on (DRS, Cao et al., NeurIPS 2019)
    ==================  ===========================================================================================

    >>> sampler = ulmus.ClassSampler(labels, "balanced", seed=0)
    >>> loader = torch.utils.data.DataLoader(dataset, batch_size=128, sampler=sampler)

    Args:
        labels: ``[N]``, the class of each sample.
        num_samples: of an epoch, over all ranks; by default N. Draws are with replacement, except for ``instance``.
        beta: for ``effective``.
        start, epochs: for ``deferred`` and ``progressive``.
        seed: an epoch's draws are a function of seed and epoch alone.
        num_replicas, rank: by default those of ``torch.distributed`` where it is initialised. Every rank takes each
            ``num_replicas``-th draw, so together they see what one process would; the last draws are filled up from the first
            where they do not come out even.

    At the end of a pass the next epoch begins by itself; ``set_epoch`` says another one. ``state_dict(consumed)`` and
    ``load_state_dict`` go on in the middle of an epoch: a loader with workers asks ahead, so say how many samples of this
    rank were used.
    """

    def __init__(
        self,
        labels: Any,
        kind: str = "balanced",
        *,
        num_samples: int | None = None,
        beta: float = 0.9999,
        start: float = 0.8,
        epochs: int | None = None,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
    ) -> None:
        if kind not in _KINDS:
            raise ValueError(f"unknown kind of sampling {kind!r}; {_family.nearest(str(kind), _KINDS)}")
        if kind in ("progressive", "deferred") and epochs is None:
            raise ValueError(f"sampling '{kind}' needs the number of epochs; give epochs=")
        numbers = _family.whole_numbers(labels, "label")
        if not numbers or min(numbers) < 0:
            raise ValueError("the labels are none or negative, expected 0 or more for each sample")
        if num_samples is not None and num_samples < 1:
            raise ValueError(f"num_samples is {num_samples}, expected at least 1")
        if kind == "instance" and num_samples not in (None, len(numbers)):
            raise ValueError("sampling 'instance' takes every sample once; leave num_samples out or use 'balanced'")
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        self.num_replicas = num_replicas or (torch.distributed.get_world_size() if distributed else 1)
        self.rank = rank if rank is not None else (torch.distributed.get_rank() if distributed else 0)
        if not 0 <= self.rank < self.num_replicas:
            raise ValueError(f"rank is {self.rank} of {self.num_replicas}, expected 0 to {self.num_replicas - 1}")
        self.kind = kind
        self.num_samples = num_samples or len(numbers)
        self.beta = beta
        self.start = start
        self.epochs = epochs
        self.seed = seed
        self.epoch = 0
        self._begin = 0
        self._given = 0
        self._labels = torch.tensor(numbers, dtype=torch.int64)
        self._counts = torch.bincount(self._labels).tolist()

    def __len__(self) -> int:
        return -(-self.num_samples // self.num_replicas)

    def probabilities(self, epoch: int | None = None) -> list[float]:
        """The probability of each class in an epoch, ``[C]``."""
        return self._probabilities(self.epoch if epoch is None else epoch)

    def _kind_of(self, epoch: int) -> str:
        if self.kind == "deferred":
            assert self.epochs is not None
            begins = min(round(self.start * self.epochs), self.epochs - 1)
            return "balanced" if epoch >= begins else "instance"
        return self.kind

    def _probabilities(self, epoch: int) -> list[float]:
        kind = self._kind_of(epoch)
        counts = [float(count) for count in self._counts]
        if kind == "progressive":
            assert self.epochs is not None
            t = min(epoch / (self.epochs - 1), 1.0) if self.epochs > 1 else 1.0
            classes = sum(count > 0 for count in counts)
            return [(1 - t) * count / sum(counts) + t * (count > 0) / classes for count in counts]
        if kind == "effective":
            per_sample = _core.Loss(f"ce+cb:beta={_family.number_text(self.beta)}", self._counts).class_weights()
            shares = [count * weight for count, weight in zip(counts, per_sample)]
        else:
            power = {"instance": 1.0, "balanced": 0.0, "sqrt": 0.5, "reverse": -1.0}[kind]
            shares = [count**power if count else 0.0 for count in counts]
        return [share / sum(shares) for share in shares]

    def _draws(self, epoch: int) -> list[int]:
        total = len(self) * self.num_replicas
        if self._kind_of(epoch) == "instance" and self.num_samples == len(self._labels):
            order = _core.shuffled(len(self._labels), self.seed, epoch)
            return [order[i % len(order)] for i in range(total)]
        return _core.draw_samples(self._labels, self._probabilities(epoch), total, self.seed, epoch)

    def __iter__(self) -> Iterator[int]:
        mine = self._draws(self.epoch)[self.rank :: self.num_replicas]
        begin, self._begin = self._begin, 0
        self._given = begin
        for index in mine[begin:]:
            self._given += 1
            yield index
        self.epoch += 1
        self._given = 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch of the next pass; the place that was loaded counts only for its own epoch."""
        if epoch != self.epoch:
            self._begin = 0
            self._given = 0
        self.epoch = epoch

    def state_dict(self, consumed: int | None = None) -> dict[str, Any]:
        """Where the sampler is. `consumed`: samples of this epoch that this rank has used; by default those handed out."""
        return {"epoch": self.epoch, "consumed": self._given if consumed is None else consumed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.epoch = state["epoch"]
        self._begin = self._given = state["consumed"]
