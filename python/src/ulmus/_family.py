"""The family's table: names, words and keys of every loss and weight rule, as the C++ library has them."""

from __future__ import annotations

import functools
import json
import operator
from collections.abc import Iterable
from typing import Any

from . import _core

#: Names of the Python classes; a loss that is not here is reached by ``ulmus.Loss("name", ...)``.
CLASS_NAMES = {
    "ce": "CE",
    "ldam": "LDAM",
    "elm": "ELM",
    "bs": "BS",
    "la": "LA",
    "vs": "VS",
    "cdt": "CDT",
    "focal": "Focal",
    "poly1": "Poly1",
    "cb": "CB",
    "gr": "GR",
    "mm": "MM",
    "ala": "ALA",
    "dbm": "DBM",
    "kps": "KPS",
    "gcl": "GCL",
    "lade": "LADE",
    "ib": "IB",
    "ib-focal": "IBFocal",
    "seesaw": "Seesaw",
    "eql": "EQL",
    "loce": "LOCE",
    "fce": "FCE",
    "lafce": "LAFCE",
    "las": "LAS",
    "logitnorm": "LogitNorm",
    "lm-softmax": "LMSoftmax",
    "arcface": "ArcFace",
    "cosface": "CosFace",
    "sphereface": "SphereFace",
    "dro-lt": "DROLT",
    "lmd": "LMD",
    "tam": "TAM",
}


@functools.cache
def table() -> dict[str, dict[str, dict[str, Any]]]:
    """``{"losses": {name: entry}, "rules": {name: entry}}``."""
    family = json.loads(_core.family_json())
    return {part: {entry["name"]: entry for entry in entries} for part, entries in family.items()}


def argument_name(key: str) -> str:
    """The keyword argument of a key: ``lambda`` and ``from`` are words of Python's, so they
    are ``lam`` and ``start``; a dash becomes an underscore."""
    return {"lambda": "lam", "from": "start"}.get(key, key.replace("-", "_"))


def key_values(text: str) -> dict[str, Any]:
    """Every key of the loss in a canonical text, with its value, defaults filled in."""
    name, _, settings = text.partition("+")[0].partition(":")
    values = {key["name"]: key["default"] for key in table()["losses"][name]["keys"]}
    for setting in settings.split(",") if settings else []:
        key, _, value = setting.partition("=")
        values[key] = value if isinstance(values[key], str) else float(value)
    return values


def member_name(text: str) -> str:
    """``elm`` of ``elm:lambda=0.5+drw``."""
    return text.partition("+")[0].partition(":")[0]


def rule_name(text: str) -> str | None:
    """``drw`` of ``elm:lambda=0.5+drw:from=0.9``."""
    rule = text.partition("+")[2].partition(":")[0]
    return rule or None


def whole_numbers(values: Iterable[Any], what: str) -> list[int]:
    """Whole numbers from a list, an array or a tensor."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes)):
        raise TypeError(f"the {what}s are {values!r}, expected a sequence of whole numbers, one for each class")
    numbers = []
    for position, value in enumerate(values):
        try:
            numbers.append(int(value) if isinstance(value, float) and value.is_integer() else operator.index(value))
        except TypeError:
            message = f"the {what} at position {position} is {value!r}, expected a whole number"
            raise TypeError(message) from None
    return numbers


def number_text(value: Any) -> str:
    """A key's value as a spec has it: the shortest text that reads back as the same number."""
    return value if isinstance(value, str) else repr(float(value))


def nearest(word: str, candidates: Iterable[str]) -> str:
    """``did you mean 'lam'?`` or ``choose one of ...``, as the C++ library says it."""
    return str(_core.suggest(word, list(candidates)))
