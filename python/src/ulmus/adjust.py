"""Makes the probabilities of any tool right for rare classes: NumPy in, NumPy out.

>>> p = model.predict_proba(X)                                     # of scikit-learn, LightGBM, TabPFN, a network ...
>>> balanced = ulmus.adjust.correct_prior(p, train_counts)          # for classes that are equally frequent
>>> chosen = ulmus.adjust.fit_thresholds(p_valid, y_valid, "f1")    # on samples the model was not trained on
>>> chosen.predict(p)

Scores are probabilities ``[N, C]`` whose rows sum to 1 within 0.001, or logits with ``logits=True``; results are of the
same kind, float64. Probabilities of another sum, NaN and another number of classes are errors that name the row.
:class:`ulmus.sklearn.PriorCorrectedClassifier` does this around an estimator.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import _family
from ._costs import cost_matrix, decide
from ._priors import class_prior, log_softmax
from ._scores import Doubles, checked_labels, checked_weights, log_scores, same_kind
from ._thresholds import Thresholds, fit_thresholds

__all__ = [
    "Thresholds",
    "apply_temperature",
    "correct_prior",
    "cost_matrix",
    "decide",
    "fit_temperature",
    "fit_thresholds",
    "logit_adjustment",
]

_HOTTEST = 100.0  # temperatures from 1/100 to 100


def _numbers(frequencies: Any) -> Any:
    """Class counts as a list with every class, also from a Counter that lacks some."""
    return frequencies if isinstance(frequencies, str) else [*_class_values(frequencies)]


def _class_values(frequencies: Any) -> list[float]:
    items = _family._items(frequencies)
    if items is None:
        values: list[float] = np.asarray(frequencies, dtype=np.float64).ravel().tolist()
        return values
    by_class = _family._by_class(items, "class frequencies")
    return [float(by_class.get(j, 0)) for j in range(max(by_class, default=-1) + 1)]


def correct_prior(scores: ArrayLike, trained: Any, prior: Any = "uniform", *, logits: bool = False) -> Doubles:
    """Probabilities for other class frequencies than those the model learned: ``p[j] prior[j] / trained[j]``,
    normalised (Saerens et al., Neural Computation 2002). Logits: ``z[j] + log(prior[j] / trained[j])``.

    Args:
        scores: ``[N, C]``.
        trained: the class frequencies that the scores assume, ``[C]`` or by class: mostly the training counts;
            ``"uniform"`` after class weights ``balanced``.
        prior: the frequencies to expect: ``"uniform"``, ``"train"`` (those of `trained`), ``[C]`` or by class.
    """
    logs = log_scores(scores, logits)
    classes = logs.shape[1]
    assumed = class_prior(_numbers(trained), classes, what="trained prior")
    expected = class_prior(_numbers(prior), classes, train=assumed)
    base = np.asarray(scores, dtype=np.float64) if logits else logs
    return same_kind(base + np.log(expected / assumed), logits)


def logit_adjustment(scores: ArrayLike, class_counts: Any, tau: float = 1.0, *, logits: bool = False) -> Doubles:
    """Post-hoc logit adjustment: ``p[j] pi[j]^-tau``, normalised, with ``pi[j] = n[j] / sum n`` (Menon et al., ICLR
    2021); logits: ``z[j] - tau log pi[j]``. ``tau=1`` is :func:`correct_prior` to the uniform prior; choose another on
    validation data."""
    if not np.isfinite(tau):
        raise ValueError(f"tau is {tau}, expected a finite number")
    logs = log_scores(scores, logits)
    prior = class_prior(_numbers(class_counts), logs.shape[1], what="class count")
    base = np.asarray(scores, dtype=np.float64) if logits else logs
    return same_kind(base - tau * np.log(prior), logits)


def apply_temperature(scores: ArrayLike, temperature: float, trained: Any = None, *, logits: bool = False) -> Doubles:
    """``softmax(log p / T)``; logits: ``z / T``. With the class frequencies `trained` that the scores assume, the
    temperature divides what the sample says, ``log p - log trained``, and leaves the frequencies."""
    if not (np.isfinite(temperature) and temperature > 0):
        raise ValueError(f"the temperature is {temperature}, expected a finite number above 0")
    logs = log_scores(scores, logits)
    base = np.asarray(scores, dtype=np.float64) if logits else logs
    shift = 0.0 if trained is None else np.log(class_prior(_numbers(trained), logs.shape[1], what="trained prior"))
    return same_kind((base - shift) / temperature + shift, logits)


def fit_temperature(
    scores: ArrayLike,
    labels: ArrayLike,
    trained: Any = None,
    *,
    sample_weight: ArrayLike | None = None,
    logits: bool = False,
) -> float:
    """The temperature, 0.01 to 100, with the least mean log loss of :func:`apply_temperature` on samples that the model
    was not trained on (Guo et al., ICML 2017). The loss is convex in ``1 / T``; the search is golden-section, to
    1e-6."""
    logs = log_scores(scores, logits)
    rows, classes = logs.shape
    truth, weights = checked_labels(labels, rows, classes), checked_weights(sample_weight, rows)
    shift = 0.0 if trained is None else np.log(class_prior(_numbers(trained), classes, what="trained prior"))
    evidence = logs - shift

    def loss(log_temperature: float) -> float:
        of_label = log_softmax(evidence / np.exp(log_temperature) + shift)[np.arange(rows), truth]
        return float(-(weights @ of_label))

    low, high = -np.log(_HOTTEST), np.log(_HOTTEST)
    ratio = (np.sqrt(5) - 1) / 2
    inner, outer = high - ratio * (high - low), low + ratio * (high - low)
    at_inner, at_outer = loss(inner), loss(outer)
    while high - low > 1e-6:
        if at_inner <= at_outer:
            high, outer, at_outer = outer, inner, at_inner
            inner = high - ratio * (high - low)
            at_inner = loss(inner)
        else:
            low, inner, at_inner = inner, outer, at_outer
            outer = low + ratio * (high - low)
            at_outer = loss(outer)
    return float(np.exp((low + high) / 2))
