"""The types of the package's interface."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

import ulmus
from ulmus import _core

HERE = Path(__file__).parent
PACKAGE = Path(ulmus.__file__).parent
CONFIG = HERE.parent / "pyproject.toml"

pytestmark = pytest.mark.xdist_group("mypy")  # they share its cache


@pytest.fixture(scope="module")
def mypy() -> None:
    pytest.importorskip("mypy")
    torch = pytest.importorskip("torch")
    if torch.__version__ < "2":
        pytest.skip("PyTorch has other types before 2.0")


def run(*arguments: str) -> str:
    # The cache lets mypy read PyTorch's types only once for all runs.
    cache = os.environ.get("MYPY_CACHE_DIR", str(Path(tempfile.gettempdir()) / f"ulmus-mypy-{os.getuid()}"))
    environment = os.environ | {"MYPY_CACHE_DIR": cache}
    command = [sys.executable, "-m", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, cwd=HERE, env=environment)
    return "" if result.returncode == 0 else result.stdout + result.stderr


def test_the_package_passes_mypy(mypy: None) -> None:
    assert run("mypy", "--config-file", str(CONFIG), "-p", "ulmus") == ""


def test_the_stubs_are_those_of_the_runtime(mypy: None) -> None:
    allow = str(HERE / "stubtest_allowlist.txt")
    assert (
        run(
            "mypy.stubtest",
            "ulmus",
            "--mypy-config-file",
            str(CONFIG),
            "--allowlist",
            allow,
            "--ignore-unused-allowlist",
        )
        == ""
    )


def test_a_user_sees_the_types(mypy: None, tmp_path: Path) -> None:
    program = tmp_path / "user.py"
    program.write_text(
        "import torch, ulmus\n"
        "loss = ulmus.ELM([3, 2], lam=0.5)\n"
        "reveal_type(loss(torch.zeros(1, 2), torch.zeros(1)))\n"
        "ulmus.ELM([3, 2], lamb=0.5)\n"
        "reveal_type(ulmus.read_run('x').results)\n"
    )
    said = run("mypy", "--strict", str(program))
    assert "user.py:4: error: Unexpected keyword argument" in said
    assert "list[dict[str, Any]]" in said


def test_the_classes_stub_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("make_stubs", HERE.parent / "make_stubs.py")
    assert spec and spec.loader
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (PACKAGE / "losses.pyi").read_text() == module.stub(), "run python make_stubs.py"
    assert (PACKAGE / "_class_names.py").read_text() == module.class_names(), "run python make_stubs.py"


def arguments(function: ast.FunctionDef) -> list[str]:
    return [argument.arg for argument in function.args.posonlyargs + function.args.args]


def test_the_stub_of_the_extension_has_its_functions_and_arguments() -> None:
    stub = ast.parse((PACKAGE / "_core.pyi").read_text())
    functions = {node.name: arguments(node) for node in stub.body if isinstance(node, ast.FunctionDef)}
    assert {*functions, "Loss"} == {name for name in dir(_core) if not name.startswith("_")}
    (loss,) = (node for node in stub.body if isinstance(node, ast.ClassDef))
    methods = {node.name for node in loss.body if isinstance(node, ast.FunctionDef)}
    assert methods == {name for name in dir(_core.Loss) if not name.startswith("_")} | {"__init__"}
    for name, names in functions.items():
        (signature, *_) = getattr(_core, name).__nb_signature__[0]
        came = ast.parse(re.sub(r"ndarray\[[^\]]*\]", "Any", signature) + ": ...").body[0]
        assert isinstance(came, ast.FunctionDef)
        assert len(arguments(came)) == len(names)
        if not any(argument.startswith("arg") for argument in arguments(came)):
            assert arguments(came) == names
