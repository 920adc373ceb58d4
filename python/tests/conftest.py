"""What the tests share: the golden vectors, and class counts of a long tail."""

from __future__ import annotations

import gzip
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
    """The cases of a file of published double-precision vectors, of tests/golden or of the folder that $ULMUS_GOLDEN
    names, there as plain JSON."""
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
    """How many comparisons a test has to make; a named folder may have fewer cases."""
    return 0 if os.environ.get("ULMUS_GOLDEN") else comparisons


def long_tail(classes: int, largest: int = 500, ratio: float = 100) -> list[int]:
    return [max(1, int(largest * ratio ** (-j / max(classes - 1, 1)))) for j in range(classes)]
