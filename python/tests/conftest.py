"""Shared by the tests: the golden vectors, and the class counts of a long tail."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Debian's version of Hypothesis sometimes reports a few numbers as too large an example.
settings.register_profile("ulmus", deadline=None, suppress_health_check=[HealthCheck.data_too_large])
settings.load_profile("ulmus")

SOURCE = Path(__file__).parents[2]


def golden(name: str) -> list[dict[str, Any]]:
    """Returns the cases of a file of published double-precision vectors, from tests/golden or, as plain JSON, from the
    folder $ULMUS_GOLDEN."""
    folder = os.environ.get("ULMUS_GOLDEN")
    if folder and not Path(folder).is_dir():
        pytest.fail(f"ULMUS_GOLDEN is '{folder}', which is no folder")
    path = Path(folder) / f"{name}.json" if folder else SOURCE / "tests" / "golden" / f"{name}.json.gz"
    if folder and not path.exists():
        return []
    cases: list[dict[str, Any]] = json.loads(path.read_bytes() if folder else gzip.decompress(path.read_bytes()))[
        "cases"
    ]
    return cases


def at_least(comparisons: int) -> int:
    """Returns the minimum number of comparisons of a test; 0 with $ULMUS_GOLDEN, whose folder may have fewer cases."""
    return 0 if os.environ.get("ULMUS_GOLDEN") else comparisons


def long_tail(classes: int, largest: int = 500, ratio: float = 100) -> list[int]:
    return [max(1, int(largest * ratio ** (-j / max(classes - 1, 1)))) for j in range(classes)]
