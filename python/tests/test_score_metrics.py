"""The metrics of scores compared with scikit-learn, also with ties and missing classes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.preprocessing import label_binarize

from ulmus import metrics

RANDOM = np.random.default_rng(5)


def scores(kind: str, classes: int = 4, rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    truth = RANDOM.choice(classes, p=[0.8] + [0.2 / (classes - 1)] * (classes - 1), size=rows)
    logits = RANDOM.normal(size=(rows, classes)) + 1.5 * np.eye(classes)[truth]
    if kind == "ties":
        logits = np.round(logits)
    if kind == "constant":
        logits = np.zeros_like(logits)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if kind == "missing":
        truth[truth == 2] = 0
    return truth, probabilities


@pytest.mark.parametrize("kind", ["smooth", "ties", "constant", "missing"])
@pytest.mark.parametrize("classes", [2, 4])
def test_they_are_scikit_learns(kind: str, classes: int) -> None:
    truth, probabilities = scores(kind, classes)
    present = np.isin(np.arange(classes), truth)
    for ours, theirs in (
        (metrics.average_precision_score, sk.average_precision_score),
        (metrics.roc_auc_score, sk.roc_auc_score),
    ):
        expected = []
        for j in range(classes):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    expected.append(theirs(truth == j, probabilities[:, j]))
                except ValueError:  # the area with a single class, before scikit-learn 1.6
                    expected.append(np.nan)
        np.testing.assert_allclose(ours(truth, probabilities, average=None), expected, atol=1e-12)
        assert ours(truth, probabilities) == pytest.approx(np.mean(np.array(expected)[present]), abs=1e-12)
    if kind != "missing" and classes == 4:
        assert metrics.roc_auc_score(truth, probabilities) == pytest.approx(
            sk.roc_auc_score(truth, probabilities, multi_class="ovr")
        )
        hot = label_binarize(truth, classes=range(classes))
        assert metrics.average_precision_score(truth, probabilities) == pytest.approx(
            sk.average_precision_score(hot, probabilities)
        )
    hot = np.eye(classes)[truth]
    brier = ((probabilities - hot) ** 2).sum(axis=1).mean() / (2 if classes == 2 else 1)
    assert metrics.brier_score_loss(truth, probabilities) == pytest.approx(brier)
    np.testing.assert_allclose(
        metrics.brier_score_loss(truth, probabilities, average=None),
        [sk.brier_score_loss(truth == j, probabilities[:, j]) for j in range(classes) if True],
    )
    try:
        assert metrics.brier_score_loss(truth, probabilities) == pytest.approx(
            sk.brier_score_loss(truth, probabilities, labels=np.arange(classes))
        )
    except (ValueError, TypeError):
        pass  # supports only two classes before scikit-learn 1.7


@pytest.mark.parametrize("kind", ["smooth", "ties", "constant"])
def test_one_column_is_that_of_class_1(kind: str) -> None:
    truth, probabilities = scores(kind, 2)
    one = probabilities[:, 1]
    for ours, theirs in (
        (metrics.average_precision_score, sk.average_precision_score),
        (metrics.roc_auc_score, sk.roc_auc_score),
        (metrics.brier_score_loss, sk.brier_score_loss),
    ):
        value = ours(truth, one)
        assert isinstance(value, float) and value == pytest.approx(theirs(truth, one), abs=1e-12)
    assert metrics.brier_score_loss(truth, one) == pytest.approx(metrics.brier_score_loss(truth, probabilities))
    for threshold in (0.0, 0.3, 0.5, one[3], 2.0):
        chosen = one >= threshold
        assert metrics.precision_at_threshold(truth, one, threshold) == pytest.approx(
            sk.precision_score(truth, chosen, zero_division=0)
        )
        assert metrics.recall_at_threshold(truth, one, threshold) == pytest.approx(sk.recall_score(truth, chosen))
    precision, recall, _ = sk.precision_recall_curve(truth, one)
    for least in (0.3, 0.6, 0.9, 1.0):
        allowed = recall[:-1][precision[:-1] >= least]
        expected = allowed.max() if len(allowed) else 0.0
        assert metrics.recall_at_precision(truth, one, least) == pytest.approx(expected)


def test_predictions_of_every_class() -> None:
    truth, probabilities = scores("smooth")
    predicted = probabilities.argmax(axis=1)
    np.testing.assert_allclose(
        metrics.precision_score(truth, predicted), sk.precision_score(truth, predicted, average=None)
    )
    assert metrics.matthews_corrcoef(truth, predicted) == pytest.approx(sk.matthews_corrcoef(truth, predicted))
    assert metrics.precision_score([0, 1], [0, 0]).tolist() == [0.5, 0]
    for one_class in ([0, 0, 0], [0, 1, 0]):
        assert metrics.matthews_corrcoef(one_class, [0, 0, 0]) == sk.matthews_corrcoef(one_class, [0, 0, 0]) == 0
    assert metrics.matthews_corrcoef(["a", "b", "c"], ["a", "b", "c"]) == pytest.approx(1)
    big = np.repeat([0, 1], 200_000)
    assert metrics.matthews_corrcoef(big, big) == 1


def test_a_class_of_all_samples_and_a_class_of_none() -> None:
    values = metrics.average_precision_score([0, 0], [[0.5, 0.5], [0.7, 0.3]], average=None)
    assert values.tolist() == [1, 0]
    assert np.isnan(metrics.roc_auc_score([0, 0], [[0.5, 0.5], [0.7, 0.3]], average=None)).all()
    assert np.isnan(metrics.recall_at_threshold([0, 0], [[0.5, 0.5], [0.7, 0.3]], 0.5, average=None)[1])
    assert metrics.recall_at_precision([1, 0], [0.1, 0.9], 0.9) == 0


FAILURES: list[tuple[Any, str]] = [
    (lambda: metrics.roc_auc_score([0, 1], [[0.5, 0.5]]), r"the scores are \[1, 2\], expected \[2, C\]"),
    (lambda: metrics.roc_auc_score([0, 2], [0.5, 0.5]), "label 2 at position 1 is out of range, expected 0 to 1"),
    (lambda: metrics.roc_auc_score([0, 1], [0.5, np.nan]), "a score of sample 1 is NaN"),
    (lambda: metrics.roc_auc_score([], np.zeros((0, 2))), "labels are float64|empty set"),
    (lambda: metrics.roc_auc_score([0, 1], [0.1, 0.2], average="micro"), "average is 'micro'"),  # type: ignore[call-overload]
    (lambda: metrics.brier_score_loss([0, 1], [0.5, 1.5]), "a probability of sample 1 is 1.5, expected 0 to 1"),
    (lambda: metrics.recall_at_precision([0, 1], [0.5, 0.5], 0), "the precision is 0, expected above 0"),
]


@pytest.mark.parametrize("call, message", FAILURES)
def test_mistakes_are_named(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()
