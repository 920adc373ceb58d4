"""The cost and requirements of an import."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ulmus
from ulmus import _core

#: Makes imports of NAMES fail, as if the packages were not installed.
BLOCK = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in NAMES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_import_needs_nothing() -> None:
    code = (
        f"NAMES = ('numpy', 'torch', 'sklearn', 'pandas', 'scipy')\n{BLOCK}"
        + """
import ulmus, ulmus.runs
from ulmus import _core
print(ulmus.__version__, len(_core.family_json()) > 1000, ulmus.read_run.__name__)
"""
    )
    assert run(code).split() == [ulmus.__version__, "True", "read_run"]


def test_numpy_functions_do_without_pytorch() -> None:
    code = (
        f"NAMES = ('torch',)\n{BLOCK}"
        + """
import numpy, ulmus
value, gradient = ulmus.functional.loss_and_grad(numpy.zeros((2, 4)), [0, 1], "elm", class_counts=[4, 3, 2, 1])
from ulmus.sklearn import MarginClassifier
model = MarginClassifier().fit([[0.0], [1.0]], [0, 1])
print(gradient.shape, ulmus.metrics.accuracy_score([1], [1]), model.predict([[1.0]]))
"""
    )
    assert run(code).strip() == "(2, 4) 1.0 [1]"


def test_every_public_name_is_there() -> None:
    for name in ulmus.__all__:
        assert getattr(ulmus, name) is not None
    assert set(ulmus._HOME_OF) | set(ulmus._MODULES) == set(ulmus.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Lss'"):
        ulmus.Lss  # noqa: B018


def test_the_version_is_that_of_the_header() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", ulmus.__version__)
    try:
        assert importlib.metadata.version("ulmus") == ulmus.__version__
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("not installed: run from the source tree")


@pytest.mark.skipif(sys.platform != "linux", reason="reads the process's memory map")
def test_pytorch_and_the_extension_share_one_openmp_runtime() -> None:
    code = """
import ulmus
ulmus.Loss("ce", [1, 2])
print({line.split()[-1] for line in open("/proc/self/maps") if "libgomp" in line})
"""
    assert len(eval(run(code))) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads the process's memory map")
def test_the_extension_brings_neither_openssl_nor_logging() -> None:
    code = """
import sys
before = {line.split()[-1] for line in open("/proc/self/maps") if ".so" in line}
import ulmus._core
print(*sorted({line.split()[-1] for line in open("/proc/self/maps") if ".so" in line} - before), sep="\\n")
"""
    names = [Path(line).name for line in run(code).splitlines()]
    assert any(name.startswith("_core") for name in names)
    assert not [
        name for name in names if any(part in name for part in ("crypto", "ssl", "spdlog", "fmt", "torch", "opencv"))
    ]
