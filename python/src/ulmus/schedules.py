"""Schedules of a loss over the epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import _family
from .loss import Loss

__all__ = ["DeferredReweighting"]


class DeferredReweighting:
    """Deferred re-weighting (DRW, Cao et al., NeurIPS 2019): equal class weights before epoch `start`, then
    class-balanced weights by the effective number of samples, ``(1 - beta) / (1 - beta^n[j])`` normalised to mean 1.

    >>> schedule = ulmus.DeferredReweighting(loss, start=160, beta=0.9999)
    >>> for epoch in range(200):
    ...     schedule.step(epoch)

    Equivalent to a loss with ``+drw`` and ``loss.set_epoch(epoch, epochs)``, except that the start is an epoch instead
    of a fraction. Raises ``ValueError`` for a loss that already has a rule, because the weights would multiply.
    """

    def __init__(self, loss: Loss, start: int, beta: float = 0.9999) -> None:
        if rule := _family.rule_name(loss.spec):
            raise ValueError(f"the loss '{loss.spec}' has the weight rule '{rule}' already; leave one of the two out")
        if start < 0:
            raise ValueError(f"start is {start}, expected an epoch, 0 or more")
        self.loss = loss
        self.start = start
        self.beta = beta
        self.last_epoch = -1
        self._balanced = Loss(f"ce+cb:beta={_family.number_text(beta)}", loss.class_counts).class_weights

    def step(self, epoch: int | None = None) -> None:
        """Begins `epoch`, 0-based; by default the epoch after the last one."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        deferred = self.last_epoch < self.start
        self.loss.set_class_weights([1.0] * len(self._balanced) if deferred else self._balanced)

    def state_dict(self) -> dict[str, Any]:
        return {"start": self.start, "beta": self.beta, "last_epoch": self.last_epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.__init__(self.loss, state["start"], state["beta"])  # type: ignore[misc]
        if state["last_epoch"] >= 0:
            self.step(state["last_epoch"])
