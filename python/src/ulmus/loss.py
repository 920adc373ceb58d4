"""The family as ``torch.nn.Module``s: forward and gradient in one sweep of the fused kernel on the CPU."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Literal, cast

import torch
from torch import Tensor

# _kernel first: it imports torch before the extension.
from . import _kernel  # isort: skip
from . import _core, _family, _soft
from .composed import compose, composed_loss

__all__ = ["DeferredReweighting", "Loss", "composed_loss"]

Reduction = Literal["weighted-mean", "mean", "sum", "none"]

_NARROW = (torch.bfloat16, torch.float16)


def _autocasts(device_type: str) -> bool:
    try:
        return torch.is_autocast_enabled(device_type)
    except TypeError:  # before PyTorch 2.4
        return torch.is_autocast_cpu_enabled() if device_type == "cpu" else torch.is_autocast_enabled()


def _describe(value: object) -> str:
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)} on {value.device}"


def _as_rows(tensor: Tensor) -> Tensor:
    """``[N, C, d1, ...]`` as ``[N * d1 * ..., C]``, ``[C]`` as ``[1, C]``."""
    return tensor.unsqueeze(0) if tensor.dim() == 1 else tensor.movedim(1, -1).reshape(-1, tensor.shape[1])


@dataclasses.dataclass
class Arranged:
    """A checked batch, a row for each sample."""

    logits: Tensor  #: [N, C]
    labels: Tensor  #: [N], int64; with soft targets not to be read
    sample_weights: Tensor | None  #: [N], float64
    targets: Tensor | None  #: [N, C], soft
    shape: torch.Size | None  #: of a loss for each sample, where it is not [N]

    def unflatten(self, value: Tensor) -> Tensor:
        return value if self.shape is None or value.dim() == 0 else value.reshape(self.shape)


class Loss(torch.nn.Module):
    """A loss of the family for one training set.

    >>> loss = ulmus.Loss("elm:lambda=0.5", class_counts=[5000, 500, 50])
    >>> loss(logits, labels).backward()

    Args:
        loss: ``name[:key=value,...][+rule[:key=value,...]]``; ``ulmus losses`` lists them. The rules that draw samples,
            ``+rs`` and ``+drs``, are a sampler's: :class:`ulmus.ClassSampler`.
        class_counts: training samples of each class, ``[C]``: a list, an array or a tensor in the order of the classes, or a
            ``Counter``, a ``dict`` or pandas' ``value_counts()``, whose keys are the classes 0, 1, ... (one that is missing
            has 0 samples).
        weight: weights of the classes ``[C]``, as PyTorch's; by class number where they come as a mapping. Not beside a
            rule or a loss that has weights of its own.
        reduction: ``"weighted-mean"``, the sum of the weighted losses over the sum of the weights (what PyTorch's cross
            entropy does with ``weight``); ``"mean"``, over the number of samples; ``"sum"``; ``"none"``, a loss for each
            sample. By default that of the loss's definition. So with class weights ``"mean"`` here is not PyTorch's
            ``"mean"``: for logits 0, labels 0, 0, 1 and weights 1 and 3 it is ``5/3 log 2 = 1.155``, where PyTorch's and
            ``"weighted-mean"`` are ``5/5 log 2 = 0.693``. With soft targets it is the other way round: there PyTorch divides
            by the number of samples, as ``"mean"`` does here, and ``"weighted-mean"`` by the sum of ``q[c] w[c]``.
        ignore_index: samples with this label cost nothing.
        label_smoothing: from 0 to 1. A label becomes the soft target ``(1 - s) [c = y] + s / C``. For cross entropy and what
            compares or moves its logits or its true logit; the others refuse it.
        seed: of the random draws of ``gcl`` and ``eql``.

    ``loss(logits, labels, sample_weights=None)`` takes logits ``[N, C]`` as the head gives them, before the loss's own scale,
    labels ``[N]`` of an integer dtype and weights ``[N]``, and gives a scalar (``[N]`` with ``"none"``) of the logits' dtype;
    float32 for 16-bit logits under autocast. As in PyTorch logits may be ``[N, C, d1, ...]`` with labels ``[N, d1, ...]``,
    and ``[C]`` with one label. A floating point tensor of the logits' shape in place of the labels is a soft target ``q``,
    as mixup and distillation make them: the loss of a sample is ``sum over c of q[c] loss(logits, c)``, with weight, margin
    and shape of each class, for the losses that look at the logits alone (for ``ce`` that is PyTorch's).

    float32, float64, bfloat16 and float16 on the CPU run in the kernel, which makes the gradient in the forward call, without
    a copy of contiguous logits, and has no second derivative. On another device or dtype the same formula composed of PyTorch
    operations takes over, announced once; soft targets and label smoothing are composed everywhere.

    Some losses look at more than logits and labels, and take it by keyword; the others pass over it:

        features: ``[N, D]``, what goes into the head (``ib``, ``ib-focal``, ``dro-lt``, ``lmd``, ``tam``).
        head: the linear head, a module or ``(weight, bias)`` (``lmd``).
        offsets: ``[N, C]``, margins of graph nodes, in place of those that ``tam`` makes itself.
        noise: ``[N, C]``, in place of the random draws.

    A loss that carries a state (``seesaw``, ``loce``, running means, the step of random draws) moves it once a call in
    training mode, by what all processes of ``torch.distributed`` saw; it is in the state dict as ``carried``.

    Under ``torch.compile`` the numbers are the same, and the loss is part of the one graph (PyTorch 2.4 and later).

    Under ``DistributedDataParallel`` use ``reduction="mean"`` with batches of the same size: the mean of the processes is then
    that of one process. A ``"weighted-mean"`` is over the weights of each process's own samples, so with class weights the
    processes together are not one: 0.17 of the gradient's norm apart for two processes with 32 samples each (``elm:lambda=0.5+drw``,
    ten classes of ratio 100, random logits; the median of 200 batches). The random draws of ``gcl`` and ``eql`` are those of one process where rank r has the r-th part of the batch
    and all parts have the same size, not where samples are dealt out in turn.

    Raises ``ValueError`` for an unknown loss or key (with the nearest name), shapes and counts that do not fit, a label
    out of range (with its position); ``TypeError`` for a dtype.
    """

    def __init__(
        self,
        loss: str,
        class_counts: Iterable[Any],
        *,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not isinstance(loss, str):
            raise TypeError(f"the loss is a {type(loss).__name__}, expected text such as 'elm:lambda=0.5+drw'")
        if reduction is not None and reduction not in _kernel.REDUCTIONS:
            raise ValueError(f"unknown reduction {reduction!r}; {_family.nearest(str(reduction), _kernel.REDUCTIONS)}")
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self._counts = _family.class_counts(class_counts)
        self._epoch: tuple[int, int] | None = None
        self._weights: list[float] | None = None
        self._carried: list[float] | None = None
        self._seed = seed
        self._make(loss)
        self.reduction: str = reduction or list(_kernel.REDUCTIONS)[self._core.reduction]
        _family.refuse_sampling_rule(self._text)
        if not isinstance(label_smoothing, (int, float)) or not 0 <= label_smoothing <= 1:
            raise ValueError(f"label_smoothing is {label_smoothing!r}, expected a number from 0 to 1")
        smooths = _family.table()["losses"][self._member]["smooths_labels"] or self._keys.get("smoothing")
        if label_smoothing and (smooths or not self._takes_soft_targets):
            raise ValueError(f"label smoothing is not defined for the loss '{self._text}'; leave label_smoothing out")
        if weight is not None:
            if rule := _family.rule_name(self._text):
                raise ValueError(f"the loss '{self._text}' has the weight rule '{rule}' already; leave weight or the rule out")
            if _core.has_own_weights(self._text):
                raise ValueError(f"the loss '{self._text}' has class weights of its own; leave weight out or use 'ce'")
            self.set_class_weights(weight)

    def _make(self, text: str) -> None:
        self._core = _core.Loss(text, self._counts)
        self._core.set_seed(self._seed)
        self._text = self._core.text
        self._member = _family.member_name(self._text)
        self._keys = _family.key_values(self._text)
        self._needs = self._core.needs
        facts = _family.table()["losses"][self._member]
        self._is_sum: bool = facts["is_sum"]
        self._takes_soft_targets: bool = facts["takes_soft_targets"]
        self._classes = len(self._counts)
        self._total = sum(self._counts)
        self._state_size = len(self._core.state())  # 0 where it grows with the features
        self._clock = torch.zeros(1, dtype=torch.int64, device="cpu")
        smallest = min(count for count in self._counts if count > 0)
        self._numbers = {
            "counts": _numbers(count or smallest for count in self._counts),
            "samples": _numbers(self._counts),
        }
        self._id = next(_kernel.ids)
        _kernel.losses[self._id] = self
        self._refresh()

    def _refresh(self) -> None:
        """What graphs and formulas know of the C++ loss: compiled code cannot ask it."""
        self._numbers["weights"] = _numbers(self._core.class_weights())
        begins = self._keys.get("from", 0.0)
        epoch, epochs = self._epoch or (0, 1_000_000)
        self._active = epoch >= min(math.floor(begins * epochs + 0.5), epochs - 1)
        self._tables: dict[Any, Tensor] = {}

    @property
    def spec(self) -> str:
        """Canonical text: keys at their default left out."""
        return self._text

    @property
    def class_counts(self) -> list[int]:
        """Training samples of each class, ``[C]``."""
        return list(self._counts)

    @property
    def scale(self) -> float:
        """What multiplies the head's output before a softmax, at training and at test time."""
        return self._core.scale

    @property
    def head(self) -> str:
        """The head the loss is made for, ``"linear"`` or ``"cosine"`` (``ulmus.CosineLinear``)."""
        return self._core.head

    @property
    def class_weights(self) -> list[float]:
        """The class weights in force, ``[C]``; ones where there are none."""
        return self._core.class_weights()

    @property
    def initial_bias(self) -> float:
        """Where the biases of a linear head should begin with this loss; 0 for most."""
        return self._core.initial_bias

    @property
    def active(self) -> bool:
        """False while a loss that is plain at first (key ``from``) still is cross entropy."""
        return self._active

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Tells a deferred rule (``+drw``), and a loss that is plain at first, where training is, ``0 <= epoch < epochs``."""
        self._core.set_epoch(epoch, epochs)
        self._epoch = (epoch, epochs)
        self._refresh()

    def set_class_weights(self, weights: Iterable[float]) -> None:
        """Replaces the class weights by these, ``[C]``, each at least 0 and finite; a mapping is by class number."""
        values = _family.class_weights(weights, self._classes)
        self._core.set_class_weights(values)
        self._weights = values
        self._refresh()

    @property
    def assumed_prior(self) -> list[float]:
        """The class frequencies ``[C]`` that ``softmax(scale * logits)`` of a model trained to the end with this loss assumes:
        those of the training data where the loss is plain cross entropy, equal ones after ``bs``, ``la``, ``+inverse`` ...
        (C++: ``ulmus::assumed_prior``). Margins, slopes and shapes are taken not to move it. For the weights of the loss's
        text; those of ``weight=`` and ``set_class_weights`` multiply it."""
        prior = _core.assumed_prior(self._text, self._counts)
        if self._weights is None:
            return prior
        prior = [p * w for p, w in zip(_core.assumed_prior(self._text.partition("+")[0], self._counts), self._weights)]
        return [p / (sum(prior) or 1) for p in prior]

    def probabilities(self, logits: Tensor, prior: Any = None) -> Tensor:
        """Class probabilities of what the head gives: ``softmax(scale * logits)`` over the classes, ``[N, C]``,
        ``[N, C, d1, ...]`` or ``[C]`` like the logits, float32 at least. Margins, offsets and slopes belong to training and
        have no part in it.

        A loss that shifts its logits by the class frequencies in training (``bs``, ``la``, ``vs``, ``lade`` ...) or weighs the
        classes gives the probabilities of a world in which classes are as frequent as :attr:`assumed_prior` says: mostly
        equally frequent, which is what balanced accuracy asks for. `prior`, ``[C]``, are the frequencies to expect instead
        (``loss.class_counts``: those of the training data); then p is multiplied by prior over assumed prior and normalised
        (Saerens et al., Neural Computation 2002)."""
        if not isinstance(logits, Tensor) or not logits.is_floating_point() or logits.dim() == 0:
            raise TypeError(f"the logits are {_describe(logits)}, expected a floating point tensor [N, {self._classes}]")
        axis = 0 if logits.dim() == 1 else 1
        if logits.shape[axis] != self._classes:
            raise ValueError(f"the logits are {_describe(logits)}, expected {self._classes} classes in dimension {axis}")
        wide = logits.float() if logits.dtype in _NARROW else logits
        scores = self._core.scale * wide
        if prior is not None:
            expected, assumed = _family.class_weights(prior, self._classes, "prior"), self.assumed_prior
            if not all(p > 0 for p in (*expected, *assumed)):
                raise ValueError("the prior or what the loss assumes of it has a class of frequency 0, expected all above 0")
            shift = scores.new_tensor([math.log(q / p) for q, p in zip(expected, assumed)])
            scores = scores + shift.reshape([-1] + [1] * (logits.dim() - 1 - axis))
        return scores.softmax(axis)

    def extra_repr(self) -> str:
        smoothing = f", label_smoothing={self.label_smoothing}" if self.label_smoothing else ""
        return f"{self._text}, classes={self._classes}, reduction={self.reduction}{smoothing}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"

    # The C++ loss is made again from what determines it.

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        state["_carried"] = self._core.state() if self._needs & _kernel.STATE else None
        for name in ("_core", "_tables", "_numbers", "_clock", "_id"):
            del state[name]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._make(self._text)
        self._restore()

    def _restore(self) -> None:
        if self._epoch is not None:
            self._core.set_epoch(*self._epoch)
        if self._weights is not None:
            self._core.set_class_weights(self._weights)
        if self._carried:
            self._core.set_state(self._carried)
        self._refresh()

    # What training has changed, as entries of the state dict that no module.to() or .half() touches.

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        if self._epoch is not None:
            destination[prefix + "epoch"] = torch.tensor(self._epoch, dtype=torch.int64)
        if self._weights is not None:
            destination[prefix + "class_weights"] = torch.tensor(self._weights, dtype=torch.float64)
        if self._needs & _kernel.STATE:
            destination[prefix + "carried"] = torch.tensor(self._core.state(), dtype=torch.float64)

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        known = {"epoch", "class_weights"} | ({"carried"} if self._needs & _kernel.STATE else set())
        if self._needs & _kernel.STATE and prefix + "carried" not in state_dict:
            missing_keys.append(prefix + "carried")
        unexpected_keys.extend(key for key in state_dict if key.startswith(prefix) and key[len(prefix) :] not in known)
        epoch = state_dict.get(prefix + "epoch")
        weights = state_dict.get(prefix + "class_weights")
        try:
            if weights is not None:
                self.set_class_weights(weights.tolist())
            if "carried" in known and prefix + "carried" in state_dict:
                self._core.set_state(state_dict[prefix + "carried"].tolist())
            if epoch is not None:
                self.set_epoch(*(int(value) for value in epoch.tolist()))
        except (TypeError, ValueError) as error:
            error_msgs.append(f"the state of {self!r} does not fit: {error}")

    def _apply(self, fn: Any, *args: Any, **kwargs: Any) -> Loss:
        return self  # nothing to move: tables for other devices are made when they are needed

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        sample_weights: Tensor | None = None,
        *,
        features: Tensor | None = None,
        head: Any = None,
        offsets: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        batch = self._arrange(logits, labels, sample_weights)
        dtype = logits.dtype
        value_dtype = torch.float32 if dtype in _NARROW and _autocasts(logits.device.type) else dtype
        if batch.targets is not None or self.label_smoothing:
            return self._soft(batch).to(value_dtype)
        value = self._of_labels(batch, features, head, offsets, noise, value_dtype)
        return value if batch.shape is None else batch.unflatten(value)

    def _of_labels(
        self,
        batch: Arranged,
        features: Tensor | None,
        head: Any,
        offsets: Tensor | None,
        noise: Tensor | None,
        value_dtype: torch.dtype,
    ) -> Tensor:
        logits, labels, sample_weights = batch.logits, batch.labels, batch.sample_weights
        if self._needs:
            context = self._context(batch, features, head, offsets, noise)
            if self.training and self._needs & _kernel.STATE:
                self._apply_update(logits, labels, context)
        else:
            context = [None] * 5
        if logits.dtype not in _kernel.DTYPES or not logits.is_cpu:
            if not _kernel.is_compiling():
                _announce(logits)
            return compose(self, logits, labels, sample_weights, context).to(value_dtype)
        if self._needs:
            return self._fused_with_context(logits, labels, sample_weights, context, value_dtype)
        if logits.dtype is not torch.float16 or self.reduction in ("sum", "none") or not self._is_sum:
            return self._fused(logits, labels, sample_weights, self.reduction, value_dtype)
        # A mean's gradient of 16 bits would be lost below 6e-8 before a gradient scaler sees it; that of the sum is not.
        total = self._fused(logits, labels, sample_weights, "sum", torch.float32)
        return (total / self._divisor(labels, sample_weights, torch.float32)).to(value_dtype)

    def _soft(self, batch: Arranged) -> Tensor:
        return batch.unflatten(_soft.soft_loss(self, batch))

    def _context(
        self, batch: Arranged, features: Tensor | None, head: Any, offsets: Tensor | None, noise: Tensor | None
    ) -> _kernel.Context:
        """Features, weight and bias of the head, offsets, noise: those that this loss looks at."""
        if not self._needs:
            return [None] * 5
        rows, classes = batch.logits.shape
        parts: Any = (head.weight, head.bias) if isinstance(head, torch.nn.Module) else head or (None, None)
        weight: Tensor | None = parts[0]
        bias: Tensor | None = parts[1]
        features = features if self._needs & _kernel.FEATURES else None
        offsets = offsets if self._needs & _kernel.OFFSETS else None
        if not self._needs & _kernel.HEAD:
            weight = bias = None
        elif weight is not None and bias is None:
            bias = weight.new_zeros(classes)
        if batch.shape is not None:
            features, offsets, noise = (None if x is None else _as_rows(x) for x in (features, offsets, noise))
        width = features.shape[-1] if features is not None else 0
        shapes = [(rows, width), (classes, width), (classes,), (rows, classes), (rows, classes)]
        names = ["features", "weight of the head", "bias of the head", "offsets", "noise"]
        context = [features, weight, bias, offsets, noise]
        for name, tensor, shape in zip(names, context, shapes):
            if tensor is not None and tuple(tensor.shape) != shape:
                raise ValueError(f"the {name} came as {_describe(tensor)}, expected {list(shape)}")
        if self._active or (self.training and self._needs & _kernel.STATE):
            if self._needs & _kernel.FEATURES and features is None and offsets is None:
                raise ValueError(f"the loss '{self._text}' looks at the features that go into the head; give features=")
            if self._needs & _kernel.HEAD and weight is None:
                raise ValueError(f"the loss '{self._text}' looks at the linear head; give head=, a module or (weight, bias)")
        return context

    def _apply_update(self, logits: Tensor, labels: Tensor, context: _kernel.Context) -> None:
        if _kernel.is_compiling():
            _kernel.compiled_apply_update(self._clock, logits, labels, *context[:3], self._id)
        else:
            _kernel.apply_update(self, logits, labels, context)

    def _arrange(self, logits: Tensor, labels: Tensor, sample_weights: Tensor | None) -> Arranged:
        if not isinstance(logits, Tensor) or not logits.is_floating_point():
            raise TypeError(f"the logits are {_describe(logits)}, expected a floating point tensor [N, {self._classes}]")
        shape = logits.shape
        if len(shape) == 0:
            raise ValueError(f"the logits are {_describe(logits)}, expected floating point [N, {self._classes}]")
        axis = 0 if len(shape) == 1 else 1
        if shape[axis] != self._classes:
            hint = "; classes come second, as in PyTorch: logits.movedim(-1, 1)" if shape[-1] == self._classes else ""
            raise ValueError(
                f"the logits have {shape[axis]} columns, expected one for each of the {self._classes} class counts{hint}"
            )
        samples = shape[:axis] + shape[axis + 1 :]
        soft = isinstance(labels, Tensor) and labels.is_floating_point() and labels.shape == shape
        if not soft:
            self._check_samples(labels, samples, "labels")
            if labels.dtype is not torch.int64:
                if labels.is_floating_point() or labels.is_complex() or labels.dtype is torch.bool:
                    raise TypeError(
                        f"the labels are {_describe(labels)}, expected whole numbers {list(samples)} (labels.long()), "
                        f"or soft targets {list(shape)}"
                    )
                labels = labels.long()
        elif not self._takes_soft_targets:
            raise ValueError(
                f"the loss '{self._text}' takes no soft targets: it is not a sum of one over the classes; give labels, or mix "
                "two losses: lam * loss(z, a) + (1 - lam) * loss(z, b)"
            )
        if not (labels.is_cpu and logits.is_cpu) and labels.device != logits.device:
            raise ValueError(f"the labels are on {labels.device} and the logits on {logits.device}, expected one device")
        if sample_weights is not None:
            self._check_samples(sample_weights, samples, "sample weights")
            if sample_weights.requires_grad:
                raise ValueError("the sample weights require a gradient, which the losses do not give; detach them")
            sample_weights = sample_weights.to(torch.float64).reshape(-1).contiguous()
        if soft:
            targets = labels if len(shape) == 2 else _as_rows(labels)
            if targets.is_cpu and not _kernel.is_compiling():
                self._check_targets(targets, sample_weights)
        if len(shape) == 2:
            return Arranged(logits, labels, sample_weights, targets if soft else None, None)
        return Arranged(_as_rows(logits), labels.reshape(-1), sample_weights, targets if soft else None, samples)

    @staticmethod
    def _check_samples(values: Tensor, shape: torch.Size, what: str) -> None:
        if not isinstance(values, Tensor):
            raise TypeError(f"the {what} are {_describe(values)}, expected a tensor {list(shape)}")
        if values.shape != shape:
            raise ValueError(f"the {what} are {_describe(values)}, expected {list(shape)}, one for each row of logits")

    @staticmethod
    def _check_targets(targets: Tensor, sample_weights: Tensor | None) -> None:
        for values, what in ((targets, "soft target"), (sample_weights, "sample weight")):
            if values is None:
                continue
            wrong = ~((values >= 0) & values.isfinite())
            if wrong.any():
                place = [int(index) for index in wrong.nonzero()[0]]
                came = values[tuple(place)].item()
                raise ValueError(f"the {what} at position {place} is {came}, expected a finite number of at least 0")

    def _fused(
        self, logits: Tensor, labels: Tensor, sample_weights: Tensor | None, reduction: str, value_dtype: torch.dtype
    ) -> Tensor:
        wants_gradient = logits.requires_grad and torch.is_grad_enabled()
        if _kernel.is_compiling():
            return _kernel.compiled(logits, labels, sample_weights, self._id, reduction, value_dtype, wants_gradient)[0]
        if wants_gradient:
            return cast(Tensor, _kernel.Fused.apply(logits, (self, labels, sample_weights, reduction, value_dtype)))
        return _kernel.evaluate(self, logits, labels, sample_weights, None, reduction, value_dtype)

    def _fused_with_context(
        self,
        logits: Tensor,
        labels: Tensor,
        sample_weights: Tensor | None,
        context: _kernel.Context,
        value_dtype: torch.dtype,
    ) -> Tensor:
        differentiable = [logits, *context[:3]]
        if not _kernel.is_compiling():
            call = (self, labels, sample_weights, context, value_dtype)
            return cast(Tensor, _kernel.FusedWithContext.apply(*differentiable, call))
        wanted = 0
        for k, tensor in enumerate(differentiable):
            if tensor is not None and tensor.requires_grad and torch.is_grad_enabled():
                wanted |= 1 << k
        return _kernel.compiled_with_context(
            *differentiable,
            labels,
            sample_weights,
            *context[3:],
            self._clock,
            self._id,
            self.reduction,
            value_dtype,
            wanted,
        )[0]

    def _row_weights(self, labels: Tensor, sample_weights: Tensor | None, dtype: torch.dtype) -> Tensor:
        """``[N]``, 0 for ignored samples."""
        counted = labels != self.ignore_index
        weights = self._table("weights", labels.device, dtype)
        of_rows = weights.index_select(0, torch.where(counted, labels, 0)) * counted
        return of_rows if sample_weights is None else of_rows * sample_weights.to(dtype)

    def _divisor(self, labels: Tensor, sample_weights: Tensor | None, dtype: torch.dtype) -> Tensor:
        if self.reduction == "mean":
            total = (labels != self.ignore_index).sum().to(dtype)
        else:
            total = self._row_weights(labels, sample_weights, dtype).sum()
        return total.clamp_min(torch.finfo(dtype).tiny)

    def _table(self, name: str, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Numbers of the classes, ``[C]``, kept for each device and dtype."""
        if _kernel.is_compiling():
            return self._numbers[name].to(device, dtype)
        key = (name, device, dtype)
        found = self._tables.get(key)
        if found is None:
            found = self._tables[key] = self._numbers[name].to(device, dtype)
        return found


def _numbers(values: Iterable[float]) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float64, device="cpu")


_announced: set[tuple[str, torch.dtype]] = set()


def _announce(logits: Tensor) -> None:
    key = (logits.device.type, logits.dtype)
    if key not in _announced:
        _announced.add(key)
        name = str(logits.dtype).removeprefix("torch.")
        warnings.warn(
            f"no fused kernel for {name} logits on {logits.device.type}: the composed formula takes over, slower",
            RuntimeWarning,
            stacklevel=5,
        )


# Before PyTorch 2.4 the losses run between two compiled graphs. This is what torch._dynamo.disable would say, without importing
# it, which takes seconds.
if not hasattr(torch.library, "custom_op"):
    Loss.forward._torchdynamo_disable = True  # type: ignore[attr-defined]


class DeferredReweighting:
    """Deferred re-weighting (DRW, Cao et al., NeurIPS 2019): equal weights, and from epoch `start` on the class-balanced
    ones of the effective number of samples, ``(1 - beta) / (1 - beta^n[j])`` normalised to mean 1.

    >>> schedule = ulmus.DeferredReweighting(loss, start=160, beta=0.9999)
    >>> for epoch in range(200):
    ...     schedule.step(epoch)

    The same as a loss with ``+drw`` and ``loss.set_epoch(epoch, epochs)``, for a start that is an epoch. Raises
    ``ValueError`` for a loss that has a rule of its own: the weights would multiply.
    """

    def __init__(self, loss: Loss, start: int, beta: float = 0.9999) -> None:
        if rule := _family.rule_name(loss.spec):
            raise ValueError(f"the loss '{loss.spec}' has the weight rule '{rule}' already; leave one of the two out")
        if start < 0:
            raise ValueError(f"start is {start}, expected an epoch, 0 or more")
        self.loss = loss
        self.start = start
        self.beta = beta
        self.last_epoch = -1
        rule_text = f"ce+cb:beta={_family.number_text(beta)}"
        self._balanced = _core.Loss(rule_text, loss.class_counts).class_weights()

    def step(self, epoch: int | None = None) -> None:
        """Says that `epoch`, 0-based, begins; without it the one after the last."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        deferred = self.last_epoch < self.start
        self.loss.set_class_weights([1.0] * len(self._balanced) if deferred else self._balanced)

    def state_dict(self) -> dict[str, Any]:
        return {"start": self.start, "beta": self.beta, "last_epoch": self.last_epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.__init__(self.loss, state["start"], state["beta"])  # type: ignore[misc]
        if state["last_epoch"] >= 0:
            self.step(state["last_epoch"])
