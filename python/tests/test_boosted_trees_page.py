"""The code blocks of docs/boosted-trees.md run unchanged, those of each library after the data of the first block."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from .conftest import SOURCE

PAGE = SOURCE / "docs" / "boosted-trees.md"

pytestmark = pytest.mark.filterwarnings("ignore")  # warnings of the packages


@pytest.fixture(scope="module")
def blocks() -> list[str]:
    if not PAGE.exists():
        pytest.skip("not in the repository")
    return re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("library", ["lightgbm", "xgboost", "catboost"])
def test_the_blocks_of_a_library_run(blocks: list[str], library: str) -> None:
    if pytest.importorskip(library).__version__ < {"lightgbm": "4", "xgboost": "2.1", "catboost": "1"}[library]:
        pytest.skip("the page is for newer versions")
    first, *_ = blocks
    data = first.replace("import lightgbm\n", "").partition("objective = ")[0]  # data and imports, without the model
    names: dict[str, Any] = {}
    exec(compile(data, str(PAGE), "exec"), names)
    of_library = [block for block in blocks if f"{library}." in block]
    assert of_library
    for block in of_library:
        exec(compile(block, str(PAGE), "exec"), names)
    score = names["balanced_accuracy_score"]
    assert names["probabilities"].shape == (2000, 3)
    np.testing.assert_allclose(names["probabilities"].sum(axis=1), 1)
    assert score(names["y_test"], names["probabilities"].argmax(axis=1)) > 0.7
    if "predicted" in names:
        assert score(names["y_test"], names["predicted"]) > 0.7


def test_the_page_names_the_losses_that_have_an_objective() -> None:
    from ulmus.objectives import supported_losses

    named = re.search(r"^Supported: (.*?), with", PAGE.read_text(), re.MULTILINE)
    assert named and sorted(re.findall(r"`([^`]+)`", named[1])) == sorted(supported_losses())
