"""A scikit-learn meta-estimator that corrects probabilities for other class frequencies; part of
:mod:`ulmus.sklearn`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.model_selection import check_cv
from sklearn.utils import indexable
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, _num_samples, check_is_fitted, column_or_1d

from . import adjust
from ._priors import class_prior

__all__ = ["PriorCorrectedClassifier"]

Doubles = NDArray[np.float64]


class PriorCorrectedClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """Corrects the probabilities of a classifier from its training class frequencies to other class frequencies.

    >>> model = PriorCorrectedClassifier(LGBMClassifier()).fit(X, y)
    >>> model.predict(X_test)      # for balanced accuracy: as if all classes were equally frequent

    Parameters
    ----------
    estimator : classifier with ``predict_proba``
    prior : "uniform", "train", dict or array, default="uniform"
        Class frequencies to expect when predicting: a dict by class label, or an array in the order of ``classes_``.
        Numbers are divided by their sum. ``"train"``: the same as `trained_prior`.
    trained_prior : "train", "uniform", dict or array, default="train"
        Class frequencies that the probabilities of the estimator assume. ``"train"``: the sums of the sample weights of
        each class in the training data; ``"uniform"``: for an estimator with ``class_weight="balanced"``.
    temperature : bool or float, default=False
        Temperature of the probabilities. It divides ``log p - log trained_prior`` and leaves the class frequencies
        unchanged. True: fitted.
    maximise : None or str, default=None
        Metric that the thresholds of ``predict`` maximise: ``"f1"``, ``"mcc"``, ``"balanced"``, ``"cost"`` or
        ``"recall@precision=0.9"`` (:func:`ulmus.adjust.fit_thresholds`). None: ``predict`` returns the most probable
        class or, with `costs`, the class of least expected cost. With thresholds or costs, ``predict`` is not the
        argmax of ``predict_proba``.
    costs : None, array, dict or DataFrame, default=None
        Costs ``[true, predicted]`` in a form that :func:`ulmus.adjust.cost_matrix` accepts.
    positive : class label or None, default=None
        The class whose ``f1`` or ``recall@precision`` is maximised.
    cv : int, splitter, "prefit" or None, default=None
        Cross-validation for fitting temperature and thresholds without calibration data: each sample's probabilities
        come from a model trained without it (cross-fitting). None: five folds, or fewer if no class has five samples.
        ``"prefit"``: the estimator is already fitted, and the data are calibration data; `trained_prior` must then be
        given.

    Attributes
    ----------
    estimator_ : the fitted estimator;  classes_ : array [C]
    trained_prior_, prior_ : arrays [C];  temperature_ : float
    thresholds_ : :class:`ulmus.adjust.Thresholds`, or None
    n_features_in_, feature_names_in_ : those of the estimator, if it has them
    """

    def __init__(
        self,
        estimator: Any,
        prior: Any = "uniform",
        *,
        trained_prior: Any = "train",
        temperature: bool | float = False,
        maximise: str | None = None,
        costs: Any = None,
        positive: Any = None,
        cv: Any = None,
    ) -> None:
        self.estimator = estimator
        self.prior = prior
        self.trained_prior = trained_prior
        self.temperature = temperature
        self.maximise = maximise
        self.costs = costs
        self.positive = positive
        self.cv = cv

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, calibration: Any = None) -> PriorCorrectedClassifier:
        """Trains the estimator on `X` ``[N, D]`` and `y` ``[N]``. Temperature and thresholds are fitted on
        `calibration`, ``(X, y)`` or ``(X, y, sample_weight)`` of other samples, or by cross-fitting."""
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        X, y = indexable(X, y)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, X, dtype=np.float64)
        prefit = isinstance(self.cv, str) and self.cv == "prefit"
        if prefit:
            check_is_fitted(self.estimator)
            self.estimator_ = self.estimator
            if isinstance(self.trained_prior, str) and self.trained_prior == "train":
                raise ValueError(
                    "the estimator was fitted before (cv='prefit'), so the class frequencies of its training are not "
                    "known; give trained_prior, the number of training samples of each class"
                )
        else:
            self.estimator_ = _fitted(self.estimator, X, y, weights)
        if not hasattr(self.estimator_, "predict_proba"):
            raise TypeError(
                f"{type(self.estimator_).__name__} has no predict_proba, expected a classifier with probabilities; "
                "sklearn.calibration.CalibratedClassifierCV makes them"
            )
        self.classes_ = np.asarray(self.estimator_.classes_)
        codes = self._codes(y)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))

        names, classes = self.classes_.tolist(), len(self.classes_)
        if classes < 2:
            raise ValueError(f"Classifier can't train when only one class is present: {names[0]!r}")
        counts = np.bincount(codes, weights, minlength=classes)
        self.trained_prior_ = class_prior(self.trained_prior, classes, train=counts, names=names, what="trained_prior")
        self.prior_ = class_prior(self.prior, classes, train=self.trained_prior_, names=names)
        self.costs_ = None if self.costs is None else adjust.cost_matrix(self.costs, classes, names)
        self.temperature_ = 1.0
        self.thresholds_: adjust.Thresholds | None = None
        fits_temperature = self.temperature is True
        if not isinstance(self.temperature, bool):
            self.temperature_ = float(self.temperature)
        if fits_temperature or self.maximise is not None:
            if calibration is not None:
                held_out = self._of_calibration(*calibration)
            elif prefit:
                held_out = _probabilities(self.estimator_, X, self.classes_), codes, weights
            else:
                held_out = self._cross_fitted(X, y, codes, weights), codes, weights
            self._fit_to(*held_out, fits_temperature)
        return self

    def _codes(self, y: Any) -> NDArray[np.int64]:
        """Returns the positions of labels in ``classes_``."""
        unknown = np.flatnonzero(~np.isin(y, self.classes_))
        if len(unknown):
            raise ValueError(
                f"label {np.asarray(y).tolist()[unknown[0]]!r} at position {unknown[0]} is no class of the estimator; "
                f"the classes are {self.classes_.tolist()}"
            )
        return np.searchsorted(self.classes_, y).astype(np.int64)

    def _of_calibration(self, X: Any, y: Any, sample_weight: Any = None) -> tuple[Doubles, NDArray[np.int64], Any]:
        return _probabilities(self.estimator_, X, self.classes_), self._codes(column_or_1d(y)), sample_weight

    def _cross_fitted(self, X: Any, y: Any, codes: NDArray[np.int64], weights: Any) -> Doubles:
        """Returns the probabilities of each sample from a model that was trained without it."""
        most = int(np.bincount(codes).max())
        splitter = check_cv(min(5, most) if self.cv is None else self.cv, y, classifier=True)
        result = np.full((len(codes), len(self.classes_)), np.nan)
        for train, test in splitter.split(X, y):
            model = _fitted(self.estimator, _rows(X, train), y[train], None if weights is None else weights[train])
            result[test] = _probabilities(model, _rows(X, test), self.classes_)
        if np.isnan(result).any():
            raise ValueError(f"cv={self.cv!r} leaves samples out of every test part, expected each in one")
        return result

    def _fit_to(self, probabilities: Doubles, codes: NDArray[np.int64], weights: Any, fits_temperature: bool) -> None:
        if fits_temperature:
            self.temperature_ = adjust.fit_temperature(probabilities, codes, self.trained_prior_, sample_weight=weights)
        if self.maximise is not None:
            names = self.classes_.tolist()
            if self.positive is not None and self.positive not in names:
                raise ValueError(f"positive is {self.positive!r}, which is no class; the classes are {names}")
            self.thresholds_ = adjust.fit_thresholds(
                self._corrected(probabilities),
                codes,
                self.maximise,
                costs=self.costs_,
                positive=None if self.positive is None else names.index(self.positive),
                sample_weight=weights,
            )

    def _corrected(self, probabilities: Doubles) -> Doubles:
        if self.temperature_ != 1:
            probabilities = adjust.apply_temperature(probabilities, self.temperature_, self.trained_prior_)
        return adjust.correct_prior(probabilities, self.trained_prior_, self.prior_)

    def predict_proba(self, X: Any) -> Doubles:
        """Returns probabilities ``[N, C]`` under the expected class frequencies, in the order of ``classes_``."""
        check_is_fitted(self)
        return self._corrected(_probabilities(self.estimator_, X, self.classes_))

    def predict_log_proba(self, X: Any) -> Doubles:
        """Returns the logarithms of the probabilities, ``[N, C]``."""
        logs: Doubles = np.log(np.maximum(self.predict_proba(X), np.finfo(np.float64).tiny))
        return logs

    def predict(self, X: Any) -> NDArray[Any]:
        """Returns the class of each sample: by the thresholds, by least expected cost, or the most probable class."""
        probabilities = self.predict_proba(X)
        if self.thresholds_ is not None:
            codes = self.thresholds_.predict(probabilities)
        elif self.costs_ is not None:
            codes = adjust.decide(probabilities, self.costs_)
        else:
            codes = probabilities.argmax(axis=1)
        predicted: NDArray[Any] = self.classes_[codes]
        return predicted

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        try:
            from sklearn.utils import get_tags

            tags.input_tags = get_tags(self.estimator).input_tags
        except ImportError:  # before scikit-learn 1.6 tags are not used
            pass
        return tags


def _fitted(estimator: Any, X: Any, y: Any, weights: Any) -> Any:
    options = {} if weights is None else {"sample_weight": weights}
    return clone(estimator).fit(X, y, **options)


def _rows(X: Any, indices: NDArray[Any]) -> Any:
    from sklearn.utils import _safe_indexing

    return _safe_indexing(X, indices)


def _probabilities(model: Any, X: Any, classes: NDArray[Any]) -> Doubles:
    """Returns ``[N, C]`` in the order of `classes`; 0 for a class that the model was not trained on."""
    came = np.asarray(model.predict_proba(X), dtype=np.float64)
    seen = np.asarray(model.classes_)
    if came.shape != (_num_samples(X), len(seen)):
        raise ValueError(
            f"{type(model).__name__}.predict_proba gave {list(came.shape)}, expected [{_num_samples(X)}, {len(seen)}] "
            "probabilities; a custom objective gives scores, which its own probabilities() reads"
        )
    if len(seen) == len(classes):
        return came
    result = np.zeros((len(came), len(classes)))
    result[:, np.searchsorted(classes, seen)] = came
    return result
