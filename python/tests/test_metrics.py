"""The metrics compared with scikit-learn and with the program's own evaluation."""

from __future__ import annotations

import collections
import math

import numpy as np
import pandas
import pytest
from sklearn import metrics as sk

from ulmus import metrics

from .conftest import long_tail

COUNTS = long_tail(12, 300, 100)
RANDOM = np.random.default_rng(3)
TRUTH = RANDOM.integers(0, 12, 400)
LOGITS = (RANDOM.normal(size=(400, 12)) + 2 * np.eye(12)[TRUTH]).astype(np.float32)
PREDICTED = LOGITS.argmax(axis=1)
PROBABILITIES = np.exp(LOGITS.astype(np.float64)) / np.exp(LOGITS.astype(np.float64)).sum(axis=1, keepdims=True)


def test_they_are_scikit_learns() -> None:
    assert metrics.accuracy_score(TRUTH, PREDICTED) == pytest.approx(sk.accuracy_score(TRUTH, PREDICTED))
    assert metrics.balanced_accuracy_score(TRUTH, PREDICTED) == pytest.approx(
        sk.balanced_accuracy_score(TRUTH, PREDICTED)
    )
    assert metrics.f1_score(TRUTH, PREDICTED) == pytest.approx(sk.f1_score(TRUTH, PREDICTED, average="macro"))
    np.testing.assert_array_equal(metrics.confusion_matrix(TRUTH, PREDICTED), sk.confusion_matrix(TRUTH, PREDICTED))
    np.testing.assert_allclose(metrics.recall_score(TRUTH, PREDICTED), sk.recall_score(TRUTH, PREDICTED, average=None))
    assert metrics.log_loss(TRUTH, PROBABILITIES) == pytest.approx(sk.log_loss(TRUTH, PROBABILITIES))
    for k in (1, 3, 5):
        expected = sk.top_k_accuracy_score(TRUTH, LOGITS, k=k)
        assert metrics.top_k_accuracy_score(TRUTH, LOGITS, k) == pytest.approx(expected)


def test_they_are_the_programs() -> None:
    judged = metrics.evaluate(LOGITS, TRUTH, COUNTS)
    assert judged["samples"] == 400
    alone = {
        "top1": metrics.accuracy_score(TRUTH, PREDICTED),
        "top5": metrics.top_k_accuracy_score(TRUTH, LOGITS),
        "balanced_accuracy": metrics.balanced_accuracy_score(TRUTH, PREDICTED),
        "macro_f1": metrics.f1_score(TRUTH, PREDICTED),
        "geometric_mean": metrics.geometric_mean_score(TRUTH, PREDICTED),
        "worst_class": metrics.worst_class_score(TRUTH, PREDICTED),
        "many_shot": metrics.many_shot_score(TRUTH, PREDICTED, COUNTS),
        "medium_shot": metrics.medium_shot_score(TRUTH, PREDICTED, COUNTS),
        "few_shot": metrics.few_shot_score(TRUTH, PREDICTED, COUNTS),
        "ece": metrics.expected_calibration_error(TRUTH, PROBABILITIES),
        "nll": metrics.log_loss(TRUTH, PROBABILITIES),
    }
    for name, value in alone.items():
        assert judged[name] == pytest.approx(value, rel=1e-6), name
    dense = metrics.confusion_matrix(TRUTH, PREDICTED)
    assert judged["confusion"] == [[[int(j), int(row[j])] for j in np.flatnonzero(row)] for row in dense]
    margins = metrics.margins(TRUTH, LOGITS)
    for label, of_class in enumerate(judged["classes"]):
        assert of_class["margin"]["mean"] == pytest.approx(margins[TRUTH == label].mean(), rel=1e-6)


def test_a_scale_sharpens_probabilities_and_moves_no_accuracy() -> None:
    plain, sharp = metrics.evaluate(LOGITS, TRUTH, COUNTS), metrics.evaluate(LOGITS, TRUTH, COUNTS, scale=3)
    assert plain["top1"] == sharp["top1"] and plain["nll"] != sharp["nll"]


def test_labels_may_be_names_and_groups_may_be_empty() -> None:
    assert metrics.balanced_accuracy_score(["a", "a", "b"], ["a", "b", "b"]) == 0.75
    assert metrics.geometric_mean_score(["a", "b"], ["a", "a"]) == 0
    assert math.isnan(metrics.few_shot_score([0, 1], [0, 1], [500, 500]))


def test_counts_may_come_by_class() -> None:
    labels = np.repeat(np.arange(12), COUNTS)[::-1].tolist()  # the rarest class comes first
    for counts in (
        collections.Counter(labels),
        dict(enumerate(COUNTS)),
        pandas.Series(labels).value_counts(ascending=True),
    ):
        for score in (metrics.many_shot_score, metrics.medium_shot_score, metrics.few_shot_score):
            assert score(TRUTH, PREDICTED, counts) == score(TRUTH, PREDICTED, COUNTS)
        assert metrics.evaluate(LOGITS, TRUTH, counts) == metrics.evaluate(LOGITS, TRUTH, COUNTS)


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="label 12 at position 0 is out of range"):
        metrics.top_k_accuracy_score([12], LOGITS[:1])
    with pytest.raises(ValueError, match="label 12 at position 1 is out of range; expected 0 to 11"):
        metrics.evaluate(LOGITS[:2], [0, 12], COUNTS)
    with pytest.raises(ValueError, match="a label is 2, expected 0 to 1, one for each class count"):
        metrics.few_shot_score([0, 2], [0, 1], [500, 5])
    with pytest.raises(ValueError, match="expected one for each"):
        metrics.accuracy_score([1, 2], [1])
    with pytest.raises(ValueError, match="empty set"):
        metrics.accuracy_score([], [])
    with pytest.raises(TypeError, match="the labels are float64"):
        metrics.evaluate(LOGITS[:2], [0.0, 1.0], COUNTS)
