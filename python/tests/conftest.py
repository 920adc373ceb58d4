"""What the tests share: the golden vectors, and class counts of a long tail."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Debian's Hypothesis takes a handful of numbers for too large an example now and then.
settings.register_profile("ulmus", deadline=None, suppress_health_check=[HealthCheck.data_too_large])
settings.load_profile("ulmus")

SOURCE = Path(__file__).parents[2]


def golden(name: str) -> list[dict[str, Any]]:
    """The cases of a file of published double-precision vectors: in $ULMUS_GOLDEN, by default ../shared/golden beside the
    source tree."""
    folder = os.environ.get("ULMUS_GOLDEN")
    path = Path(folder or SOURCE.parent / "shared" / "golden") / f"{name}.json"
    if not path.exists():
        if folder:
            pytest.fail(f"ULMUS_GOLDEN is set, but {path} cannot be read")
        pytest.skip("no golden vectors: set ULMUS_GOLDEN to their folder")
    cases: list[dict[str, Any]] = json.loads(path.read_text())["cases"]
    return cases


def long_tail(classes: int, largest: int = 500, ratio: float = 100) -> list[int]:
    return [max(1, int(largest * ratio ** (-j / max(classes - 1, 1)))) for j in range(classes)]
