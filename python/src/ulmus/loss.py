"""The losses as ``torch.nn.Module``s: loss and gradient in one pass of the fused kernel on the CPU."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

# _kernel is imported first because it imports torch before the extension.
from . import _kernel  # isort: skip
from . import _compile, _core, _family
from ._batch import CheckedBatch, check_batch, check_context, describe
from ._soft import soft_loss, soft_weights
from .composed import compose

__all__ = ["Loss", "composed_loss"]

Reduction = Literal["weighted-mean", "mean", "sum", "none"]

_16_BITS = (torch.bfloat16, torch.float16)


def _autocasts(device_type: str) -> bool:
    try:
        return torch.is_autocast_enabled(device_type)
    except TypeError:  # before PyTorch 2.4
        return torch.is_autocast_cpu_enabled() if device_type == "cpu" else torch.is_autocast_enabled()


class Loss(torch.nn.Module):
    """A loss of the family for one training set.

    >>> loss = ulmus.Loss("elm:lambda=0.5", class_counts=[5000, 500, 50])
    >>> loss(logits, labels).backward()

    Args:
        loss: ``name[:key=value,...][+rule[:key=value,...]]``; ``ulmus losses`` lists them. The rules ``+rs`` and
            ``+drs`` draw samples: use :class:`ulmus.ClassSampler` instead.
        class_counts: number of training samples of each class, ``[C]``: a list, an array or a tensor in the order of
            the classes, or a ``Counter``, a ``dict`` or pandas' ``value_counts()`` with the classes 0, 1, ... as keys
            (a missing class has 0 samples).
        weight: class weights ``[C]`` as in PyTorch, or a mapping by class number. Not allowed with a rule or with a
            loss that has its own class weights.
        reduction: ``"weighted-mean"``: the sum of the weighted losses over the sum of the weights. ``"mean"``: the same
            sum over the number of samples. ``"sum"``. ``"none"``: one loss per sample. Default: the reduction in the
            loss's definition. With class weights, PyTorch's ``"mean"`` is ``"weighted-mean"`` here: for logits 0,
            labels 0, 0, 1 and weights 1 and 3, ``"mean"`` is ``5/3 log 2 = 1.155``, while ``"weighted-mean"`` and
            PyTorch's ``"mean"`` are ``5/5 log 2 = 0.693``. With soft targets PyTorch divides by the number of samples,
            like ``"mean"`` here; ``"weighted-mean"`` divides by the sum of ``q[c] w[c]``.
        ignore_index: samples with this label have zero loss.
        label_smoothing: 0 to 1. A label becomes the soft target ``(1 - s) [c = y] + s / C``. An error for losses for
            which it is not defined: it needs a cross entropy, possibly of scaled, shifted or margin-adjusted logits.
        seed: seed of the random draws of ``gcl`` and ``eql``.
        sync_divisor: with ``torch.distributed``, divide a mean by the sum of the divisors of all processes (see below).

    ``loss(logits, labels, sample_weights=None)`` takes logits ``[N, C]``, the output of the head before the loss's own
    scale, labels ``[N]`` of an integer dtype and weights ``[N]``. It returns a scalar (``[N]`` with ``"none"``) of the
    logits' dtype, or float32 for 16-bit logits under autocast. As in PyTorch, logits may be ``[N, C, d1, ...]`` with
    labels ``[N, d1, ...]``, or ``[C]`` with one label. A floating point tensor of the logits' shape in place of the
    labels is a soft target ``q``, for example from mixup or distillation. The loss of a sample is then
    ``sum over c of q[c] loss(logits, c)``, with the weight, margin and shape of each class (for ``ce`` this is
    PyTorch's). Losses that need more than logits do not accept soft targets.

    float32, float64, bfloat16 and float16 logits on the CPU use the kernel: it computes the gradient in the forward
    call, does not copy contiguous logits, and has no second derivative. Other devices and dtypes use the same formula
    composed of PyTorch operations, with one warning for each. Soft targets and label smoothing are always composed.

    Some losses need more than logits and labels, passed by keyword; the other losses ignore these arguments:

        features: ``[N, D]``, the input of the head (``ib``, ``ib-focal``, ``dro-lt``, ``lmd``, ``tam``).
        head: the linear head, a module or ``(weight, bias)`` (``lmd``).
        offsets: ``[N, C]``, margins of graph nodes, replacing those that ``tam`` computes.
        noise: ``[N, C]``, replaces the random draws.

    A stateful loss (``seesaw``, ``loce``, running means, the step of random draws) updates its state once per call in
    training mode, from the samples of all processes of ``torch.distributed``. The state dict stores it as ``state``.

    Under ``torch.compile`` the loss is part of a single graph and gives the same numbers (PyTorch 2.4 and later).

    ``DistributedDataParallel`` averages the gradients of the processes. Under it, both means equal the mean of one
    process with the whole batch, for parts of any size: in training mode, with gradients enabled, the divisors of the
    processes are summed (one all-reduce of one number in the forward call), and each process returns its share. The
    mean of the shares over the processes is the loss of the whole batch. With ``sync_divisor=False`` each process
    divides by its own samples; with class weights the result then differs by 0.17 of the gradient's norm for two
    processes with 32 samples each (``elm:lambda=0.5+drw``, ten classes of ratio 100, random logits; median of 200
    batches). ``poly1``, ``lm-softmax`` and ``lade`` are always means of each process, because a part of them ignores
    class weights or depends on the whole batch; the batch terms of ``dro-lt`` and ``lmd`` are computed from the samples
    of each process. The random draws of ``gcl`` and ``eql`` equal those of one process if rank r has the r-th part of
    the batch and all parts have the same size.

    Raises ``ValueError`` for an unknown loss or key (with the nearest name), shapes and counts that do not match, and a
    label out of range (with its position); ``TypeError`` for a dtype.
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
        sync_divisor: bool = True,
    ) -> None:
        super().__init__()
        if not isinstance(loss, str):
            raise TypeError(f"the loss is a {type(loss).__name__}, expected text such as 'elm:lambda=0.5+drw'")
        if reduction is not None and reduction not in _kernel.REDUCTIONS:
            raise ValueError(f"unknown reduction {reduction!r}; {_family.nearest(str(reduction), _kernel.REDUCTIONS)}")
        self._handle = _kernel.LossHandle(
            loss, _family.class_counts(class_counts), reduction=reduction, ignore_index=ignore_index, seed=seed
        )
        self.label_smoothing = label_smoothing
        self.sync_divisor = sync_divisor
        _family.refuse_sampling_rule(self.spec)
        if not isinstance(label_smoothing, (int, float)) or not 0 <= label_smoothing <= 1:
            raise ValueError(f"label_smoothing is {label_smoothing!r}, expected a number from 0 to 1")
        smooths = _family.table()["losses"][self._handle.name]["smooths_labels"] or self._handle.keys.get("smoothing")
        if label_smoothing and (smooths or not self._handle.takes_soft_targets):
            raise ValueError(f"label smoothing is not defined for the loss '{self.spec}'; leave label_smoothing out")
        if weight is not None:
            if rule := _family.rule_name(self.spec):
                raise ValueError(
                    f"the loss '{self.spec}' has the weight rule '{rule}' already; leave weight or the rule out"
                )
            if _core.has_own_weights(self.spec):
                raise ValueError(f"the loss '{self.spec}' has class weights of its own; leave weight out or use 'ce'")
            self.set_class_weights(weight)

    @property
    def spec(self) -> str:
        """Canonical text, without keys that have their default."""
        return self._handle.text

    @property
    def class_counts(self) -> list[int]:
        """Number of training samples of each class, ``[C]``."""
        return list(self._handle.class_counts)

    @property
    def reduction(self) -> str:
        return self._handle.reduction

    @reduction.setter
    def reduction(self, value: Reduction) -> None:
        self._handle.reduction = value

    @property
    def ignore_index(self) -> int:
        return self._handle.ignore_index

    @ignore_index.setter
    def ignore_index(self, value: int) -> None:
        self._handle.ignore_index = value

    @property
    def scale(self) -> float:
        """Factor applied to the head's output before the softmax, in training and at test time."""
        return self._handle.core.scale

    @property
    def head(self) -> str:
        """The head for which the loss is designed, ``"linear"`` or ``"cosine"`` (``ulmus.CosineLinear``)."""
        return self._handle.core.head

    @property
    def class_weights(self) -> list[float]:
        """The current class weights, ``[C]``; ones if there are none."""
        return self._handle.core.class_weights()

    @property
    def initial_bias(self) -> float:
        """Recommended initial value of the biases of a linear head with this loss; 0 for most losses."""
        return self._handle.core.initial_bias

    @property
    def active(self) -> bool:
        """False while a loss with the key ``from`` is still plain cross entropy."""
        return self._handle.active

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Sets the epoch, ``0 <= epoch < epochs``, for a deferred rule (``+drw``) or a loss that starts as plain cross
        entropy."""
        self._handle.set_epoch(epoch, epochs)

    def set_class_weights(self, weights: Iterable[float]) -> None:
        """Replaces the class weights with these, ``[C]``, each at least 0 and finite; a mapping has class numbers as
        keys."""
        self._handle.set_class_weights(_family.class_weights(weights, self._handle.classes))

    @property
    def assumed_prior(self) -> list[float]:
        """The class frequencies ``[C]`` that ``softmax(scale * logits)`` of a fully trained model assumes: the training
        frequencies for plain cross entropy, equal frequencies for ``bs``, ``la``, ``+inverse`` ... (C++:
        ``ulmus::assumed_prior``). Margins, slopes and shapes are assumed to have no influence. `weight` and
        :meth:`set_class_weights` multiply the frequencies, in place of the weights of a rule."""
        counts, weights = self._handle.class_counts, self._handle.replaced_weights
        if weights is None:
            return _core.assumed_prior(self.spec, counts)
        plain = _core.assumed_prior(self.spec.partition("+")[0], counts)
        prior = [p * w for p, w in zip(plain, weights)]
        return [p / (sum(prior) or 1) for p in prior]

    def probabilities(self, logits: Tensor, prior: Any = None) -> Tensor:
        """Returns class probabilities from the head's output: ``softmax(scale * logits)`` over the classes, ``[N, C]``,
        ``[N, C, d1, ...]`` or ``[C]`` like the logits, at least float32. Margins, offsets and slopes apply in training
        only.

        A loss that shifts its logits by the class frequencies in training (``bs``, ``la``, ``vs``, ``lade`` ...) or
        weights the classes gives probabilities under the class frequencies :attr:`assumed_prior`. These are mostly
        equal, which suits balanced accuracy. `prior`, ``[C]``, contains the frequencies to expect instead (for those of
        the training data: ``loss.class_counts``): p is multiplied by prior over assumed prior and normalised (Saerens
        et al., Neural Computation 2002).
        """
        classes = self._handle.classes
        if not isinstance(logits, Tensor) or not logits.is_floating_point() or logits.dim() == 0:
            raise TypeError(f"the logits are {describe(logits)}, expected a floating point tensor [N, {classes}]")
        axis = 0 if logits.dim() == 1 else 1
        if logits.shape[axis] != classes:
            raise ValueError(f"the logits are {describe(logits)}, expected {classes} classes in dimension {axis}")
        scores = self.scale * (logits.float() if logits.dtype in _16_BITS else logits)
        if prior is not None:
            expected, assumed = _family.class_weights(prior, classes, "prior"), self.assumed_prior
            if not all(p > 0 for p in (*expected, *assumed)):
                raise ValueError(
                    "the prior or the loss's assumed prior has a class of frequency 0, expected all above 0"
                )
            shift = scores.new_tensor([math.log(q / p) for q, p in zip(expected, assumed)])
            scores = scores + shift.reshape([-1] + [1] * (logits.dim() - 1 - axis))
        return scores.softmax(axis)

    def extra_repr(self) -> str:
        smoothing = f", label_smoothing={self.label_smoothing}" if self.label_smoothing else ""
        return f"{self.spec}, classes={self._handle.classes}, reduction={self.reduction}{smoothing}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handle": copy.copy(self._handle)}  # even a shallow copy has its own epoch and state

    # The state dict contains the values that training changes. They are not buffers, so module.to() and .half() do not
    # convert them.

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        handle = self._handle
        if handle.epoch is not None:
            destination[prefix + "epoch"] = torch.tensor(handle.epoch, dtype=torch.int64)
        if handle.replaced_weights is not None:
            destination[prefix + "class_weights"] = torch.tensor(handle.replaced_weights, dtype=torch.float64)
        if handle.needs & _kernel.STATE:
            destination[prefix + "state"] = torch.tensor(handle.core.state(), dtype=torch.float64)

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
        entries = {key[len(prefix) :]: value for key, value in state_dict.items() if key.startswith(prefix)}
        known = {"epoch", "class_weights"}
        if self._handle.needs & _kernel.STATE:
            known.add("state")
            if "carried" in entries:  # name of the entry in 0.1
                entries.setdefault("state", entries.pop("carried"))
            if "state" not in entries:
                missing_keys.append(prefix + "state")
        unexpected_keys.extend(prefix + key for key in entries if key not in known)
        try:
            if "class_weights" in entries:
                self.set_class_weights(entries["class_weights"].tolist())
            if "state" in known & entries.keys():
                self._handle.core.set_state(entries["state"].tolist())
            if "epoch" in entries:
                self.set_epoch(*(int(value) for value in entries["epoch"].tolist()))
        except (TypeError, ValueError) as error:
            error_msgs.append(f"the state of {self!r} does not fit: {error}")

    def _apply(self, fn: Any, *args: Any, **kwargs: Any) -> Loss:
        return self  # nothing to move: tables for other devices are created on demand

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
        handle = self._handle
        batch = check_batch(handle, logits, labels, sample_weights)
        dtype = logits.dtype
        value_dtype = torch.float32 if dtype in _16_BITS and _autocasts(logits.device.type) else dtype
        if batch.targets is not None or self.label_smoothing:
            value = self._over_processes(soft_loss(handle, batch, self.label_smoothing), batch)
            return batch.unflatten(value).to(value_dtype)
        context = check_context(handle, batch, self.training, features, head, offsets, noise)
        if self.training and handle.needs & _kernel.STATE:
            _compile.apply_update(handle, batch.logits, batch.labels, context)
        if dtype in _kernel.DTYPES and logits.is_cpu:
            value = self._fused(batch, context, value_dtype)
        else:
            if not _kernel.is_compiling():
                _warn_once(logits)
            value = compose(handle, batch.logits, batch.labels, batch.sample_weights, context).to(value_dtype)
        return batch.unflatten(self._over_processes(value, batch))

    def _over_processes(self, value: Tensor, batch: CheckedBatch) -> Tensor:
        """Multiplies a mean by the factor that makes it this process's share of the mean over all processes."""
        handle = self._handle
        if not (self.sync_divisor and self.training and handle.is_sum and handle.reduction in ("mean", "weighted-mean")):
            return value
        if not (torch.is_grad_enabled() and _kernel.spans_processes()):
            return value
        if batch.targets is None:
            divisor = handle.divisor(batch.labels, batch.sample_weights, torch.float64)
        elif handle.reduction == "mean":
            divisor = torch.tensor(float(len(batch.logits)), dtype=torch.float64, device=value.device)
        else:
            divisor = soft_weights(handle, batch, self.label_smoothing, torch.float64).sum()
        return value * _compile.share_of_processes(divisor).to(value.dtype)

    def _fused(self, batch: CheckedBatch, context: _kernel.Context, value_dtype: torch.dtype) -> Tensor:
        handle = self._handle
        logits, labels, sample_weights = batch.logits, batch.labels, batch.sample_weights
        if handle.needs:
            return _compile.fused_with_context(handle, logits, labels, sample_weights, context, value_dtype)
        if logits.dtype is not torch.float16 or handle.reduction in ("sum", "none") or not handle.is_sum:
            return _compile.fused(handle, logits, labels, sample_weights, handle.reduction, value_dtype)
        # The 16-bit gradient of a mean would underflow below 6e-8 before a gradient scaler multiplies it; the gradient
        # of the sum does not.
        total = _compile.fused(handle, logits, labels, sample_weights, "sum", torch.float32)
        return (total / handle.divisor(labels, sample_weights, torch.float32)).to(value_dtype)


def composed_loss(
    loss: Loss,
    logits: Tensor,
    labels: Tensor,
    sample_weights: Tensor | None = None,
    *,
    features: Tensor | None = None,
    head: Any = None,
    offsets: Tensor | None = None,
    noise: Tensor | None = None,
) -> Tensor:
    """The same function as ``loss(logits, labels, sample_weights, ...)``, composed of PyTorch operations: for any
    device and dtype, twice differentiable, and an independent check of the kernel. Does not update the state of the
    loss."""
    handle = loss._handle
    batch = check_batch(handle, logits, labels, sample_weights)
    if batch.targets is not None or loss.label_smoothing:
        return batch.unflatten(soft_loss(handle, batch, loss.label_smoothing)).to(logits.dtype)
    context = check_context(handle, batch, loss.training, features, head, offsets, noise)
    value = compose(handle, batch.logits, batch.labels, batch.sample_weights, context)
    return batch.unflatten(value).to(logits.dtype)


_warned: set[tuple[str, torch.dtype]] = set()


def _warn_once(logits: Tensor) -> None:
    key = (logits.device.type, logits.dtype)
    if key not in _warned:
        _warned.add(key)
        name = str(logits.dtype).removeprefix("torch.")
        warnings.warn(
            f"no fused kernel for {name} logits on {logits.device.type}: the composed formula takes over, slower",
            RuntimeWarning,
            stacklevel=5,
        )


# Before PyTorch 2.4 the losses run between two compiled graphs. This has the effect of torch._dynamo.disable without
# importing torch._dynamo, which takes seconds.
if not _compile.CAN_COMPILE:
    Loss.forward._torchdynamo_disable = True  # type: ignore[attr-defined]
