"""Adjustments of the probabilities of any tool."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas
import pytest
import scipy.special
from sklearn import metrics as sk

import ulmus
from ulmus import adjust
from ulmus._scores import log_scores

from .conftest import at_least, golden

RANDOM = np.random.default_rng(7)
COUNTS = [70, 25, 5]


def sample(classes: int = 3, rows: int = 300) -> tuple[np.ndarray, np.ndarray]:
    counts = {2: [90, 10], 3: COUNTS}.get(classes, [*range(classes, 0, -1)])
    prior = np.array(counts) / np.sum(counts)
    truth = RANDOM.choice(classes, p=prior, size=rows)
    logits = RANDOM.normal(size=(rows, classes)) + 1.2 * np.eye(classes)[truth] + np.log(prior)
    return scipy.special.softmax(logits, axis=1), truth


def test_equal_probabilities_of_a_class_stay_equal() -> None:
    logs = log_scores(np.array([[0.3, 0.7], [0.3, 0.7000004]]), logits=False)  # rounding, not another distribution
    assert logs[0, 0] == logs[1, 0]


def test_a_prior_is_divided_out_and_multiplied_in() -> None:
    p, _ = sample()
    expected = p / COUNTS
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(adjust.correct_prior(p, COUNTS), expected)
    np.testing.assert_allclose(adjust.correct_prior(p, dict(enumerate(COUNTS)), [1, 1, 1]), expected)
    np.testing.assert_allclose(adjust.correct_prior(p, COUNTS, "train"), p)
    np.testing.assert_allclose(adjust.correct_prior(adjust.correct_prior(p, COUNTS, [1, 2, 3]), [1, 2, 3], COUNTS), p)
    z = np.log(p) + 3
    corrected = adjust.correct_prior(z, COUNTS, logits=True)
    np.testing.assert_allclose(corrected, z - np.log(np.array(COUNTS) / 100) + np.log(1 / 3))
    np.testing.assert_allclose(scipy.special.softmax(corrected, axis=1), expected)
    zero = adjust.correct_prior([[1.0, 0.0], [0.0, 1.0]], [9, 1])
    np.testing.assert_allclose(zero, [[1, 0], [0, 1]], atol=1e-200)


def test_logit_adjustment_is_that_of_the_loss_room() -> None:
    p, _ = sample()
    z = np.log(p)
    for tau in (0.0, 0.7, 1.0):
        np.testing.assert_allclose(
            adjust.logit_adjustment(z, COUNTS, tau, logits=True), ulmus.functional.adjust_logits(z, COUNTS, tau)
        )
        expected = scipy.special.softmax(ulmus.functional.adjust_logits(z, COUNTS, tau), axis=1)
        np.testing.assert_allclose(adjust.logit_adjustment(p, COUNTS, tau), expected)
    np.testing.assert_allclose(adjust.logit_adjustment(p, COUNTS), adjust.correct_prior(p, COUNTS))


def test_the_temperature_is_the_one_of_least_log_loss() -> None:
    p, truth = sample(rows=2000)
    assert adjust.fit_temperature(p, truth) == pytest.approx(1, abs=0.25)
    sharp = adjust.apply_temperature(p, 0.4)
    fitted = adjust.fit_temperature(sharp, truth)
    assert fitted == pytest.approx(adjust.fit_temperature(p, truth) / 0.4, rel=1e-4)

    def loss(temperature: float, trained: Any = None) -> float:
        return float(sk.log_loss(truth, adjust.apply_temperature(sharp, temperature, trained)))

    assert loss(fitted) <= min(loss(fitted * 1.02), loss(fitted / 1.02))
    with_prior = adjust.fit_temperature(sharp, truth, COUNTS)
    assert loss(with_prior, COUNTS) <= min(loss(with_prior * 1.02, COUNTS), loss(with_prior / 1.02, COUNTS))
    flat = adjust.apply_temperature(p, 1e6, COUNTS)
    np.testing.assert_allclose(flat, np.tile(np.array(COUNTS) / 100, (2000, 1)), atol=1e-4)
    weights = np.where(truth == 0, 0.0, 1.0)
    kept = truth > 0
    assert adjust.fit_temperature(p, truth, sample_weight=weights) == pytest.approx(
        adjust.fit_temperature(p[kept], truth[kept])
    )
    np.testing.assert_allclose(adjust.apply_temperature(np.log(p), 2, logits=True), np.log(p) / 2)


SCORES = {
    "f1": lambda y, p: sk.f1_score(y, p, zero_division=0),
    "mcc": sk.matthews_corrcoef,
    "balanced": sk.balanced_accuracy_score,
    "cost": lambda y, p: -np.array([[0, 1], [7, 0]])[y, p].mean(),
    "recall@precision=0.5": lambda y, p: (
        sk.recall_score(y, p) if sk.precision_score(y, p, zero_division=0) >= 0.5 else -1.0
    ),
}


@pytest.mark.parametrize("maximise", SCORES)
@pytest.mark.parametrize("ties", [False, True])
def test_the_threshold_of_two_classes_is_the_best_of_all(maximise: str, ties: bool) -> None:
    p, truth = sample(2)
    if ties:
        one = np.round(p[:, 1], 1)
        p = np.stack([1 - one, one], axis=1)
    fitted = adjust.fit_thresholds(p, truth, maximise, costs=[[0, 1], [7, 0]] if maximise == "cost" else None)
    score = SCORES[maximise]
    cuts = np.concatenate([[-1], np.unique(p[:, 1]), [2]])
    best = max(score(truth, (p[:, 1] > cut).astype(int)) for cut in cuts)
    predicted = fitted.predict(p)
    assert score(truth, predicted) == pytest.approx(best)
    assert abs(fitted.value) == pytest.approx(abs(best))
    np.testing.assert_array_equal(predicted, p[:, 1] > fitted.threshold)
    np.testing.assert_array_equal(fitted.predict(np.log(np.maximum(p, 1e-300)), logits=True), predicted)


def test_offsets_of_many_classes_are_as_good_as_those_of_a_grid() -> None:
    p, truth = sample(3)
    grid = np.linspace(-1, 5, 25)
    scores = {
        "f1": lambda y, c: sk.f1_score(y, c, average="macro", zero_division=0),
        "mcc": sk.matthews_corrcoef,
        "balanced": sk.balanced_accuracy_score,
    }
    for maximise, score in scores.items():
        fitted = adjust.fit_thresholds(p, truth, maximise)
        assert score(truth, fitted.predict(p)) == pytest.approx(fitted.value)
        best = max(score(truth, (np.log(p) + [0, a, b]).argmax(axis=1)) for a, b in itertools.product(grid, grid))
        assert fitted.value >= best - 0.02, maximise
        assert fitted.value >= score(truth, p.argmax(axis=1))
        assert fitted.offsets.sum() == pytest.approx(0)
    costs = np.array([[0, 1, 2], [3, 0, 1], [20, 5, 0]])
    fitted = adjust.fit_thresholds(p, truth, "cost", costs=costs)
    assert costs[truth, fitted.predict(p)].mean() == pytest.approx(fitted.value)
    assert fitted.value <= costs[truth, p.argmax(axis=1)].mean()
    at = adjust.fit_thresholds(p, truth, "recall@precision=0.4", positive=2)
    chosen = at.predict(p) == 2
    assert sk.precision_score(truth == 2, chosen) >= 0.4
    assert sk.recall_score(truth == 2, chosen) == pytest.approx(at.value)
    assert at.value == pytest.approx(
        ulmus.metrics.recall_at_precision((truth == 2).astype(int), p[:, 2], 0.4), abs=0.15
    )


@pytest.mark.parametrize("digits", [1, 9])
def test_of_many_classes_no_single_offset_can_be_better(digits: int) -> None:
    p, truth = sample(8)
    logs = np.log(np.maximum(np.round(p, digits), 1e-3))  # with one digit many scores are equal
    for maximise in ("f1", "mcc", "balanced"):
        fitted = adjust.fit_thresholds(logs, truth, maximise, logits=True)
        score = {
            "f1": lambda y, c: sk.f1_score(y, c, average="macro", labels=np.unique(y), zero_division=0),
            "mcc": sk.matthews_corrcoef,
            "balanced": sk.balanced_accuracy_score,
        }[maximise]
        assert score(truth, fitted.predict(logs, logits=True)) == pytest.approx(fitted.value)
        for j, step in itertools.product(range(8), np.linspace(-2, 2, 9)):
            moved = fitted.offsets + step * (np.arange(8) == j)
            assert score(truth, (logs + moved).argmax(axis=1)) <= fitted.value + 1e-9


def test_a_weight_is_a_number_of_samples() -> None:
    p, truth = sample(3, rows=80)
    weights = RANDOM.integers(0, 3, 80)
    again = np.repeat(np.arange(80), weights)
    for maximise in ("f1", "mcc", "balanced"):
        weighted = adjust.fit_thresholds(p, truth, maximise, sample_weight=weights)
        repeated = adjust.fit_thresholds(p[again], truth[again], maximise)
        assert weighted.value == pytest.approx(repeated.value)


def test_the_least_expected_cost_decides() -> None:
    p = np.array([[0.8, 0.2], [0.95, 0.05]])
    assert adjust.decide(p, [[0, 1], [9, 0]]).tolist() == [1, 0]
    frame = pandas.DataFrame([[0, 9], [1, 0]], index=["b", "a"], columns=["b", "a"])
    named = adjust.cost_matrix(frame, 2, ["a", "b"])
    np.testing.assert_array_equal(named, [[0, 1], [9, 0]])
    np.testing.assert_array_equal(adjust.cost_matrix({"a": {"b": 1}, "b": {"a": 9}}, 2, ["a", "b"]), named)
    np.testing.assert_array_equal(adjust.cost_matrix({0: {1: 1}}, 2), [[0, 1], [0, 0]])


P = [[0.5, 0.5], [0.2, 0.8]]
FAILURES: list[tuple[Any, str]] = [
    (
        lambda: adjust.correct_prior([[0.5, 0.5], [0.2, 0.7]], [1, 1]),
        "of row 1 sum to 0.9, expected 1; divide each row",
    ),
    (lambda: adjust.correct_prior([[0.5, np.nan]], [1, 1]), "the probabilities have NaN in row 0, class 1"),
    (lambda: adjust.correct_prior([[0.5, np.inf]], [1, 1], logits=True), "the logits have inf in row 0, class 1"),
    (
        lambda: adjust.correct_prior([[1.5, -0.5]], [1, 1]),
        "in row 0, class 0 is 1.5, expected 0 to 1; give logits=True",
    ),
    (lambda: adjust.correct_prior([0.5, 0.5], [1, 1]), r"the probabilities are \[2\], expected \[N, C\].*np.stack"),
    (
        lambda: adjust.correct_prior(P, [1, 1, 1]),
        "3 numbers of the trained prior came, expected one for each of 2 classes",
    ),
    (lambda: adjust.correct_prior(P, [1, 0]), "the trained prior of class 1 is 0, expected a number above 0"),
    (lambda: adjust.correct_prior(P, [1, 1], "unifrom"), "unknown prior 'unifrom'; did you mean 'uniform'"),
    (lambda: adjust.logit_adjustment(P, [1, 1], np.nan), "tau is nan"),
    (lambda: adjust.apply_temperature(P, 0), "the temperature is 0, expected a finite number above 0"),
    (lambda: adjust.fit_temperature(P, [0]), r"the labels are \[1\], expected \[2\]"),
    (lambda: adjust.fit_temperature(P, [0, 2]), "label 2 at position 1 is out of range, expected 0 to 1"),
    (lambda: adjust.fit_thresholds(P, [0, 1], "f2"), "unknown metric to maximise 'f2'; did you mean 'f1'"),
    (lambda: adjust.fit_thresholds(P, [0, 1], "cost"), "there are no costs; give costs="),
    (lambda: adjust.fit_thresholds(P, [0, 1], "mcc", positive=1), "positive= is for f1 and recall@precision"),
    (lambda: adjust.fit_thresholds(P, [0, 1], "f1", positive=2), "positive is 2, expected a class from 0 to 1"),
    (lambda: adjust.fit_thresholds(P, [0, 1], "recall@precision=2"), "is '2', expected above 0 and at most 1"),
    (lambda: adjust.fit_thresholds(P, [1, 0], "recall@precision=0.9"), "the highest is 0.5; ask for less"),
    (lambda: adjust.fit_thresholds(P, [0, 0], "recall@precision=0.9"), "class 1 has no samples"),
    (lambda: adjust.fit_thresholds([[0.5, 0.3, 0.2]], [0], "recall@precision=0.9"), "is of one class; give positive="),
    (lambda: adjust.fit_thresholds(P, [0, 1], sample_weight=[0, 0]), "the sample weights are"),
    (lambda: adjust.cost_matrix([[0, 1]], 2), r"the cost matrix is \[1, 2\], expected a square one \[2, 2\]"),
    (lambda: adjust.cost_matrix(np.zeros((3, 3)), 2), "the cost matrix is for 3 classes, expected 2"),
    (lambda: adjust.cost_matrix([[0, np.nan], [1, 0]], 2, ["a", "b"]), "predicting 'b' for 'a' is nan"),
    (lambda: adjust.cost_matrix({"a": {"c": 1}}, 2, ["a", "b"]), "the costs have 'c', which is no class"),
    (
        lambda: adjust.cost_matrix(pandas.DataFrame(np.zeros((2, 2)), index=["a", "c"]), 2, ["a", "b"]),
        "the rows of the cost matrix have 'c', which is no class",
    ),
    (lambda: adjust.fit_thresholds(P, [0, 1]).predict([[0.1, 0.2, 0.7]]), "the scores have 3 classes, expected 2"),
    (
        lambda: adjust.fit_thresholds([[0.5, 0.3, 0.2]] * 2, [0, 1]).threshold,
        "there are 3 classes and an offset for each",
    ),
]


@pytest.mark.parametrize("call, message", FAILURES)
def test_mistakes_are_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_the_golden_vectors_agree() -> None:
    compared = 0
    for case in golden("posthoc"):
        if "additive" in case["kind"]:
            adjusted = adjust.logit_adjustment(case["logits"], case["counts"], case["params"]["tau"], logits=True)
            np.testing.assert_allclose(adjusted, case["adjusted_logits"], atol=1e-10)
            compared += 1
    assert compared >= at_least(1)
