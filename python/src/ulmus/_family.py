"""The family's table: names, words and keys of every loss and weight rule, as the C++ library has them."""

from __future__ import annotations

import functools
import json
import operator
import re
from collections.abc import Iterable, Mapping, Set
from typing import Any

from . import _core


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


def loss_name(text: str) -> str:
    """``elm`` of ``elm:lambda=0.5+drw``."""
    return text.partition("+")[0].partition(":")[0]


def rule_name(text: str) -> str | None:
    """``drw`` of ``elm:lambda=0.5+drw:from=0.9``, ``weights`` of ``ce+weights=FILE``."""
    rule = re.split("[:=]", text.partition("+")[2], maxsplit=1)[0]
    return rule or None


def whole_numbers(values: Any, what: str) -> list[int]:
    """Whole numbers from a list, an array or a tensor, by position."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes, Set, Mapping)):
        raise TypeError(f"the {what}s are {values!r}, expected a sequence of whole numbers, one for each class")
    return [_whole_number(value, f"the {what} at position {position}") for position, value in enumerate(values)]


def _whole_number(value: Any, which: str) -> int:
    try:
        return int(value) if isinstance(value, float) and value.is_integer() else operator.index(value)
    except TypeError:
        raise TypeError(f"{which} is {value!r}, expected a whole number") from None


def _items(values: Any) -> list[tuple[Any, Any]] | None:
    """The pairs of a mapping or of pandas' series; None for what has no keys."""
    if isinstance(values, Mapping):
        return list(values.items())
    if hasattr(values, "index") and hasattr(values, "items") and hasattr(values, "tolist"):
        return list(zip(values.index.tolist(), values.tolist()))
    return None


def _by_class(items: list[tuple[Any, Any]], what: str) -> dict[int, Any]:
    result: dict[int, Any] = {}
    for key, value in items:
        if isinstance(key, bool) or not isinstance(key, (int, float)) and not hasattr(key, "__index__"):
            raise ValueError(
                f"the {what} are by name ({key!r}), not by class 0, 1, ...; give them in the order of your "
                "class names: [counts[name] for name in class_names]"
            )
        number = _whole_number(key, f"a class of the {what}")
        if number < 0 or number in result:
            raise ValueError(
                f"class {number} of the {what} is {'negative' if number < 0 else 'there twice'}, expected 0, 1, ..."
            )
        result[number] = value
    return result


def class_counts(values: Any) -> list[int]:
    """Samples of each class: a sequence in the order of the classes, or a mapping (Counter, dict, pandas' value_counts)
    whose keys are the classes; one that is missing has none."""
    items = _items(values)
    if items is None:
        return whole_numbers(values, "class count")
    counts = _by_class(items, "class counts")
    classes = max(counts, default=-1) + 1
    if classes > 1_000_000 + 100 * len(counts):
        raise ValueError(f"class {classes - 1} of the class counts is beyond all others, expected classes 0, 1, 2, ...")
    return [_whole_number(counts.get(j, 0), f"the count of class {j}") for j in range(classes)]


def class_weights(values: Any, classes: int, what: str = "class weights") -> list[float]:
    """A number of each class; a mapping is by class number and has them all."""
    items = _items(values)
    if items is not None:
        known = _by_class(items, what)
        missing = [j for j in range(classes) if j not in known]
        if missing or len(known) != classes:
            extra = next((j for j in known if j >= classes), None)
            wrong = f"have none of class {missing[0]}" if missing else f"have a class {extra}"
            raise ValueError(f"the {what} {wrong}, expected one for each of {classes} classes")
        values = [known[j] for j in range(classes)]
    if hasattr(values, "tolist"):
        values = values.tolist()
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes, Set)):
        raise TypeError(f"the {what} are {values!r}, expected a number for each of {classes} classes")
    numbers = [float(value) for value in values]
    if len(numbers) != classes:
        raise ValueError(f"{len(numbers)} {what} came, expected one for each of {classes} classes")
    return numbers


def refuse_sampling_rule(text: str) -> None:
    """A rule that draws samples does nothing in a loss."""
    rule = rule_name(text)
    if rule and table()["rules"][rule]["resamples"]:
        sampler = "drs" if rule == "drs" else "balanced"
        raise ValueError(
            f"the rule '{rule}' in '{text}' draws samples, which a loss cannot: use '{text.partition('+')[0]}' and "
            f"ulmus.ClassSampler(labels, '{sampler}') in the loader"
        )


def number_text(value: Any) -> str:
    """A key's value as a spec has it: the shortest text that reads back as the same number."""
    return value if isinstance(value, str) else repr(float(value))


def nearest(word: str, candidates: Iterable[str]) -> str:
    """``did you mean 'lam'?`` or ``choose one of ...``, as the C++ library says it."""
    return str(_core.suggest(word, list(candidates)))
