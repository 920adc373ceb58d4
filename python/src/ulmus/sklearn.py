"""Scikit-learn classifiers for imbalanced data in tables. Needs scikit-learn, not PyTorch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from . import _core, _family
from ._prior_corrected import PriorCorrectedClassifier
from .functional import loss_and_grad, prepare

try:
    from sklearn.utils.validation import _check_sample_weight, validate_data
except ImportError:  # before scikit-learn 1.6 it is a method

    def validate_data(estimator: Any, *args: Any, **kwargs: Any) -> Any:
        return estimator._validate_data(*args, **kwargs)


__all__ = ["MarginClassifier", "PriorCorrectedClassifier"]

_HEADS = ["ensemble", "cosine", "linear", "mlp"]
Array = NDArray[np.floating[Any]]


class MarginClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier trained with a loss of the family: linear, cosine, with a hidden layer, or an ensemble.

    >>> from ulmus.sklearn import MarginClassifier
    >>> model = MarginClassifier().fit(X, y)
    >>> model.predict_proba(X)

    Parameters
    ----------
    loss : str, default="bs"
        ``name[:key=value,...][+rule[:key=value,...]]``. The default balances the classes. For ``elm``, 0.25 to 0.5 is a
        good search range of lambda.
    head : {"ensemble", "cosine", "linear", "mlp"}, default="ensemble"
        ``ensemble``: the mean of the log probabilities of four models: an ``mlp`` and a logistic regression, each on
        the features alone and on the features with their normal scores (the normal quantile of a value's rank, for
        features with more than ten values). The samples of the logistic regressions are weighted to the class
        frequencies that the loss assumes; for a loss that balances the classes, the regressions are class-weighted.
        ``cosine``: cosines of ``(x, sqrt(D))`` and a vector per class; ``linear``: ``W x + b`` (for losses without
        margins); ``mlp``: a hidden layer of rectified linear units, then the head for which the loss is designed.
    hidden : int, default=64
        Number of units of the hidden layer.
    networks : int, default=3
        Number of networks with a hidden layer (for ``ensemble``, on each of its two inputs); their logits are averaged.
        The other heads are trained once.
    epochs : int, default=100
        Maximum number of passes over the data; a deferred rule (``+drw``) begins after its fraction of them.
    folds : int, default=5
        Number of folds for choosing the number of epochs. Each fold is held out from one network; the chosen number has
        the least log loss over all held-out samples, under the class frequencies that the loss assumes. The final
        networks are trained on all data for that number of epochs. 0: train for `epochs`. Data that fit in one batch
        are not divided.
    batch_size : int, default=256
        Number of samples in a batch; data that fit in one batch are trained without a random order.
    learning_rate : float, default=0.03
        Initial learning rate of Adam; it decays to 0 along a half cosine over `epochs`.
    weight_decay : float, default=0.1
        Decoupled weight decay (AdamW).
    class_weight : None, "balanced" or dict, default=None
        Class weights. They multiply the sample weights, as everywhere in scikit-learn, and therefore also the weights
        of a rule.
    prior : None, "balanced", dict or array, default=None
        Class frequencies to expect when predicting. Scores are shifted by the logarithm of expected over trained
        frequency (post-hoc logit adjustment, Menon et al., ICLR 2021). The trained frequencies are those that the loss
        and its rule assume (as :attr:`ulmus.Loss.assumed_prior`), times the weights of ``class_weight="balanced"``.
    standardize : bool, default=True
        Scales each feature to mean 0 and standard deviation 1 first.
    random_state : int, RandomState or None, default=None
        Random state of the initial weights and of the order of the samples.

    Attributes
    ----------
    classes_ : array [C]
    class_counts_ : array [C], sums of the sample weights, rounded. A constant factor of the weights has no effect: if
        all weights are multiples of the smallest one, they count as numbers of equal samples; otherwise they are scaled
        to mean 1.
    members_ : list, the four classifiers of an ensemble
    coef_ : array [C, D] of a linear or cosine head; intercept_ : array [C], zeros for a cosine head
    n_epochs_ : int, number of epochs that were trained;  held_out_curve_ : list, log loss on the held-out samples after
        each epoch, empty if none were held out
    loss_ : str, canonical text;  loss_curve_ : list, mean loss of each epoch. For an ensemble, n_epochs_,
        held_out_curve_ and loss_curve_ are those of the networks on the features alone.
    """

    def __init__(
        self,
        loss: str = "bs",
        head: str = "ensemble",
        *,
        hidden: int = 64,
        networks: int = 3,
        epochs: int = 100,
        folds: int = 5,
        batch_size: int = 256,
        learning_rate: float = 0.03,
        weight_decay: float = 0.1,
        class_weight: Any = None,
        prior: Any = None,
        standardize: bool = True,
        random_state: Any = None,
    ) -> None:
        self.loss = loss
        self.head = head
        self.hidden = hidden
        self.networks = networks
        self.epochs = epochs
        self.folds = folds
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.class_weight = class_weight
        self.prior = prior
        self.standardize = standardize
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> MarginClassifier:
        """Trains on `X` ``[N, D]`` and `y` ``[N]``."""
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(y)
        self._check_parameters()
        weights = np.ones(len(X)) if sample_weight is None else _check_sample_weight(sample_weight, X, dtype=np.float64)
        if (weights < 0).any():
            position = int(np.argmax(weights < 0))
            raise ValueError(f"the sample weight at position {position} is {weights[position]}, expected at least 0")
        if not weights.any():
            raise ValueError("the sample weights are all 0; give at least one sample a weight")
        X, y, weights = X[weights > 0], y[weights > 0], _as_numbers_of_samples(weights[weights > 0])

        self.classes_, codes = np.unique(y, return_inverse=True)
        codes = codes.astype(np.int64)
        sums = np.bincount(codes, weights=weights)
        self.class_counts_ = np.maximum(np.rint(sums), 1).astype(np.int64)
        loss = self._prepare_loss()
        self.loss_ = loss.text
        self.scale_ = loss.scale
        self._log_shift = self._prior_shift()

        if self.standardize:
            self.mean_ = np.average(X, axis=0, weights=weights).astype(X.dtype)
            deviation = np.sqrt(np.average((X - self.mean_) ** 2, axis=0, weights=weights)).astype(X.dtype)
            noise = 16 * np.finfo(X.dtype).eps * np.abs(self.mean_)  # rounding error of a constant feature
            self.deviation_ = np.where(deviation > noise, deviation, 1).astype(X.dtype)
        else:
            self.mean_, self.deviation_ = np.zeros(X.shape[1], X.dtype), np.ones(X.shape[1], X.dtype)
        if self.head == "ensemble":
            self._train_ensemble(self._inputs(X), codes, weights)
        else:
            self._train(loss, self._inputs(X), codes, weights * self._class_weights()[codes])
        return self

    def _train_ensemble(self, X: Array, codes: NDArray[np.int64], weights: NDArray[np.float64]) -> None:
        random = check_random_state(self.random_state)
        self._normal_scores = _NormalScores(X, weights)
        assumed = np.array(_core.assumed_prior(self.loss_, self.class_counts_.tolist())) * self._class_weights()
        weights_to_assumed = (assumed / assumed.sum() * weights.sum() / np.bincount(codes, weights=weights))[codes]
        options = self.get_params() | {"head": "mlp", "standardize": False, "prior": None}
        options["class_weight"] = dict(enumerate(self._class_weights().tolist()))
        self.members_ = []
        for inputs in (X, self._normal_scores.append_to(X)):
            networks = MarginClassifier(**(options | {"random_state": random.randint(2**31 - 1)}))
            regression = LogisticRegression(max_iter=1000)
            self.members_.append(networks.fit(inputs, codes, weights))
            self.members_.append(regression.fit(inputs.astype(np.float64), codes, weights * weights_to_assumed))
        first: MarginClassifier = self.members_[0]
        self.n_epochs_: int = first.n_epochs_
        self.held_out_curve_: list[float] = first.held_out_curve_
        self.loss_curve_: list[float] = first.loss_curve_

    def _check_parameters(self) -> None:
        if self.head not in _HEADS:
            raise ValueError(f"unknown head {self.head!r}; {_family.nearest(str(self.head), _HEADS)}")
        for name in ("hidden", "networks", "epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")
        if self.folds < 0 or self.folds == 1:
            raise ValueError(f"folds is {self.folds}, expected 0 or at least 2")
        if not self.learning_rate > 0 or not self.weight_decay >= 0:
            raise ValueError(
                f"learning_rate is {self.learning_rate} and weight_decay {self.weight_decay}, "
                "expected above 0 and at least 0"
            )

    def _prepare_loss(self) -> _core.Loss:
        loss = prepare(self.loss, self.class_counts_)
        if loss.needs:
            raise ValueError(
                f"the loss '{loss.text}' needs features, a graph or a state, which this classifier does not support; "
                "use ulmus.Loss with a model of your own"
            )
        self.cosine_ = _core.choose_head(loss.text, "" if self.head in ("mlp", "ensemble") else self.head) == "cosine"
        return loss

    def _class_weights(self) -> NDArray[np.float64]:
        classes = self.classes_.tolist()
        if self.class_weight is None:
            return np.ones(len(classes))
        if isinstance(self.class_weight, str):
            if self.class_weight != "balanced":
                raise ValueError(f"class_weight is {self.class_weight!r}, expected 'balanced', a dict or None")
            balanced: NDArray[np.float64] = self.class_counts_.sum() / (len(classes) * self.class_counts_)
            return balanced
        if not isinstance(self.class_weight, Mapping):
            raise ValueError(
                f"class_weight is {self.class_weight!r}, expected 'balanced', a dict from class to weight, or None"
            )
        unknown = [label for label in self.class_weight if label not in classes]
        if unknown and any(label not in self.class_weight for label in classes):
            raise ValueError(f"class_weight has {unknown[0]!r}, which is no class; the classes are {classes}")
        weights = np.array([self.class_weight.get(label, 1.0) for label in classes], dtype=np.float64)
        if not (np.isfinite(weights) & (weights >= 0)).all() or not weights.any():
            raise ValueError(f"class_weight is {self.class_weight!r}, expected finite weights of at least 0, not all 0")
        return weights

    def _prior_shift(self) -> NDArray[np.float64]:
        """Returns the shift of the scaled logits: log of expected over trained class frequency."""
        classes = len(self.classes_)
        if self.prior is None:
            return np.zeros(classes)
        if isinstance(self.prior, str):
            if self.prior != "balanced":
                raise ValueError(f"prior is {self.prior!r}, expected 'balanced', a dict, an array or None")
            expected = np.ones(classes)
        elif isinstance(self.prior, Mapping):
            expected = np.array([self.prior.get(label, 0.0) for label in self.classes_.tolist()], dtype=np.float64)
        else:
            expected = np.asarray(self.prior, dtype=np.float64)
        if expected.shape != (classes,) or not (expected > 0).all() or not np.isfinite(expected).all():
            raise ValueError(f"prior is {self.prior!r}, expected a number above 0 for each of the {classes} classes")
        trained = np.array(_core.assumed_prior(self.loss_, self.class_counts_.tolist()))
        if isinstance(self.class_weight, str):  # weights in a dict are costs, which the predictions should follow
            trained = trained * self._class_weights()
        shift: NDArray[np.float64] = np.log(expected / expected.sum()) - np.log(trained / trained.sum())
        return shift

    def _inputs(self, X: Array) -> Array:
        scaled = (X - self.mean_) / self.deviation_
        if self.head != "cosine":
            return scaled
        # A coordinate as long as all others together, so that classes can also differ in their distance from the mean.
        return np.hstack([scaled, np.full((len(scaled), 1), np.sqrt(scaled.shape[1]), dtype=scaled.dtype)])

    def _train(self, loss: _core.Loss, X: Array, codes: NDArray[np.int64], weights: NDArray[np.float64]) -> None:
        random = check_random_state(self.random_state)
        every = np.arange(len(X))
        self.held_out_curve_ = []
        if self.folds and len(X) > self.batch_size:
            self.held_out_curve_ = self._held_out_curve(loss, X, codes, weights, random)
        self.n_epochs_ = int(np.argmin(self.held_out_curve_)) + 1 if self.held_out_curve_ else self.epochs
        self.networks_, curves = [], []
        for _ in range(self.networks if self.head == "mlp" else 1):
            trained = list(itertools.islice(self._epochs(loss, X, codes, weights, every, random), self.n_epochs_))
            self.networks_.append(trained[-1][0])
            curves.append([value for _, value in trained])
        self.loss_curve_ = np.mean(curves, axis=0).tolist()
        if self.head != "mlp":
            self.coef_ = self.networks_[0].parameters["weight"]
            self.intercept_ = self.networks_[0].parameters.get("bias", np.zeros(len(self.classes_), dtype=X.dtype))

    def _held_out_curve(
        self, loss: _core.Loss, X: Array, codes: NDArray[np.int64], weights: NDArray[np.float64], random: Any
    ) -> list[float]:
        """Returns the log loss after each epoch, with every sample evaluated by the network trained without its
        fold."""
        fold = np.empty(len(X), dtype=np.int64)
        order = random.permutation(len(X))
        # Each fold has the same share of every class.
        fold[order[np.argsort(codes[order], kind="stable")]] = np.arange(len(X)) % self.folds
        fold[np.bincount(codes)[codes] == 1] = -1  # the only sample of a class is always used for training
        assumed = np.array(_core.assumed_prior(self.loss_, self.class_counts_.tolist()))
        judged = np.where(fold >= 0, weights * (assumed / self.class_counts_)[codes], 0)
        if not judged.any():
            return []
        trainings = [
            self._epochs(loss, X, codes, weights, np.flatnonzero(fold != k), random) for k in range(self.folds)
        ]
        curve = []
        for _ in range(self.epochs):
            total = 0.0
            for k, training in enumerate(trainings):
                network, _ = next(training)
                held_out = fold == k
                logs = _log_softmax(self.scale_ * network.forward(X[held_out]))
                total -= judged[held_out] @ logs[np.arange(len(logs)), codes[held_out]]
            curve.append(float(total / judged.sum()))
        return curve

    def _epochs(
        self,
        loss: _core.Loss,
        X: Array,
        codes: NDArray[np.int64],
        weights: NDArray[np.float64],
        rows: NDArray[np.int64],
        random: Any,
    ) -> Iterator[tuple[_Network, float]]:
        """Trains a network on these rows; yields it and the mean loss after each epoch."""
        hidden = self.hidden if self.head == "mlp" else 0
        network = _Network(X.shape[1], hidden, len(self.classes_), self.cosine_, random)
        if self.head == "cosine":
            network.start_from_means(X[rows], codes[rows], weights[rows])
        network.cast(X.dtype)
        optimizer = _AdamW(network.parameters, self.weight_decay)
        batches = -(-len(rows) // self.batch_size)
        for epoch in range(self.epochs):
            loss.set_epoch(epoch, self.epochs)
            order = rows if batches == 1 else random.permutation(rows)
            total = 0.0
            for batch in range(batches):
                chosen = order[batch * self.batch_size : (batch + 1) * self.batch_size]
                logits = network.forward(X[chosen])
                value, gradient = loss_and_grad(
                    logits, codes[chosen], loss, sample_weights=weights[chosen], out=np.empty_like(logits)
                )
                total += value * len(chosen)
                progress = (epoch * batches + batch) / (self.epochs * batches)
                rate = self.learning_rate * 0.5 * (1 + np.cos(np.pi * progress))
                optimizer.step(network.backward(gradient), rate)
            network.forget()
            yield network, total / len(rows)

    def _scores(self, X: Any) -> Array:
        """Returns the scaled logits under the expected class frequencies, ``[N, C]``."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        inputs = self._inputs(X)
        if self.head == "ensemble":
            scored = self._normal_scores.append_to(inputs)
            of_members = zip(self.members_, (inputs, inputs, scored, scored), strict=True)
            mean: Array = np.mean([_log_probabilities(model, x) for model, x in of_members], axis=0)
            return mean.astype(X.dtype) + self._log_shift.astype(X.dtype)
        logits = sum(network.forward(inputs) for network in self.networks_) / len(self.networks_)
        for network in self.networks_:
            network.forget()
        scores: Array = self.scale_ * logits + self._log_shift
        return scores

    def decision_function(self, X: Any) -> Array:
        """Returns the scaled logits ``[N, C]``; for two classes the second minus the first, ``[N]``."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict_proba(self, X: Any) -> Array:
        """Returns probabilities ``[N, C]``, in the order of ``classes_``."""
        probabilities: Array = np.exp(_log_softmax(self._scores(X)))
        return probabilities

    def predict_log_proba(self, X: Any) -> Array:
        """Returns the logarithms of the probabilities, ``[N, C]``."""
        return _log_softmax(self._scores(X))

    def predict(self, X: Any) -> NDArray[Any]:
        """Returns the most probable class of each sample."""
        scores = self._scores(X)  # before classes_, so that an unfitted estimator raises the right error
        predicted: NDArray[Any] = self.classes_[scores.argmax(axis=1)]
        return predicted


def _log_softmax(scores: Array) -> Array:
    scores = scores - scores.max(axis=1, keepdims=True)
    logs: Array = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return logs


def _log_probabilities(model: MarginClassifier | LogisticRegression, X: Array) -> Array:
    """Returns finite log probabilities ``[N, C]``; the logarithm of LogisticRegression's probabilities is not finite
    far from its decision boundary."""
    scores = model.decision_function(X)
    return _log_softmax(np.stack([np.zeros_like(scores), scores], axis=1) if scores.ndim == 1 else scores)


def _as_numbers_of_samples(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns weights above 0 without their common factor."""
    repeats = weights / weights.min()
    whole = np.rint(repeats)
    if repeats.max() < 1e6 and np.allclose(repeats, whole, rtol=1e-9, atol=0):
        return whole
    return weights / weights.mean()


class _NormalScores:
    """The normal quantile of the rank of each value of a feature, for features with more than ten values.

    It is linear between the values seen in training and constant beyond them, so it removes tails and outliers.
    """

    _FEW = 10

    def __init__(self, X: Array, weights: NDArray[np.float64]) -> None:
        self.features: list[int] = []
        self.knots: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
        for feature in range(X.shape[1]):
            values, codes = np.unique(X[:, feature], return_inverse=True)
            if len(values) <= self._FEW:
                continue
            share = np.bincount(codes.ravel(), weights=weights) / weights.sum()
            self.features.append(feature)
            self.knots.append((values.astype(np.float64), ndtri(np.cumsum(share) - share / 2)))

    def append_to(self, X: Array) -> Array:
        """Returns the rows with the scores of their values appended."""
        scores = [np.interp(X[:, f], *knots) for f, knots in zip(self.features, self.knots, strict=True)]
        return np.hstack([X, *(column[:, None].astype(X.dtype) for column in scores)])


class _Network:
    """``[hidden layer of rectified linear units,] head``, with forward and backward pass.

    Keeps the values that the backward pass needs until ``forget``.
    """

    def __init__(self, inputs: int, hidden: int, classes: int, cosine: bool, random: Any) -> None:
        self.cosine = cosine
        self.parameters: dict[str, Array] = {}
        if hidden:
            self.parameters["hidden_weight"] = random.normal(0, np.sqrt(2 / inputs), (hidden, inputs))
            self.parameters["hidden_bias"] = np.zeros(hidden)
        width = hidden or inputs
        if cosine:
            self.parameters["weight"] = _unit(random.uniform(-1, 1, (classes, width)))[0]
        else:
            self.parameters["weight"] = random.normal(0, 0.01, (classes, width))
            self.parameters["bias"] = np.zeros(classes)
        self.forget()

    def cast(self, dtype: Any) -> None:
        self.parameters = {name: value.astype(dtype) for name, value in self.parameters.items()}

    def start_from_means(self, X: Array, codes: NDArray[np.int64], weights: NDArray[np.float64]) -> None:
        """Sets the class vectors to the directions of the class means: the nearest-mean classifier."""
        means = np.zeros_like(self.parameters["weight"])
        np.add.at(means, codes, _unit(X)[0] * weights[:, None])
        self.parameters["weight"] = _unit(means)[0]

    def forget(self) -> None:
        self._kept: Any = None

    def forward(self, X: Array) -> Array:
        p = self.parameters
        features = np.maximum(X @ p["hidden_weight"].T + p["hidden_bias"], 0) if "hidden_weight" in p else X
        if not self.cosine:
            self._kept = X, features, None, None
            return features @ p["weight"].T + p["bias"]
        of_features, of_weights = _unit(features), _unit(p["weight"])
        self._kept = X, features, of_features, of_weights
        return of_features[0] @ of_weights[0].T

    def backward(self, gradient: Array) -> dict[str, Array]:
        p = self.parameters
        X, features, of_features, of_weights = self._kept
        result: dict[str, Array] = {}
        if self.cosine:
            result["weight"] = _through_unit(gradient.T @ of_features[0], *of_weights)
            back = _through_unit(gradient @ of_weights[0], *of_features) if "hidden_weight" in p else None
        else:
            result["weight"], result["bias"] = gradient.T @ features, gradient.sum(axis=0)
            back = gradient @ p["weight"] if "hidden_weight" in p else None
        if back is not None:
            back = back * (features > 0)
            result["hidden_weight"], result["hidden_bias"] = back.T @ X, back.sum(axis=0)
        return result


def _unit(rows: Array) -> tuple[Array, Array]:
    """Returns the rows scaled to length 1, and their original lengths."""
    lengths = np.maximum(np.sqrt((rows * rows).sum(axis=1, keepdims=True)), 1e-12)
    return rows / lengths, lengths


def _through_unit(gradient: Array, unit: Array, lengths: Array) -> Array:
    result: Array = (gradient - unit * (gradient * unit).sum(axis=1, keepdims=True)) / lengths
    return result


class _AdamW:
    """Adam with decoupled weight decay (Loshchilov, Hutter, ICLR 2019); biases do not decay.

    Changes the parameters in place. The step of a coordinate is at most ten times the step of the coordinate with the
    largest gradients. Without this bound, coordinates whose gradient is only rounding error would also take steps, and
    the order of the samples would affect the result.
    """

    _FLOOR = 0.1

    def __init__(self, parameters: dict[str, Array], weight_decay: float) -> None:
        self.parameters = parameters
        self.weight_decay = weight_decay
        self.steps = 0
        self.first = {name: np.zeros_like(value) for name, value in parameters.items()}
        self.second = {name: np.zeros_like(value) for name, value in parameters.items()}

    def step(self, gradients: dict[str, Array], rate: float) -> None:
        self.steps += 1
        for name, gradient in gradients.items():
            self.first[name] += 0.1 * (gradient - self.first[name])
            self.second[name] += 0.001 * (gradient * gradient - self.second[name])
        floor = self._FLOOR * np.sqrt(max(second.max() for second in self.second.values())) + 1e-30
        scale = rate * np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        for name, value in self.parameters.items():
            if value.ndim == 2:
                value *= 1 - rate * self.weight_decay
            value -= scale * self.first[name] / (np.sqrt(self.second[name]) + floor)
