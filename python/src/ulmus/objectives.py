"""The losses as objectives of LightGBM, XGBoost and CatBoost: gradient and Hessian with respect to the scores of the
trees.

A loss of the family that is a softmax cross entropy of shifted logits,

    l = -log p[y],  p = softmax(u),  u[j] = c[j] z[j] + shift[j]     (LDAM, ELM: the shift is a margin at the label)

has the following derivatives with respect to z for each sample:

    g[j]    = c[j] (p[j] - [j = y])
    h[j]    = c[j]^2 p[j] (1 - p[j])         = c[j] |g[j]| (1 - |g[j]| / c[j])
    H[j, k] = c[j] c[k] p[j] ([j = k] - p[k])

The second form of h holds because ``|g[j]| / c[j]`` is ``p[j]`` for an incorrect class and ``1 - p[y]`` for the label,
and ``q (1 - q)`` is the same for q and 1 - q. The second derivatives therefore need only the gradient, which the kernel
computes. Weights of samples and classes multiply both. The shift may depend on the label and on which incorrect logit
is the largest, but not on the value of a logit. Losses with other second derivatives are rejected by name.

The scores of the trees are ``s z``, where s is the scale of the loss. Probabilities are therefore the softmax of the
scores, and learning rates, L2 regularisation and minimum Hessians have the same meaning as for the library's own
objective.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core, _family, functional
from ._priors import class_prior, log_softmax

if TYPE_CHECKING:
    from ._catboost import CatBoostObjective
    from ._lightgbm import LightGBMObjective
    from ._xgboost import XGBoostObjective

__all__ = ["Objective", "objective"]

Doubles = NDArray[np.float64]

_SMALLEST_HESSIAN = 1e-16  # as in XGBoost: keeps an almost certain sample in the sums


def _refuse(loss: str) -> None:
    """Raises ValueError for a rule that draws samples or whose weights change during training."""
    _family.refuse_sampling_rule(loss)
    rule = _family.rule_name(loss)
    if rule is not None and _family.table()["rules"].get(rule, {}).get("deferred"):
        raise ValueError(
            f"the rule '{rule}' in '{loss}' begins at a fraction of the epochs, but boosting has no epochs; use "
            f"'{loss.partition('+')[0]}+cb', the same weights from the start"
        )


def supported_losses() -> list[str]:
    """Returns the losses that have an objective when all their keys have their defaults."""
    return [name for name in _family.table()["losses"] if not _core.softmax_slopes(name, [2, 1])[0]]


class Objective:
    """Gradient, Hessian, probabilities and metrics of one loss for the scores of boosted trees. :func:`objective`
    creates one with the calling convention of a library.

    Attributes:
        loss: canonical text.
        class_counts: number of training samples of each class, ``[C]``.
        classes: C.
        assumed_prior: ``[C]``, the class frequencies that the softmax of the scores assumes: equal frequencies for
            ``bs``, ``la`` and ``+inverse``, the training frequencies for ``ce``.

    Scores are ``[N, C]``, or for two classes also ``[N]``, the score of class 1 minus the score of class 0. All
    computations use double precision.
    """

    def __init__(self, loss: str, class_counts: Iterable[Any]) -> None:
        if not isinstance(loss, str):
            raise TypeError(f"the loss is a {type(loss).__name__}, expected text such as 'elm:lambda=0.5'")
        self.class_counts = _family.class_counts(class_counts)
        weighted = functional.prepare(loss, self.class_counts)
        self.loss = weighted.text
        self.classes = weighted.classes
        _refuse(self.loss)
        obstacle, slopes = _core.softmax_slopes(self.loss, self.class_counts)
        if obstacle:
            raise ValueError(
                f"the loss '{self.loss}' has no objective for boosted trees: {obstacle}, so its gradient does not give "
                f"the Hessian; use one of {', '.join(supported_losses())}"
            )
        self.assumed_prior: list[float] = _core.assumed_prior(self.loss, self.class_counts)
        self._scale = weighted.scale
        self._slopes: Doubles = np.array(slopes) / weighted.scale
        # Class weights have mean 1 over the training samples, as the libraries' regularisation expects.
        weights, counts = np.array(weighted.class_weights() or [1.0] * self.classes), np.array(self.class_counts)
        self._class_weights: Doubles = weights * (counts.sum() / (counts @ weights))
        self._kernel = functional.prepare(loss, self.class_counts, class_weights=[1.0] * self.classes)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.loss, self.class_counts)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.loss!r}, classes={self.classes})"

    def gradient_and_hessian(
        self, scores: ArrayLike, labels: ArrayLike, sample_weights: ArrayLike | None = None
    ) -> tuple[Doubles, Doubles]:
        """Returns the derivatives with respect to the scores: the gradient and the diagonal of the Hessian, both in
        the shape of the scores and multiplied by the weights of class and sample. The Hessian is exact, but at least
        1e-16."""
        scores, classes, weights = self._checked(scores, labels, sample_weights)
        gradient, slopes = self._gradient(scores, classes)
        share = np.minimum(np.abs(gradient) / slopes, 1)
        hessian = slopes * slopes * share * (1 - share)
        per_row = weights if gradient.ndim == 1 else weights[:, None]
        return gradient * per_row, np.maximum(hessian * per_row, _SMALLEST_HESSIAN)

    def full_hessian(
        self, scores: ArrayLike, labels: ArrayLike, sample_weights: ArrayLike | None = None
    ) -> tuple[Doubles, Doubles]:
        """Returns the gradient ``[N, C]`` and the full Hessian ``[N, C, C]`` with respect to scores ``[N, C]``,
        including weights."""
        scores, classes, weights = self._checked(scores, labels, sample_weights)
        if scores.ndim != 2:
            raise ValueError(f"the scores are {list(scores.shape)}, expected [N, {self.classes}]")
        gradient, slopes = self._gradient(scores, classes)
        probabilities = gradient / slopes
        probabilities[np.arange(len(classes)), classes] += 1
        scaled = slopes * probabilities
        hessian = -scaled[:, :, None] * scaled[:, None, :]
        diagonal = np.arange(self.classes)
        hessian[:, diagonal, diagonal] += slopes * scaled
        return gradient * weights[:, None], hessian * weights[:, None, None]

    def value(self, scores: ArrayLike, labels: ArrayLike, sample_weights: ArrayLike | None = None) -> float:
        """Returns the mean loss, weighted by class and sample; 0 if all weights are 0."""
        scores, classes, weights = self._checked(scores, labels, sample_weights)
        losses, _ = functional.loss_and_grad(self._logits(scores), classes, self._kernel, reduction="none")
        total = weights.sum()
        return float(weights @ losses / total) if total else 0.0

    def probabilities(self, scores: ArrayLike, prior: Any = None) -> Doubles:
        """The inverse link: returns class probabilities ``[N, C]``, the softmax of the scores. Offsets and margins of
        the loss apply in training only.

        The probabilities are for the class frequencies :attr:`assumed_prior`. `prior` contains the frequencies to
        expect instead: ``"train"``, ``"uniform"``, ``[C]`` numbers or a mapping by class number.
        """
        columns = self._columns(self._scores(scores))
        if prior is not None:
            expected = class_prior(prior, self.classes, train=self.class_counts)
            assumed = class_prior(self.assumed_prior, self.classes, what="assumed prior")
            columns = columns + np.log(expected / assumed)
        probabilities: Doubles = np.exp(log_softmax(columns))
        return probabilities

    def predict(self, scores: ArrayLike, prior: Any = None) -> NDArray[np.int64]:
        """Returns the most probable class of each row, ``[N]``."""
        predicted: NDArray[np.int64] = self.probabilities(scores, prior).argmax(axis=1)
        return predicted

    def balanced_accuracy_value(
        self, scores: ArrayLike, labels: ArrayLike, sample_weights: ArrayLike | None = None
    ) -> float:
        """Returns the mean recall over the classes that occur, for predictions by the largest score. Only sample
        weights are used."""
        scores = self._scores(scores)
        classes = self._labels(labels, len(scores))
        weights = self._weights(sample_weights, len(scores))
        hits = self._columns(scores).argmax(axis=1) == classes
        support = np.bincount(classes, weights, minlength=self.classes)
        right = np.bincount(classes, weights * hits, minlength=self.classes)
        occurs = support > 0
        return float((right[occurs] / support[occurs]).mean()) if occurs.any() else float("nan")

    # Conversion of a library's arguments to arrays.

    def _scores(self, scores: ArrayLike) -> Doubles:
        array = np.ascontiguousarray(scores, dtype=np.float64)
        if array.ndim == 2 and array.shape[1] == 1 and self.classes == 2:
            array = array[:, 0]
        if not (array.ndim == 2 and array.shape[1] == self.classes or array.ndim == 1 and self.classes == 2):
            either = "[N, 2] or [N]" if self.classes == 2 else f"[N, {self.classes}]"
            raise ValueError(
                f"the scores are {list(array.shape)}, expected {either} for {self.classes} class counts; tell the "
                "library the number of classes"
            )
        return array

    def _labels(self, labels: ArrayLike, rows: int) -> NDArray[np.int64]:
        array = np.asarray(labels)
        if array.shape != (rows,):
            raise ValueError(f"the labels are {list(array.shape)}, expected [{rows}], one for each row of scores")
        classes = array.astype(np.int64)
        wrong = np.flatnonzero((classes != array) | (classes < 0) | (classes >= self.classes))
        if len(wrong):
            raise ValueError(
                f"label {array[wrong[0]]} at position {wrong[0]} is no class, expected whole numbers from 0 to "
                f"{self.classes - 1}, one for each class count"
            )
        return classes

    def _weights(self, sample_weights: ArrayLike | None, rows: int) -> Doubles:
        if sample_weights is None:
            return np.ones(rows)
        weights = np.asarray(sample_weights, dtype=np.float64)
        if weights.size == 0 and rows:  # XGBoost passes an empty array for none
            return np.ones(rows)
        if weights.shape != (rows,):
            raise ValueError(f"the sample weights are {list(weights.shape)}, expected [{rows}]")
        return weights

    def _checked(
        self, scores: ArrayLike, labels: ArrayLike, sample_weights: ArrayLike | None
    ) -> tuple[Doubles, NDArray[np.int64], Doubles]:
        array = self._scores(scores)
        classes = self._labels(labels, len(array))
        return array, classes, self._weights(sample_weights, len(array)) * self._class_weights[classes]

    @staticmethod
    def _columns(scores: Doubles) -> Doubles:
        """Returns scores ``[N, C]``; a single score of two classes becomes half of it for each class, with opposite
        signs."""
        return scores if scores.ndim == 2 else np.stack([-scores / 2, scores / 2], axis=1)

    def _logits(self, scores: Doubles) -> Doubles:
        return np.ascontiguousarray(self._columns(scores) / self._scale)

    def _gradient(self, scores: Doubles, classes: NDArray[np.int64]) -> tuple[Doubles, Doubles]:
        """Returns the gradient with respect to the scores, without weights, and the slopes, ``[C]``, or ``[1]`` for a
        single score."""
        _, gradient = functional.loss_and_grad(self._logits(scores), classes, self._kernel, reduction="sum")
        gradient = gradient / self._scale
        if scores.ndim == 2:
            return gradient, self._slopes
        return (gradient[:, 1] - gradient[:, 0]) / 2, np.array([self._slopes.mean()])


@overload
def objective(loss: str, class_counts: Iterable[Any], library: Literal["lightgbm"]) -> LightGBMObjective: ...
@overload
def objective(loss: str, class_counts: Iterable[Any], library: Literal["xgboost"]) -> XGBoostObjective: ...
@overload
def objective(loss: str, class_counts: Iterable[Any], library: Literal["catboost"]) -> CatBoostObjective: ...
@overload
def objective(loss: str, class_counts: Iterable[Any], library: None = None) -> Objective: ...
def objective(loss: str, class_counts: Iterable[Any], library: str | None = None) -> Objective:
    """Creates an objective for a boosted-tree library from a loss of the family.

    >>> objective = ulmus.objective("bs", counts, "lightgbm")
    >>> model = lightgbm.LGBMClassifier(objective=objective).fit(X, y)
    >>> probabilities = objective.probabilities(model.predict_proba(X_test, raw_score=True))

    Args:
        loss: ``name[:key=value,...][+rule[:key=value,...]]``, a loss that is a softmax of shifted logits (``ce``,
            ``bs``, ``la``, ``vs``, ``cdt``, ``ldam``, ``elm``, ``gr``, ...).
        class_counts: number of training samples of each class, as for :class:`ulmus.Loss`.
        library: ``"lightgbm"``: for ``LGBMClassifier`` and ``lightgbm.train``. ``"xgboost"``: for ``XGBClassifier`` and
            ``xgboost.train``. ``"catboost"``: for ``CatBoostClassifier``. None: an :class:`ulmus.objectives.Objective`
            without a calling convention.

    docs/boosted-trees.md has an example of each. Raises ``ValueError``, with the reason, for a loss whose Hessian does
    not follow from its gradient, and for a rule that begins late (``+drw``) or draws samples (``+rs``).
    """
    kinds = ["lightgbm", "xgboost", "catboost"]
    if library is None:
        return Objective(loss, class_counts)
    if library == "lightgbm":
        from ._lightgbm import LightGBMObjective

        return LightGBMObjective(loss, class_counts)
    if library == "xgboost":
        from ._xgboost import XGBoostObjective

        return XGBoostObjective(loss, class_counts)
    if library == "catboost":
        from ._catboost import CatBoostObjective

        return CatBoostObjective(loss, class_counts)
    raise ValueError(f"unknown library {library!r}; {_family.nearest(str(library), kinds)}")
