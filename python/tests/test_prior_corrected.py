"""The classifier that corrects the prior of another classifier."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas
import pytest
from sklearn import metrics as sk
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from ulmus import adjust
from ulmus.sklearn import PriorCorrectedClassifier


@parametrize_with_checks(
    [
        PriorCorrectedClassifier(LogisticRegression()),
        PriorCorrectedClassifier(LogisticRegression(), prior="train", temperature=True, cv=2),
        PriorCorrectedClassifier(DecisionTreeClassifier(random_state=0)),
    ]
)  # type: ignore[untyped-decorator]
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def table(classes: int = 3, rows: int = 1200) -> tuple[np.ndarray, np.ndarray]:
    shares = [0.85, 0.1, 0.05] if classes == 3 else [0.95, 0.05]
    X, y = make_classification(rows, 10, n_informative=6, n_classes=classes, weights=shares, random_state=0)
    return X, np.array(["often", "rare", "seldom"])[y]


def test_probabilities_are_those_of_the_estimator_corrected() -> None:
    X, y = table()
    plain = LogisticRegression(max_iter=500).fit(X, y)
    counts = np.unique(y, return_counts=True)[1]
    for prior, expected in (
        ("uniform", "uniform"),
        ({"often": 1, "rare": 5, "seldom": 2}, [1, 5, 2]),
        ([3, 2, 1], [3, 2, 1]),
    ):
        model = PriorCorrectedClassifier(LogisticRegression(max_iter=500), prior).fit(X, y)
        corrected = adjust.correct_prior(plain.predict_proba(X), counts, expected)
        np.testing.assert_allclose(model.predict_proba(X), corrected)
        np.testing.assert_array_equal(model.predict(X), plain.classes_[corrected.argmax(axis=1)])
        np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), corrected)
    same = PriorCorrectedClassifier(LogisticRegression(max_iter=500), "train").fit(X, y)
    np.testing.assert_allclose(same.predict_proba(X), plain.predict_proba(X))
    weighted = LogisticRegression(max_iter=500, class_weight="balanced")
    from_uniform = PriorCorrectedClassifier(weighted, trained_prior="uniform").fit(X, y)
    np.testing.assert_allclose(from_uniform.predict_proba(X), clone(weighted).fit(X, y).predict_proba(X))
    assert sk.balanced_accuracy_score(y, model.predict(X)) > sk.balanced_accuracy_score(y, plain.predict(X))


def test_sample_weights_are_of_the_prior_too() -> None:
    X, y = table()
    weights = np.where(y == "often", 0.5, 2.0)
    model = PriorCorrectedClassifier(LogisticRegression(max_iter=500)).fit(X, y, sample_weight=weights)
    sums = np.array([weights[y == name].sum() for name in model.classes_])
    np.testing.assert_allclose(model.trained_prior_, sums / sums.sum())
    plain = LogisticRegression(max_iter=500).fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(model.predict_proba(X), adjust.correct_prior(plain.predict_proba(X), sums))


def test_what_is_fitted_is_cross_fitted() -> None:
    X, y = table(2)
    estimator = DecisionTreeClassifier(max_depth=6, random_state=0)
    folds = StratifiedKFold(4)
    model = PriorCorrectedClassifier(estimator, maximise="f1", positive="rare", cv=folds).fit(X, y)
    out_of_fold = cross_val_predict(estimator, X, y, cv=folds, method="predict_proba")
    corrected = adjust.correct_prior(out_of_fold, model.trained_prior_)
    expected = adjust.fit_thresholds(corrected, (y == "rare").astype(int), "f1")
    np.testing.assert_allclose(model.thresholds_.offsets, expected.offsets)
    chosen = model.predict_proba(X)[:, 1] > model.thresholds_.threshold
    np.testing.assert_array_equal(model.predict(X), np.where(chosen, "rare", "often"))
    hot = PriorCorrectedClassifier(estimator, temperature=True, cv=folds).fit(X, y)
    assert hot.temperature_ == pytest.approx(
        adjust.fit_temperature(out_of_fold, (y == "rare").astype(int), hot.trained_prior_)
    )
    assert hot.temperature_ > 1.2  # a deep tree is overconfident


def test_calibration_data_may_be_given() -> None:
    X, y = table(2)
    train, held_out = slice(0, 800), slice(800, None)
    estimator = HistGradientBoostingClassifier(max_iter=20, random_state=0)
    given = PriorCorrectedClassifier(estimator, maximise="mcc")
    given.fit(X[train], y[train], calibration=(X[held_out], y[held_out]))
    fitted = clone(estimator).fit(X[train], y[train])
    prefit = PriorCorrectedClassifier(
        fitted, maximise="mcc", cv="prefit", trained_prior=np.unique(y[train], return_counts=True)[1]
    ).fit(X[held_out], y[held_out])
    assert prefit.estimator_ is fitted
    np.testing.assert_allclose(given.thresholds_.offsets, prefit.thresholds_.offsets)
    np.testing.assert_allclose(given.predict_proba(X), prefit.predict_proba(X))


def test_costs_decide() -> None:
    X, y = table(2)
    costs = {"often": {"rare": 1}, "rare": {"often": 50}}
    for maximise in (None, "cost"):
        model = PriorCorrectedClassifier(LogisticRegression(), "train", costs=costs, maximise=maximise).fit(X, y)
        plain = PriorCorrectedClassifier(LogisticRegression(), "train").fit(X, y)
        matrix = np.array([[0, 1], [50, 0]])

        def cost(of: Any) -> float:
            return float(matrix[(y == "rare").astype(int), (of.predict(X) == "rare").astype(int)].mean())

        assert cost(model) < cost(plain)


def test_it_lives_in_pipelines_searches_and_frames() -> None:
    X, y = table()
    frame = pandas.DataFrame(X, columns=[f"x{i}" for i in range(10)])
    model = PriorCorrectedClassifier(make_pipeline(StandardScaler(), LogisticRegression()), temperature=True)
    search = GridSearchCV(model, {"prior": ["uniform", "train"]}, scoring="balanced_accuracy", cv=3).fit(frame, y)
    assert search.best_params_ == {"prior": "uniform"}
    best = search.best_estimator_
    assert best.feature_names_in_.tolist() == frame.columns.tolist() and best.n_features_in_ == 10
    again = pickle.loads(pickle.dumps(best))
    np.testing.assert_array_equal(again.predict_proba(frame), best.predict_proba(frame))


def test_a_class_of_one_sample_is_no_obstacle() -> None:
    X, y = table(2, 200)
    y = y.astype(object)
    y[0] = "once"
    with pytest.warns(UserWarning, match="least populated class"):
        model = PriorCorrectedClassifier(LogisticRegression(), temperature=True).fit(X, y)
    assert model.predict_proba(X).shape == (200, 3)


class Scores(LogisticRegression):  # type: ignore[misc]
    def predict_proba(self, X: Any) -> Any:
        return self.decision_function(X)


FAILURES: list[tuple[dict[str, Any], str]] = [
    (dict(prior="balanced"), "unknown prior 'balanced'"),
    (dict(prior=[1, 2, 3]), "3 numbers of the prior came, expected one for each of 2 classes"),
    (dict(prior={"often": 1}), "the prior has no number for class 'rare'"),
    (dict(prior={"often": 1, "rare": 1, "none": 2}), "the prior has 'none', which is no class"),
    (dict(prior=[1, 0]), "the prior of class 'rare' is 0, expected a number above 0"),
    (dict(temperature=-1.0), "the temperature is -1.0"),
    (dict(maximise="f3"), "unknown metric to maximise 'f3'"),
    (dict(maximise="f1", positive="none"), "positive is 'none', which is no class"),
    (dict(costs=[[0, 1]]), "expected a square one"),
    (dict(cv="prefit"), "give trained_prior"),
]


@pytest.mark.parametrize("options, message", FAILURES)
def test_mistakes_are_named(options: dict[str, Any], message: str) -> None:
    X, y = table(2, 100)
    with pytest.raises(ValueError, match=message):
        PriorCorrectedClassifier(LogisticRegression().fit(X, y), **options).fit(X, y).predict(X)


def test_estimators_without_probabilities_are_refused() -> None:
    X, y = table(2, 100)
    with pytest.raises(TypeError, match="LinearSVC has no predict_proba.*CalibratedClassifierCV"):
        PriorCorrectedClassifier(LinearSVC()).fit(X, y)
    with pytest.raises(ValueError, match="Scores.predict_proba gave .*a custom objective gives scores"):
        PriorCorrectedClassifier(Scores()).fit(X, y).predict(X)
    with pytest.raises(ValueError, match="label 'new' at position 0 is no class of the estimator"):
        PriorCorrectedClassifier(LogisticRegression(), maximise="f1").fit(X, y, calibration=(X[:1], ["new"]))
