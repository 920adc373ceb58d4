"""Artificial imbalance, checked against a second implementation of the documented selection."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

import ulmus

from .conftest import golden

MASK = (1 << 64) - 1


class Stream:
    """The library's random number generator (base/random.hpp), in Python."""

    def __init__(self, seed: int, name: str, step: int) -> None:
        value = 0xCBF29CE484222325
        for byte in name.encode():
            value = ((value ^ byte) * 0x100000001B3) & MASK
        state = self.mix(seed)
        for part in (value, step, 0):
            state = self.mix((state + part) & MASK)
        self.state = state

    @staticmethod
    def mix(x: int) -> int:
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
        return x ^ (x >> 31)

    def below(self, bound: int) -> int:
        while True:
            self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
            product = self.mix(self.state) * bound
            if product & MASK >= (1 << 64) % bound:
                return product >> 64

    def shuffle(self, values: list[int]) -> None:
        for i in range(len(values) - 1, 0, -1):
            j = self.below(i + 1)
            values[i], values[j] = values[j], values[i]


@pytest.mark.parametrize("seed", [0, 7])
def test_the_choice_is_the_documented_one(seed: int) -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(5), 200))
    came = ulmus.make_long_tailed(labels, "exp:50", seed)
    expected = []
    for c in range(5):
        members = np.flatnonzero(labels == c).tolist()
        Stream(seed, "split", c).shuffle(members)
        expected += members[: int(200 * 0.02 ** (c / 4))]
    assert came.tolist() == sorted(expected)


def test_counts_are_the_published_ones() -> None:
    compared = 0
    for case in golden("imbalance_counts"):
        kind, ratio, classes = case["imb_type"], 1 / (case["imb_factor"] or 1), len(case["counts"])
        if kind not in ("exp", "step") or classes != 10 or abs(ratio - round(ratio)) > 1e-9 or min(case["counts"]) == 0:
            continue
        labels = np.repeat(np.arange(classes), case["images_before"] // classes)
        chosen = ulmus.make_long_tailed(labels, f"{kind}:{round(ratio)}")
        assert np.bincount(labels[chosen]).tolist() == case["counts"]
        compared += 1
    assert compared >= 4


def test_numpy_keeps_the_images_of_the_published_code() -> None:
    compared = 0
    for case in golden("subset_selection"):
        before, classes = case["images_per_class_before"], len(case["classes"])
        ratio = round(1 / case["imb_factor"])
        if not isinstance(before, int) or classes > 10 or case["imb_type"] not in ("exp", "step"):
            continue
        labels = np.repeat(np.arange(classes), before)
        chosen = ulmus.make_long_tailed(labels, f"{case['imb_type']}:{ratio}", case["seed"], rng="numpy")
        for of_class in case["classes"]:
            positions = chosen[labels[chosen] == of_class["cls"]] - of_class["cls"] * before
            assert len(positions) == of_class["kept"] and positions.sum() == of_class["sum_positions"]
            assert zlib.crc32(positions.astype("<u4").tobytes()) == of_class["crc32_of_sorted_uint32_le"]
        compared += 1
    assert compared >= 3


def test_none_keeps_everything_and_tensors_will_do() -> None:
    torch = pytest.importorskip("torch")
    labels = torch.arange(100) % 4
    assert ulmus.make_long_tailed(labels, "none").tolist() == list(range(100))
    assert ulmus.make_long_tailed(labels.tolist(), "step:5").dtype == np.int64


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="unknown imbalance 'exo:10'; did you mean 'exp'?"):
        ulmus.make_long_tailed([0, 1], "exo:10")
    with pytest.raises(
        ValueError, match="class '1' is left with no training image.*the largest ratio that works is exp:3"
    ):
        ulmus.make_long_tailed([0, 1] * 3, "exp:100")
    with pytest.raises(ValueError, match="label -2 at position 1"):
        ulmus.make_long_tailed([0, -2], "none")
    with pytest.raises(TypeError, match="the labels are float64"):
        ulmus.make_long_tailed([0.5], "none")
