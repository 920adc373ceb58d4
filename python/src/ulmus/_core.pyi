"""The compiled extension. Private: the public functions check the arguments."""

from collections.abc import Iterable, Sequence
from typing import Any

class Loss:
    def __init__(self, text: str, class_counts: Sequence[int]) -> None: ...
    @property
    def text(self) -> str: ...
    @property
    def classes(self) -> int: ...
    @property
    def scale(self) -> float: ...
    @property
    def head(self) -> str: ...
    @property
    def reduction(self) -> int: ...
    @property
    def needs(self) -> int: ...
    @property
    def initial_bias(self) -> float: ...
    def state(self) -> list[float]: ...
    def set_state(self, values: Sequence[float]) -> None: ...
    def set_seed(self, seed: int) -> None: ...
    def apply_update(self, delta: Sequence[float]) -> None: ...
    def class_weights(self) -> list[float]: ...
    def set_epoch(self, epoch: int, epochs: int) -> None: ...
    def set_class_weights(self, weights: Sequence[float]) -> None: ...

def run_at(
    loss: Loss,
    dtype: int,
    n: int,
    logits: int,
    stride: int,
    labels: int,
    gradient: int,
    losses: int,
    sample_weights: int,
    ignore_index: int,
    reduction: int,
    threads: int,
    value: int,
    value_dtype: int,
    /,
) -> None: ...
def run_with_context_at(
    loss: Loss,
    dtype: int,
    n: int,
    logits: int,
    stride: int,
    labels: int,
    gradient: int,
    losses: int,
    sample_weights: int,
    ignore_index: int,
    reduction: int,
    threads: int,
    context: Sequence[int],
    feature_width: int,
    first_position: int,
    /,
) -> float: ...
def collect_update_at(
    loss: Loss,
    dtype: int,
    n: int,
    logits: int,
    stride: int,
    labels: int,
    ignore_index: int,
    context: Sequence[int],
    feature_width: int,
    first_position: int,
    /,
) -> list[float]: ...
def offsets_at(
    loss: Loss,
    text: str,
    class_counts: Sequence[int],
    seed: int,
    epoch: tuple[int, int],
    n: int,
    labels: int,
    ignore_index: int,
    features: int,
    feature_width: int,
    first_position: int,
    offsets: int,
    /,
) -> None: ...
def has_own_weights(text: str) -> bool: ...
def assumed_prior(text: str, class_counts: Sequence[int]) -> list[float]: ...
def softmax_slopes(text: str, class_counts: Sequence[int]) -> tuple[str, list[float]]: ...
def run_arrays(
    loss: Loss,
    logits: Any,
    labels: Any,
    gradient: Any | None,
    losses: Any | None,
    sample_weights: Any | None,
    ignore_index: int,
    reduction: int,
    threads: int,
) -> float: ...
def family_json() -> str: ...
def long_tailed(
    labels: Any, classes: int, imbalance: str, seed: int, rng: str, validation_per_class: int
) -> tuple[list[int], list[int]]: ...
def sample_epoch(sampler: str, labels: Any, seed: int, epoch: int, epochs: int) -> list[int]: ...
def class_probabilities(sampler: str, class_counts: Sequence[int], epoch: int, epochs: int) -> list[float]: ...
def parse_sampler(text: str) -> tuple[str, bool]: ...
def evaluate(
    logits: Any, labels: Any, class_counts: Sequence[int], scale: float, many_above: int, few_below: int
) -> str: ...
def choose_head(text: str, head: str, /) -> str: ...
def suggest(word: str, names: Iterable[str], /) -> str: ...
def version() -> str: ...
def target() -> str: ...
