"""The losses of the family as classes with keyword arguments. Written by make_stubs.py."""

from collections.abc import Iterable
from typing import Any

from .loss import Loss, Reduction

__all__ = [
    "CE",
    "LDAM",
    "ELM",
    "BS",
    "LA",
    "VS",
    "CDT",
    "Focal",
    "Poly1",
    "CB",
    "GR",
    "MM",
    "ALA",
    "DBM",
    "KPS",
    "GCL",
    "LADE",
    "IB",
    "IBFocal",
    "Seesaw",
    "EQL",
    "LOCE",
    "FCE",
    "LAFCE",
    "LAS",
    "LOS",
    "LogitNorm",
    "LMSoftmax",
    "ArcFace",
    "CosFace",
    "SphereFace",
    "DROLT",
    "LMD",
    "TAM",
]

class CE(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        scale: float = 1.0,
        smoothing: float = 0.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class LDAM(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        max_margin: float = 0.5,
        scale: float = 30.0,
        smoothing: float = 0.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class ELM(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        lam: float = 1.0,
        max_margin: float = 0.5,
        placement: str = "true",
        scale: float = 30.0,
        smoothing: float = 0.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class BS(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        scale: float = 1.0,
        smoothing: float = 0.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class LA(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        tau: float = 1.0,
        scale: float = 1.0,
        smoothing: float = 0.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class VS(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        gamma: float = 0.3,
        tau: float = 1.0,
        scale: float = 1.0,
        smoothing: float = 0.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class CDT(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        gamma: float = 0.2,
        scale: float = 1.0,
        smoothing: float = 0.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class Focal(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        gamma: float = 1.0,
        scale: float = 1.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class Poly1(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        epsilon: float = 1.0,
        scale: float = 1.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class CB(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        kind: str = "softmax",
        beta: float = 0.9999,
        gamma: float = 1.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class GR(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        rho: float = 1.2,
        scale: float = 1.0,
        smoothing: float = 0.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class MM(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        max_margin: float = 0.5,
        gamma: float = 1.1,
        variant: str = "plain",
        scale: float = 30.0,
        smoothing: float = 0.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class ALA(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        scale: float = 30.0,
        smoothing: float = 0.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class DBM(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        max_margin: float = 0.1,
        tau: float = 1.0,
        lam: float = 1.0,
        base: str = "ce",
        scale: float = 32.0,
        smoothing: float = 0.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class KPS(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        max_margin: float = 0.2,
        scaling: str = "one",
        scale: float = 15.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class GCL(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        noise: float = 0.5,
        margin: float = 0.0,
        scale: float = 30.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class LADE(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        alpha: float = 0.1,
        lam: float = 0.01,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class IB(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        alpha: float = 1000.0,
        weights: str = "inverse",
        beta: float = 0.9999,
        start: float = 0.5,
        scale: float = 1.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class IBFocal(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        alpha: float = 1000.0,
        gamma: float = 1.0,
        weights: str = "inverse",
        beta: float = 0.9999,
        start: float = 0.5,
        scale: float = 1.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class Seesaw(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        p: float = 0.8,
        q: float = 2.0,
        eps: float = 0.01,
        scale: float = 1.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class EQL(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        kind: str = "softmax",
        lam: float = 0.005,
        gamma: float = 0.9,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class LOCE(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        momentum: float = 0.9,
        scale: float = 1.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class FCE(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        temperature: float = 4.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class LAFCE(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        temperature: float = 6.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class LAS(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        head: float = 0.4,
        tail: float = 0.1,
        shape: str = "concave",
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class LOS(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        smoothing: float = 0.98,
        scale: float = 1.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class LogitNorm(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        temperature: float = 0.01,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class LMSoftmax(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        lam: float = 0.3,
        lower: float = 0.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class ArcFace(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        margin: float = 0.5,
        variant: str = "insightface",
        scale: float = 64.0,
        smoothing: float = 0.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class CosFace(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        margin: float = 0.4,
        scale: float = 64.0,
        smoothing: float = 0.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class SphereFace(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        margin: float = 1.7,
        scale: float = 30.0,
        smoothing: float = 0.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class DROLT(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        alpha: float = 0.1,
        temperature: float = 0.07,
        epsilon: float = 1.0,
        momentum: float = 0.9,
        start: float = 0.5,
        scale: float = 1.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class LMD(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        alpha: float = 1.0,
        beta: float = 1.0,
        gamma: float = 0.001,
        delta_v: float = 0.5,
        delta_d: float = 1.5,
        momentum: float = 0.99,
        norm: str = "l2",
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...

class TAM(Loss):
    def __init__(
        self,
        class_counts: Iterable[Any],
        *,
        alpha: float = 2.5,
        beta: float = 0.5,
        base: str = "ce",
        neighbours: float = 5.0,
        start: float = 0.0025,
        scale: float = 1.0,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
    ) -> None: ...
