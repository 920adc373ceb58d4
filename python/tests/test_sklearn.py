"""The scikit-learn classifier."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats
from sklearn.datasets import load_digits, make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import ulmus
from ulmus.sklearn import MarginClassifier

CLASSIFIERS = [
    MarginClassifier(),
    MarginClassifier("elm:lambda=0.5+drw", head="mlp"),
    MarginClassifier("la", head="linear", prior="balanced"),
    MarginClassifier("ce", head="linear"),
]


@parametrize_with_checks(CLASSIFIERS)  # type: ignore[untyped-decorator]
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, ...]:
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.5, random_state=0, stratify=y)
    chosen = ulmus.make_long_tailed(y, "exp:20")
    return X[chosen], y[chosen], X_test, y_test


def score(digits: tuple[np.ndarray, ...], **options: Any) -> float:
    X, y, X_test, y_test = digits
    options = {"epochs": 100, "folds": 0, "learning_rate": 0.05, "weight_decay": 1e-4} | options
    model = MarginClassifier(random_state=0, **options).fit(X, y)
    return float(balanced_accuracy_score(y_test, model.predict(X_test)))


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_losses_for_imbalance_beat_cross_entropy(digits: tuple[np.ndarray, ...], head: str) -> None:
    plain = score(digits, loss="ce", head=head)
    assert plain > 0.8
    assert score(digits, loss="la", head=head) > plain
    assert score(digits, loss="ce", head="linear", prior="balanced") > score(digits, loss="ce", head="linear")
    assert score(digits, loss="ce", head="linear", class_weight="balanced") > score(digits, loss="ce", head="linear")
    assert score(digits, loss="elm:lambda=0.5+drw", head="cosine") > 0.88


def test_gradients_of_every_head_are_right() -> None:
    random = np.random.default_rng(0)
    X, codes = random.normal(size=(7, 5)), np.array([0, 1, 2, 0, 1, 2, 0])
    from ulmus.sklearn import _Network

    for hidden, cosine, text in [(0, False, "la"), (0, True, "ldam"), (6, False, "focal:gamma=2"), (6, True, "ldam")]:
        network = _Network(5, hidden, 3, cosine, np.random.RandomState(1))
        loss = ulmus.functional.prepare(text, [30, 20, 5])

        def value() -> float:
            return float(ulmus.functional.loss_and_grad(network.forward(X), codes, loss)[0])

        gradient = ulmus.functional.loss_and_grad(network.forward(X), codes, loss)[1]
        for name, came in network.backward(gradient).items():
            parameter = network.parameters[name]
            for place in np.ndindex(parameter.shape):
                kept = parameter[place]
                values = []
                for step in (1e-6, -1e-6):
                    parameter[place] = kept + step
                    values.append(value())
                parameter[place] = kept
                assert came[place] == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-7), (text, name, place)


def test_it_lives_in_pipelines_and_searches(digits: tuple[np.ndarray, ...]) -> None:
    X, y, X_test, y_test = digits
    pipeline = make_pipeline(StandardScaler(), MarginClassifier(head="linear", loss="ce", epochs=20, random_state=0))
    grid = {"marginclassifier__loss": ["ce", "la", "la:tau=1.5"], "marginclassifier__head": ["linear", "mlp"]}
    search = GridSearchCV(pipeline, grid, scoring="balanced_accuracy", cv=2).fit(X, y)
    assert search.best_params_["marginclassifier__loss"].startswith("la")
    again = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(again.predict_proba(X_test), search.predict_proba(X_test))


def test_probabilities_follow_the_prior(digits: tuple[np.ndarray, ...]) -> None:
    X, y, X_test, _ = digits
    mass = {}
    for name, prior in {
        "plain": None,
        "rare": [1] * 9 + [50],
        "dict": {label: 1 + 49 * (label == 9) for label in range(10)},
    }.items():
        model = MarginClassifier("la", "linear", prior=prior, random_state=0, epochs=30).fit(X, y)
        probabilities = model.predict_proba(X_test)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1)
        np.testing.assert_allclose(np.exp(model.predict_log_proba(X_test)), probabilities)
        mass[name] = probabilities[:, 9].mean()
    assert mass["rare"] == mass["dict"] > mass["plain"] + 0.02


@pytest.mark.parametrize("shares", [[0.85, 0.1, 0.05], [0.95, 0.05], [0.7, 0.15, 0.08, 0.05, 0.02]])
def test_the_default_beats_class_weighted_logistic_regression(shares: list[float]) -> None:
    X, y = make_classification(
        3000, 20, n_informative=8 if len(shares) == 5 else 6, n_classes=len(shares), weights=shares, random_state=0
    )
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, random_state=0, stratify=y)
    peer = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000)).fit(X, y)
    ours = MarginClassifier(random_state=0).fit(X, y)
    ours_score, peer_score = (balanced_accuracy_score(y_test, model.predict(X_test)) for model in (ours, peer))
    assert ours_score >= peer_score


def test_training_ends_where_samples_that_were_held_out_are_best() -> None:
    random = np.random.default_rng(0)
    X = random.normal(size=(400, 30))
    # Mostly noise, which the network memorises after a few epochs.
    y = np.where(X[:, 0] + random.normal(scale=2, size=400) > 2.2, "rare", "frequent")
    y[7] = "once"  # no fold can hold out a class that the other folds do not contain
    model = MarginClassifier(head="mlp", random_state=0).fit(X, y)
    assert len(model.held_out_curve_) == 100 and len(model.networks_) == 3
    assert model.n_epochs_ == np.argmin(model.held_out_curve_) + 1 < 30
    assert len(model.loss_curve_) == model.n_epochs_
    all_of_them = MarginClassifier(folds=0, networks=1, epochs=7, random_state=0).fit(X, y)
    assert all_of_them.n_epochs_ == len(all_of_them.loss_curve_) == 7 and not all_of_them.held_out_curve_
    mean = np.mean([network.forward(model._inputs(X)) for network in model.networks_], axis=0)
    np.testing.assert_allclose(model.decision_function(X), mean)


def test_an_ensemble_is_the_mean_of_four_models_that_assume_the_prior_of_the_loss() -> None:
    X, y = make_classification(600, 6, n_informative=4, weights=[0.9, 0.1], random_state=0)
    X[:, 5] = np.exp(3 * X[:, 5])  # normal scores remove the tail
    options: dict[str, Any] = {"epochs": 5, "folds": 0, "networks": 1, "random_state": 0}
    model = MarginClassifier(**options).fit(X, y)
    standard = StandardScaler().fit_transform(X)
    networks, regression, scored_networks, scored_regression = model.members_
    logs = [networks.predict_log_proba(standard), regression.predict_log_proba(standard)]
    ranks = np.argsort(np.argsort(X, axis=0), axis=0)
    scored = np.hstack([standard, scipy.stats.norm.ppf((ranks + 0.5) / len(X))])
    logs += [scored_networks.predict_log_proba(scored), scored_regression.predict_log_proba(scored)]
    assert np.allclose(model.predict_log_proba(X), scipy.special.log_softmax(np.mean(logs, axis=0), axis=1))
    balanced = LogisticRegression(class_weight="balanced", max_iter=1000).fit(standard, y)
    assert np.allclose(balanced.predict_proba(standard), regression.predict_proba(standard), atol=1e-4)
    plain = LogisticRegression(max_iter=1000).fit(standard, y)
    of_ce = MarginClassifier("ce", **options).fit(X, y).members_[1]
    assert np.allclose(plain.predict_proba(standard), of_ce.predict_proba(standard), atol=1e-4)
    assert np.isfinite(model.predict_log_proba(1e6 * X)).all()  # scores are constant beyond the values seen in training


def test_a_constant_factor_of_the_sample_weights_changes_nothing(digits: tuple[np.ndarray, ...]) -> None:
    X, y, X_test, _ = digits
    scores = []
    for factor in (1.0, 1 / len(X), 0.3):
        model = MarginClassifier("bs", "linear", epochs=10, random_state=0)
        model.fit(X, y, sample_weight=np.full(len(X), factor))
        assert model.class_counts_.tolist() == np.bincount(y).tolist()
        scores.append(model.predict_proba(X_test))
    np.testing.assert_allclose(scores[1], scores[0], atol=1e-9)
    np.testing.assert_allclose(scores[2], scores[0], atol=1e-9)


FAILURES = [
    (dict(class_weight={"a": 1, "c": 2}), "class_weight has 'c', which is no class"),
    (dict(class_weight={"a": -1}), "finite weights of at least 0"),
    (dict(class_weight=[1, 2]), "a dict from class to weight"),
    (dict(loss="elmm"), "unknown loss 'elmm'; did you mean 'elm'?"),
    (dict(loss="ldam", head="linear"), "cannot work on a linear head: its margins are in cosine units"),
    (dict(loss="ce", head="cosine"), "cannot learn on a cosine head with scale 1.*use 'ce:scale=30'"),
    (dict(head="cosin"), "unknown head 'cosin'; did you mean 'cosine'?"),
    (dict(prior=[1, 2, 3]), "expected a number above 0 for each of the 2 classes"),
    (dict(prior="balance"), "prior is 'balance', expected 'balanced'"),
    (dict(class_weight="balance"), "class_weight is 'balance', expected 'balanced'"),
    (dict(epochs=0), "epochs is 0, expected at least 1"),
    (dict(networks=0), "networks is 0, expected at least 1"),
    (dict(folds=1), "folds is 1, expected 0 or at least 2"),
    (dict(learning_rate=0), "learning_rate is 0"),
]


@pytest.mark.parametrize("options, message", FAILURES)
def test_mistakes_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MarginClassifier(**options).fit([[0.0], [1.0]], ["a", "b"])
