"""The samplers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import ulmus

LABELS = np.repeat(np.arange(4), [800, 150, 40, 10])
SHARES = {
    "instance": np.array([800, 150, 40, 10]) / 1000,
    "balanced": np.full(4, 0.25),
    "sqrt": np.sqrt([800, 150, 40, 10]) / np.sqrt([800, 150, 40, 10]).sum(),
}


@pytest.mark.parametrize("kind", SHARES)
def test_classes_come_with_their_probability(kind: str) -> None:
    sampler = ulmus.ClassSampler(LABELS, kind, seed=1)
    np.testing.assert_allclose(sampler.probabilities(), SHARES[kind])
    drawn = LABELS[[index for _ in range(20) for index in sampler]]
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / len(drawn), SHARES[kind], atol=0.015)


def test_every_sample_of_a_class_is_as_likely() -> None:
    sampler = ulmus.ClassSampler(LABELS, "balanced")
    drawn = np.array([index for _ in range(40) for index in sampler])
    times = np.bincount(drawn[drawn >= 990] - 990)
    assert len(times) == 10 and abs(times / 1000 - 1).max() < 0.15


def test_instance_is_a_permutation_and_epochs_differ() -> None:
    sampler = ulmus.ClassSampler(LABELS, "instance", seed=3)
    first, second = list(sampler), list(sampler)
    assert sorted(first) == sorted(second) == list(range(1000)) and first != second
    sampler.set_epoch(0)
    assert list(sampler) == first
    assert list(ulmus.ClassSampler(LABELS, "instance", seed=4)) != first


def test_effective_number_goes_between_balanced_and_instance() -> None:
    assert ulmus.ClassSampler(LABELS, "effective:0").probabilities() == pytest.approx(SHARES["balanced"])
    assert ulmus.ClassSampler(LABELS, "effective:1").probabilities() == pytest.approx(SHARES["instance"])


def test_progressive_and_deferred_follow_the_epochs() -> None:
    progressive = ulmus.ClassSampler(LABELS, "progressive", epochs=11)
    assert progressive.probabilities(0) == pytest.approx(SHARES["instance"])
    assert progressive.probabilities(5) == pytest.approx((SHARES["instance"] + SHARES["balanced"]) / 2)
    assert progressive.probabilities(10) == pytest.approx(SHARES["balanced"])
    deferred = ulmus.ClassSampler(LABELS, "drs", epochs=10)
    deferred.set_epoch(7)
    assert sorted(deferred) == list(range(1000))
    assert deferred.epoch == 8
    assert np.bincount(LABELS[list(deferred)]).min() > 200


@pytest.mark.parametrize("kind", ["instance", "balanced"])
@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_together_draw_what_one_would(kind: str, ranks: int) -> None:
    whole = list(ulmus.ClassSampler(LABELS, kind, seed=5))
    parts = [list(ulmus.ClassSampler(LABELS, kind, seed=5, num_replicas=ranks, rank=rank)) for rank in range(ranks)]
    assert {len(part) for part in parts} == {len(ulmus.ClassSampler(LABELS, kind, num_replicas=ranks, rank=0))}
    together = [index for turn in zip(*parts) for index in turn]
    assert together[:1000] == whole and len(together) - 1000 < ranks


@pytest.mark.parametrize("kind", ["instance", "balanced", "sqrt"])
def test_it_goes_on_in_the_middle_of_an_epoch(kind: str) -> None:
    sampler = ulmus.ClassSampler(LABELS, kind, seed=2)
    list(sampler)
    whole = list(sampler)
    sampler.set_epoch(1)
    given = iter(sampler)
    begin = [next(given) for _ in range(300)]
    state = sampler.state_dict()
    assert state == {"epoch": 1, "consumed": 300}
    resumed = ulmus.ClassSampler(LABELS, kind, seed=2)
    resumed.load_state_dict(state)
    resumed.set_epoch(1)
    assert begin + list(resumed) == whole
    assert len(list(resumed)) == 1000 and resumed.epoch == 3


def test_it_feeds_a_loader_with_workers() -> None:
    data = TensorDataset(torch.arange(1000), torch.tensor(LABELS))
    sampler = ulmus.ClassSampler(LABELS, "balanced", seed=0)
    batches = [labels for _, labels in DataLoader(data, batch_size=100, sampler=sampler, num_workers=2)]
    assert len(batches) == 10 and torch.bincount(torch.cat(batches)).min() > 200
    # Workers request samples in advance: only three batches were used, although more were handed out.
    resumed = ulmus.ClassSampler(LABELS, "balanced", seed=0)
    resumed.load_state_dict({"epoch": 0, "consumed": 300})
    rest = [labels for _, labels in DataLoader(data, batch_size=100, sampler=resumed)]
    assert torch.equal(torch.cat(rest), torch.cat(batches[3:]))


def test_mistakes_are_named() -> None:
    for arguments, message in [
        (dict(sampler="balance"), "did you mean 'balanced'?"),
        (dict(sampler="progressive"), "needs the number of epochs"),
        (dict(num_replicas=2, rank=2), "rank is 2 of 2, expected 0 to 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            ulmus.ClassSampler(LABELS, **arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="negative"):
        ulmus.ClassSampler([0, -1])
