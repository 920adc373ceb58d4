"""Writes src/ulmus/losses.pyi, the classes that losses.py generates from the definitions, for type checkers and
editors, and src/ulmus/_class_names.py, their names for `import ulmus`, which does not load the library.

python make_stubs.py
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path

from ulmus import losses

HEAD = '''"""The losses of the family as classes with keyword arguments. Written by make_stubs.py."""

from collections.abc import Iterable
from typing import Any

from .loss import Loss, Reduction

__all__ = [
{names}
]
'''

NAMES = '''"""The names of the classes in losses.py. Written by make_stubs.py."""

CLASSES = [
{names}
]
'''

CLASS = """
class {name}(Loss):
    def __init__(
        self,
{parameters}
    ) -> None: ...
"""


def parameter_text(parameter: inspect.Parameter) -> str:
    text = f"        {parameter.name}: {parameter.annotation}"
    default = parameter.default
    if default is inspect.Parameter.empty:
        return text
    return f"{text} = {json.dumps(default) if isinstance(default, str) else repr(default)}"


def class_names() -> str:
    return NAMES.format(names="\n".join(f'    "{name}",' for name in losses.__all__))


def stub() -> str:
    text = HEAD.format(names="\n".join(f'    "{name}",' for name in losses.__all__))
    for name in losses.__all__:
        parameters = list(inspect.signature(getattr(losses, name).__init__).parameters.values())[1:]
        lines = [parameter_text(parameters[0]), "        *", *map(parameter_text, parameters[1:])]
        text += CLASS.format(name=name, parameters=",\n".join(lines) + ",")
    return text


if __name__ == "__main__":
    package = Path(__file__).parent / "src" / "ulmus"
    (package / "losses.pyi").write_text(stub())
    (package / "_class_names.py").write_text(class_names())
