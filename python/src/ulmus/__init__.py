"""Ulmus: losses and tools for imbalanced and long-tailed classification.

Names are imported on first use: ``import ulmus`` needs neither NumPy nor PyTorch nor scikit-learn.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import _class_names

if TYPE_CHECKING:
    __version__: str
    from . import adjust, functional, metrics, models, objectives, sklearn
    from .data import make_long_tailed
    from .loss import Loss, composed_loss
    from .losses import *
    from .models import load_model, load_weights
    from .nn import CosineLinear, LogitAdjustment, tau_normalize
    from .objectives import objective
    from .runs import Run, read_run
    from .samplers import ClassSampler
    from .schedules import DeferredReweighting

#: The names that each module defines.
_HOMES = {
    "loss": ["Loss", "composed_loss"],
    "schedules": ["DeferredReweighting"],
    "losses": _class_names.CLASSES,
    "nn": ["CosineLinear", "LogitAdjustment", "tau_normalize"],
    "models": ["load_model", "load_weights"],
    "objectives": ["objective"],
    "samplers": ["ClassSampler"],
    "data": ["make_long_tailed"],
    "runs": ["Run", "read_run"],
}
_MODULES = ["adjust", "functional", "metrics", "models", "objectives", "sklearn"]
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "ClassSampler",
    "CosineLinear",
    "DeferredReweighting",
    "LogitAdjustment",
    "Loss",
    "Run",
    "adjust",
    "composed_loss",
    "functional",
    "load_model",
    "load_weights",
    "make_long_tailed",
    "metrics",
    "models",
    "objective",
    "objectives",
    "read_run",
    "sklearn",
    "tau_normalize",
]
__all__ += _class_names.CLASSES


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        value = getattr(importlib.import_module(f".{_HOME_OF[name]}", __name__), name)
    elif name in _MODULES:
        value = importlib.import_module(f".{name}", __name__)
    elif name == "__version__":
        value = importlib.import_module("._core", __name__).version()
    else:
        raise AttributeError(f"module 'ulmus' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
