"""The objectives for boosted trees: derivatives against finite differences, and each library's calling convention."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.metrics import balanced_accuracy_score

import ulmus
from ulmus import _family
from ulmus.objectives import Objective, supported_losses

COUNTS = [500, 60, 20, 5]
SPECS = [
    "ce",
    "ce:scale=3+inverse",
    "bs",
    "bs+cb",
    "la:tau=1.5",
    "vs",
    "vs:gamma=0.5,scale=2",
    "cdt",
    "ldam:scale=1",
    "ldam",
    "elm:lambda=0.5,scale=2",
    "elm:lambda=0.5,placement=rival,scale=3",
    "cosface:scale=4",
    "cb",
    "gr",
    "kps",
    "arcface:margin=0",  # tested below only if it is supported
]


def supported(spec: str) -> bool:
    try:
        Objective(spec, COUNTS)
    except ValueError:
        return False
    return True


def test_the_definitions_say_which_losses_have_one() -> None:
    assert supported_losses() == ["ce", "ldam", "elm", "bs", "la", "vs", "cdt", "cb", "gr", "kps", "cosface"]


REASONS = {
    "focal": "its shape is another function of the cross entropy",
    "poly1": "its shape",
    "cb:kind=sigmoid": "not a softmax cross entropy",
    "kps:scaling=label": "not a softmax cross entropy",
    "logitnorm": "not a softmax cross entropy",
    "mm": "the shift of its true logit depends on that logit",
    "arcface": "the shift of its true logit",
    "seesaw": "it has a state",
    "gcl": "random draws",
    "lade": "term of the whole batch",
    "ib": "it uses features",
    "ce:smoothing=0.1": "it smooths labels",
    "las": "it smooths labels",
}


@pytest.mark.parametrize("spec, reason", REASONS.items())
def test_others_are_refused_with_the_reason(spec: str, reason: str) -> None:
    with pytest.raises(
        ValueError, match=f"the loss '{spec}' has no objective for boosted trees: .*{reason}.*use one of ce"
    ):
        ulmus.objective(spec, COUNTS)


def test_every_loss_is_supported_or_refused_by_name() -> None:
    for name in _family.table()["losses"]:
        if name not in supported_losses():
            with pytest.raises(ValueError, match=f"the loss '{name}' has no objective"):
                ulmus.objective(name, COUNTS)


@pytest.mark.parametrize("spec", [spec for spec in SPECS if supported(spec)])
@pytest.mark.parametrize("binary", [False, True])
def test_derivatives_are_those_of_finite_differences(spec: str, binary: bool) -> None:
    random = np.random.default_rng(1)
    objective = Objective(spec, COUNTS[::3] if binary else COUNTS)
    labels = np.arange(40) % objective.classes
    scores = 2 * random.normal(size=40 if binary else (40, 4))
    weights = random.uniform(0.5, 2, size=40)
    gradient, hessian = objective.gradient_and_hessian(scores, labels, weights)
    assert gradient.shape == hessian.shape == scores.shape
    total = (weights * objective._class_weights[labels]).sum()
    step = 1e-5
    for column in range(1 if binary else 4):
        moved = np.zeros_like(scores)
        moved[..., column] = step
        if binary:
            moved = np.full_like(scores, step)
        above, below = (objective.gradient_and_hessian(scores + sign * moved, labels, weights)[0] for sign in (1, -1))
        by_column = (above - below) / (2 * step)
        own = by_column if binary else by_column[:, column]
        own_hessian = hessian if binary else hessian[:, column]
        np.testing.assert_allclose(own, own_hessian, atol=1e-8, rtol=1e-7)
        if not binary:
            np.testing.assert_allclose(
                by_column, objective.full_hessian(scores, labels, weights)[1][:, column], atol=1e-8
            )
        for row in range(40):
            shift = np.zeros_like(scores)
            shift[(row,) if binary else (row, column)] = step
            up, down = (objective.value(scores + sign * shift, labels, weights) for sign in (1, -1))
            expected = gradient[row] if binary else gradient[row, column]
            assert (up - down) / (2 * step) * total == pytest.approx(expected, abs=2e-7 * total)


def test_one_score_is_two_with_opposite_signs() -> None:
    random = np.random.default_rng(2)
    labels, score = np.arange(30) % 2, 3 * random.normal(size=30)
    for spec in ("ce", "bs", "elm:lambda=0.5", "vs"):
        objective = Objective(spec, [500, 20])
        both = np.stack([-score / 2, score / 2], axis=1)
        assert objective.value(score, labels) == pytest.approx(objective.value(both, labels), rel=1e-12)
        np.testing.assert_allclose(objective.probabilities(score), objective.probabilities(both))
        of_both = objective.gradient_and_hessian(both, labels)[0]
        expected = (of_both[:, 1] - of_both[:, 0]) / 2
        np.testing.assert_allclose(objective.gradient_and_hessian(score, labels)[0], expected, atol=1e-14)


def test_the_hessian_stays_above_zero_and_finite() -> None:
    objective = Objective("elm", COUNTS)
    scores = np.array([[1e4, 0, 0, -1e4], [-1e4, 0, 0, 1e4], [0, 0, 0, 0]])
    gradient, hessian = objective.gradient_and_hessian(scores, [0, 0, 3])
    assert np.isfinite(gradient).all() and np.isfinite(hessian).all() and (hessian >= 1e-16).all()


def test_class_weights_have_mean_one_over_the_samples() -> None:
    counts, labels = np.array(COUNTS), np.arange(4)
    objective = Objective("ce+inverse", COUNTS)
    scores = np.zeros((4, 4))
    plain = Objective("ce", COUNTS).gradient_and_hessian(scores, labels)[0]
    balanced = counts.sum() / (4 * counts)
    np.testing.assert_allclose(objective.gradient_and_hessian(scores, labels)[0], plain * balanced[:, None])


def test_probabilities_are_for_the_prior_that_is_expected() -> None:
    objective = ulmus.objective("bs", COUNTS)
    scores = np.random.default_rng(0).normal(size=(5, 4))
    softmax = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(objective.assumed_prior, [0.25] * 4)
    np.testing.assert_allclose(objective.probabilities(scores), softmax)
    np.testing.assert_allclose(objective.probabilities(scores, "uniform"), softmax)
    weighted = softmax * COUNTS
    np.testing.assert_allclose(objective.probabilities(scores, "train"), weighted / weighted.sum(axis=1, keepdims=True))
    for prior in (COUNTS, dict(enumerate(COUNTS))):
        np.testing.assert_allclose(objective.probabilities(scores, prior), objective.probabilities(scores, "train"))
    ce = ulmus.objective("ce", COUNTS)
    np.testing.assert_allclose(ce.probabilities(scores), ce.probabilities(scores, "train"))
    assert (objective.predict(scores) == scores.argmax(axis=1)).all()


def test_the_scale_of_a_loss_is_in_its_scores() -> None:
    scores, labels = np.random.default_rng(0).normal(size=(6, 4)), np.arange(6) % 4
    one, ten = Objective("ce", COUNTS), Objective("ce:scale=10", COUNTS)
    for a, b in zip(one.gradient_and_hessian(scores, labels), ten.gradient_and_hessian(scores, labels)):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_they_are_copied_and_stored() -> None:
    for library in ("lightgbm", "xgboost", "catboost", None):
        objective = ulmus.objective("elm:lambda=0.5+cb", COUNTS, library)  # type: ignore[call-overload]
        scores, labels = np.zeros((4, 4)), np.arange(4)
        for other in (pickle.loads(pickle.dumps(objective)), copy.deepcopy(objective), clone(objective, safe=False)):
            assert type(other) is type(objective) and repr(other) == repr(objective)
            np.testing.assert_array_equal(
                other.gradient_and_hessian(scores, labels)[0], objective.gradient_and_hessian(scores, labels)[0]
            )


def test_mistakes_are_named() -> None:
    objective = ulmus.objective("bs", COUNTS)
    failures: list[tuple[Any, str]] = [
        (lambda: ulmus.objective("bs", COUNTS, "lightgmb"), "unknown library 'lightgmb'; did you mean 'lightgbm'"),
        (lambda: ulmus.objective("ldam+drw", COUNTS), "the rule 'drw' .* begins at a fraction.*use 'ldam[+]cb'"),
        (lambda: ulmus.objective("ce+rs", COUNTS), "draws samples"),
        (lambda: ulmus.objective("bss", COUNTS), "unknown loss 'bss'; did you mean 'bs'?"),
        (
            lambda: objective.value(np.zeros((2, 3)), [0, 1]),
            r"the scores are \[2, 3\], expected \[N, 4\] for 4 class counts",
        ),
        (lambda: objective.value(np.zeros(2), [0, 1]), r"the scores are \[2\], expected \[N, 4\]"),
        (lambda: objective.value(np.zeros((2, 4)), [0, 4]), "label 4 at position 1 is no class"),
        (lambda: objective.value(np.zeros((2, 4)), [0, 0.5]), "label 0.5 at position 1 is no class"),
        (lambda: objective.value(np.zeros((2, 4)), [0]), r"the labels are \[1\], expected \[2\]"),
        (lambda: objective.value(np.zeros((2, 4)), [0, 1], [1.0]), r"the sample weights are \[1\], expected \[2\]"),
        (lambda: objective.probabilities(np.zeros((2, 4)), "trian"), "unknown prior 'trian'; did you mean 'train'"),
        (lambda: objective.probabilities(np.zeros((2, 4)), [1, 2, 3]), "expected one for each of 4 classes"),
        (
            lambda: objective.probabilities(np.zeros((2, 4)), [1, 2, 3, 0]),
            "the prior of class 3 is 0, expected a number above 0",
        ),
    ]
    for call, message in failures:
        with pytest.raises(ValueError, match=message):
            call()


# Comparisons with the libraries.


def table(classes: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
    shares = [0.7, 0.2, 0.1] if classes == 3 else [0.9, 0.1]
    X, y = make_classification(900, 12, n_informative=6, n_classes=classes, weights=shares, random_state=0)
    return X, y, np.bincount(y).tolist()


WEIGHTS = np.random.default_rng(0).uniform(0.5, 2, size=900)


def train_lightgbm(lightgbm: Any, parameters: dict[str, Any], *arguments: Any, **options: Any) -> Any:
    """Calls ``lightgbm.train``; before version 4 the objective is an argument."""
    if lightgbm.__version__ < "4" and callable(parameters["objective"]):
        options["fobj"] = parameters["objective"]
        parameters = parameters | {"objective": "none"}
    return lightgbm.train(parameters, *arguments, **options)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_lightgbm_grows_the_trees_of_its_own_objective(classes: int, weights: Any) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    X, y, counts = table(classes)
    options = {"n_estimators": 30, "verbose": -1, "num_threads": 1, "boost_from_average": False, "deterministic": True}
    own = lightgbm.LGBMClassifier(**options).fit(X, y, sample_weight=weights)
    objective = ulmus.objective("ce", counts, "lightgbm")
    ours = lightgbm.LGBMClassifier(objective=objective, **options).fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(ours.predict(X, raw_score=True), own.predict(X, raw_score=True), atol=1e-4, rtol=1e-4)
    probabilities = objective.probabilities(ours.predict_proba(X, raw_score=True))
    np.testing.assert_allclose(probabilities, own.predict_proba(X), atol=1e-5)
    parameters = {"objective": objective, "num_class": classes if classes > 2 else 1} | options
    native = train_lightgbm(lightgbm, parameters, lightgbm.Dataset(X, y, weight=weights), 30)
    np.testing.assert_allclose(native.predict(X), ours.predict(X, raw_score=True), atol=1e-9)


def test_lightgbm_may_have_two_columns_for_two_classes() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    X, y, counts = table(2)
    options = {"num_class": 2, "verbose": -1, "num_threads": 1, "boost_from_average": False}
    own = train_lightgbm(lightgbm, {"objective": "multiclass"} | options, lightgbm.Dataset(X, y), 20)
    objective = ulmus.objective("ce", counts, "lightgbm")
    ours = train_lightgbm(lightgbm, {"objective": objective} | options, lightgbm.Dataset(X, y), 20)
    np.testing.assert_allclose(objective.probabilities(ours.predict(X)), own.predict(X), atol=1e-5)


def test_lightgbm_before_version_4_has_its_scores_class_after_class() -> None:
    objective = ulmus.objective("elm:lambda=0.5", COUNTS, "lightgbm")
    scores, labels = np.random.default_rng(0).normal(size=(6, 4)), np.arange(6) % 4
    new, old = objective(labels, scores), objective(labels, scores.ravel(order="F"))
    for a, b in zip(new, old):
        np.testing.assert_array_equal(a.ravel(order="F"), b)
    assert objective.mean_loss(labels, scores.ravel(order="F")) == objective.mean_loss(labels, scores)


def test_class_weights_are_those_of_lightgbm() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    X, y, counts = table(3)
    options = {"n_estimators": 20, "verbose": -1, "num_threads": 1, "boost_from_average": False}
    own = lightgbm.LGBMClassifier(class_weight="balanced", **options).fit(X, y)
    ours = lightgbm.LGBMClassifier(objective=ulmus.objective("ce+inverse", counts, "lightgbm"), **options).fit(X, y)
    np.testing.assert_allclose(ours.predict(X, raw_score=True), own.predict(X, raw_score=True), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("classes", [2, 3])
def test_balanced_softmax_is_cross_entropy_with_its_prior_corrected(classes: int) -> None:
    """LightGBM's own objective starts at the log frequencies, which are the offset of ``bs``; correcting the prior
    removes them again."""
    lightgbm = pytest.importorskip("lightgbm")
    from ulmus.sklearn import PriorCorrectedClassifier

    X, y, counts = table(classes)
    options = {"n_estimators": 20, "verbose": -1, "num_threads": 1}
    corrected = PriorCorrectedClassifier(lightgbm.LGBMClassifier(**options)).fit(X, y)
    objective = ulmus.objective("bs", counts, "lightgbm")
    ours = lightgbm.LGBMClassifier(objective=objective, **options).fit(X, y)
    probabilities = objective.probabilities(ours.predict(X, raw_score=True))
    np.testing.assert_allclose(probabilities, corrected.predict_proba(X), atol=1e-4)


@pytest.mark.filterwarnings("ignore:The argument 'eval_set' is deprecated")
@pytest.mark.parametrize("classes", [2, 3])
def test_lightgbm_stops_early_by_the_metrics(classes: int) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    X, y, counts = table(classes)
    objective = ulmus.objective("bs", np.bincount(y[:600]).tolist(), "lightgbm")
    model = lightgbm.LGBMClassifier(objective=objective, n_estimators=60, verbose=-1, metric="None", num_threads=1)
    model.fit(
        X[:600],
        y[:600],
        eval_set=[(X[600:], y[600:])],
        eval_metric=[objective.balanced_accuracy, objective.mean_loss],
        callbacks=[lightgbm.early_stopping(20, verbose=False)],
    )
    curves = model.evals_result_["valid_0"]
    assert set(curves) == {"balanced_accuracy", "bs"}
    expected = balanced_accuracy_score(y[600:], objective.predict(model.predict(X[600:], raw_score=True)))
    assert curves["balanced_accuracy"][model.best_iteration_ - 1] == pytest.approx(expected)
    data = lightgbm.Dataset(X[:600], y[:600])
    parameters = {"objective": objective, "num_class": classes if classes > 2 else 1, "verbose": -1, "metric": "None"}
    recorded: dict[str, Any] = {}
    train_lightgbm(
        lightgbm,
        parameters | {"num_threads": 1},
        data,
        5,
        valid_sets=[lightgbm.Dataset(X[600:], y[600:], reference=data)],
        feval=[objective.balanced_accuracy, objective.mean_loss],
        callbacks=[lightgbm.record_evaluation(recorded)],
    )
    np.testing.assert_allclose(recorded["valid_0"]["bs"], curves["bs"][:5])


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_xgboost_grows_the_trees_of_its_own_objective(classes: int, weights: Any) -> None:
    xgboost = pytest.importorskip("xgboost")
    if weights is not None and xgboost.__version__ < "2":
        pytest.skip("XGBClassifier of version 1 keeps the weights to itself")
    X, y, counts = table(classes)
    options = {"n_estimators": 20, "max_depth": 4, "n_jobs": 1, "base_score": 0.5}
    own = xgboost.XGBClassifier(**options).fit(X, y, sample_weight=weights)
    objective = ulmus.objective("ce", counts, "xgboost")
    ours = xgboost.XGBClassifier(objective=objective, **options).fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(ours.predict_proba(X), own.predict_proba(X), atol=1e-4)
    np.testing.assert_allclose(
        objective.probabilities(ours.predict(X, output_margin=True)), ours.predict_proba(X), atol=1e-6
    )
    parameters = {"max_depth": 4, "nthread": 1, "base_score": 0.0} | ({"num_class": 3} if classes == 3 else {})
    native = xgboost.train(parameters, xgboost.DMatrix(X, y, weight=weights), 20, obj=objective)
    scores = native.predict(xgboost.DMatrix(X), output_margin=True)
    np.testing.assert_allclose(objective.probabilities(scores), ours.predict_proba(X), atol=1e-4)


def test_xgboost_before_version_2_1_takes_flat_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    xgboost = pytest.importorskip("xgboost")
    objective = ulmus.objective("bs", COUNTS, "xgboost")
    scores, labels = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32), np.arange(6) % 4
    new = objective(labels, scores)
    monkeypatch.setattr(xgboost, "__version__", "1.7.6")
    for a, b in zip(new, objective(labels, scores.ravel())):
        np.testing.assert_array_equal(a.ravel(), b)


@pytest.mark.parametrize("classes", [2, 3])
def test_xgboost_stops_early_by_the_metrics(classes: int) -> None:
    xgboost = pytest.importorskip("xgboost")
    X, y, _ = table(classes)
    objective = ulmus.objective("bs", np.bincount(y[:600]).tolist(), "xgboost")
    stop = xgboost.callback.EarlyStopping(rounds=10, metric_name="balanced_accuracy", maximize=True, save_best=True)
    model = xgboost.XGBClassifier(
        objective=objective, n_estimators=40, eval_metric=objective.balanced_accuracy, callbacks=[stop], n_jobs=1
    )
    model.fit(X[:600], y[:600], eval_set=[(X[600:], y[600:])], verbose=False)
    curve = model.evals_result()["validation_0"]["balanced_accuracy"]
    assert len(curve) <= 40
    assert max(curve) == pytest.approx(balanced_accuracy_score(y[600:], model.predict(X[600:])), abs=1e-6)
    recorded: dict[str, Any] = {}
    data, held_out = xgboost.DMatrix(X[:600], y[:600]), xgboost.DMatrix(X[600:], y[600:])
    parameters = {"base_score": 0.0, "disable_default_eval_metric": 1, "nthread": 1} | (
        {"num_class": 3} if classes == 3 else {}
    )
    evaluation = {"obj": objective, "custom_metric": objective.mean_loss, "evals": [(held_out, "valid")]}
    booster = xgboost.train(parameters, data, 5, evals_result=recorded, verbose_eval=False, **evaluation)
    expected = objective.value(booster.predict(held_out, output_margin=True), y[600:])
    assert recorded["valid"]["mean_loss"][-1] == pytest.approx(expected, rel=1e-5)


@pytest.mark.filterwarnings("ignore:Failed to import numba")
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_catboost_grows_the_trees_of_its_own_objective(classes: int, weights: Any) -> None:
    catboost = pytest.importorskip("catboost")
    X, y, counts = table(classes)
    options = {"iterations": 10, "learning_rate": 0.1, "verbose": 0, "thread_count": 1, "allow_writing_files": False}
    options |= {"leaf_estimation_method": "Newton", "leaf_estimation_iterations": 1, "boost_from_average": False}
    options |= {"bootstrap_type": "No", "random_strength": 0} | ({"classes_count": 3} if classes == 3 else {})
    own = catboost.CatBoostClassifier(loss_function="Logloss" if classes == 2 else "MultiClass", **options)
    own.fit(X, y, sample_weight=weights)
    objective = ulmus.objective("ce", counts, "catboost")
    ours = catboost.CatBoostClassifier(loss_function=objective, eval_metric=objective.mean_loss, **options)
    ours.fit(X, y, sample_weight=weights)
    probabilities = objective.probabilities(ours.predict(X, prediction_type="RawFormulaVal"))
    np.testing.assert_allclose(probabilities, own.predict_proba(X), atol=1e-5)
    np.testing.assert_allclose(probabilities, ours.predict_proba(X), atol=1e-9)
    expected = objective.value(ours.predict(X, prediction_type="RawFormulaVal"), y, weights)
    assert list(ours.evals_result_["learn"].values())[0][-1] == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore:Failed to import numba")
def test_catboost_is_told_how_many_classes_there_are() -> None:
    catboost = pytest.importorskip("catboost")
    X, y, counts = table(3)
    objective = ulmus.objective("bs", counts, "catboost")
    options = {"iterations": 2, "verbose": 0, "thread_count": 1, "allow_writing_files": False}
    model = catboost.CatBoostClassifier(loss_function=objective, eval_metric=objective.balanced_accuracy, **options)
    with pytest.raises(Exception, match="give it classes_count=3"):
        model.fit(X, y)


def test_catboost_rows_are_those_of_the_batch() -> None:
    random = np.random.default_rng(0)
    for spec in ("elm:lambda=0.5,scale=2+cb", "vs"):
        objective = ulmus.objective(spec, COUNTS, "catboost")
        scores, labels, weights = random.normal(size=(9, 4)), np.arange(9) % 4, random.uniform(size=9)
        gradient, hessian = objective.full_hessian(scores, labels, weights)
        for i in range(9):
            first, second = objective.calc_ders_multi(scores[i], float(labels[i]), weights[i])
            np.testing.assert_allclose(first, -gradient[i], atol=1e-15)
            np.testing.assert_allclose(second, -hessian[i], atol=1e-14)
    with pytest.raises(ValueError, match="label 4.0 at position 0 is no class"):
        objective.calc_ders_multi(scores[0], 4.0, 1.0)


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_the_prior_as_offset_finds_more_of_a_rare_class(library: Any) -> None:
    module = pytest.importorskip(library)
    X, y = make_classification(4000, 12, n_informative=6, weights=[0.97], class_sep=0.8, random_state=1)
    train, test = slice(0, 2000), slice(2000, None)
    objective = ulmus.objective("bs", np.bincount(y[train]).tolist(), library)
    kind, options = (
        (module.LGBMClassifier, {"verbose": -1, "n_jobs": 1})
        if library == "lightgbm"
        else (module.XGBClassifier, {"n_jobs": 1})
    )
    plain = kind(n_estimators=50, **options).fit(X[train], y[train])
    ours = kind(objective=objective, n_estimators=50, **options).fit(X[train], y[train])
    raw = {"raw_score": True} if library == "lightgbm" else {"output_margin": True}
    predicted = objective.predict(ours.predict(X[test], **raw))
    assert balanced_accuracy_score(y[test], predicted) > balanced_accuracy_score(y[test], plain.predict(X[test])) + 0.03
