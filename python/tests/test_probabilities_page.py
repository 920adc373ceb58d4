"""The code blocks of docs/probabilities.md run unchanged, one after the other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ulmus import adjust

from .conftest import SOURCE

PAGE = SOURCE / "docs" / "probabilities.md"


def test_the_page_runs_and_does_what_it_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if not PAGE.exists():
        pytest.skip("not in the repository")
    text = PAGE.read_text()
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    y, X, score = names["y_test"], names["X_test"], names["balanced_accuracy_score"]
    plain = names["plain"].fit(names["X"], names["y"])
    assert score(y, names["model"].predict(X)) > score(y, plain.predict(X)) + 0.02
    misses = [np.sum((y == 1) & (model.predict(X) == 0)) for model in (names["careful"], plain)]
    assert misses[0] < misses[1]
    assert len(capsys.readouterr().out.splitlines()) == 3
    for name in set(re.findall(r"^\| `(\w+)", text, re.MULTILINE)) - {"function"}:
        assert name in adjust.__all__
