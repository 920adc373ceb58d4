"""The members of the family as classes with keyword arguments. Written by make_stubs.py."""

from collections.abc import Iterable
from typing import Any

from .loss import Loss

__all__ = [
    "CE",
    "LDAM",
    "ELM",
    "BS",
    "LA",
    "VS",
    "CDT",
    "Focal",
]

class CE(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        scale: float = 1.0,
        rule: str | None = None,
        reduction: str = "weighted-mean",
        ignore_index: int = -100,
    ) -> None: ...

class LDAM(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        max_margin: float = 0.5,
        scale: float = 30.0,
        rule: str | None = None,
        reduction: str = "weighted-mean",
        ignore_index: int = -100,
    ) -> None: ...

class ELM(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        lam: float = 1.0,
        max_margin: float = 0.5,
        scale: float = 30.0,
        rule: str | None = None,
        reduction: str = "weighted-mean",
        ignore_index: int = -100,
    ) -> None: ...

class BS(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        scale: float = 1.0,
        rule: str | None = None,
        reduction: str = "weighted-mean",
        ignore_index: int = -100,
    ) -> None: ...

class LA(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        tau: float = 1.0,
        scale: float = 1.0,
        rule: str | None = None,
        reduction: str = "weighted-mean",
        ignore_index: int = -100,
    ) -> None: ...

class VS(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        gamma: float = 0.3,
        tau: float = 1.0,
        scale: float = 1.0,
        rule: str | None = None,
        reduction: str = "weighted-mean",
        ignore_index: int = -100,
    ) -> None: ...

class CDT(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        gamma: float = 0.2,
        scale: float = 1.0,
        rule: str | None = None,
        reduction: str = "weighted-mean",
        ignore_index: int = -100,
    ) -> None: ...

class Focal(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        gamma: float = 1.0,
        scale: float = 1.0,
        rule: str | None = None,
        reduction: str = "weighted-mean",
        ignore_index: int = -100,
    ) -> None: ...
