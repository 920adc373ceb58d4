"""The table of the loss family: names, descriptions and keys of every loss and weight rule, from the C++ library."""

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
    """Returns ``{"losses": {name: entry}, "rules": {name: entry}}``."""
    family = json.loads(_core.family_json())
    return {part: {entry["name"]: entry for entry in entries} for part, entries in family.items()}


def argument_name(key: str) -> str:
    """Returns the keyword argument of a key. ``lambda`` and ``from`` are Python keywords and become ``lam`` and
    ``start``; a dash becomes an underscore."""
    return {"lambda": "lam", "from": "start"}.get(key, key.replace("-", "_"))


def key_values(text: str) -> dict[str, Any]:
    """Returns the value of every key of the loss in a canonical text, including defaults."""
    name, _, settings = text.partition("+")[0].partition(":")
    values = {key["name"]: key["default"] for key in table()["losses"][name]["keys"]}
    for setting in settings.split(",") if settings else []:
        key, _, value = setting.partition("=")
        values[key] = value if isinstance(values[key], str) else float(value)
    return values


def loss_name(text: str) -> str:
    """Returns the name of the loss, such as ``elm`` for ``elm:lambda=0.5+drw``."""
    return text.partition("+")[0].partition(":")[0]


def rule_name(text: str) -> str | None:
    """Returns the name of the rule, such as ``drw`` for ``elm:lambda=0.5+drw:from=0.9`` or ``weights`` for
    ``ce+weights=FILE``; None if there is no rule."""
    rule = re.split("[:=]", text.partition("+")[2], maxsplit=1)[0]
    return rule or None


def whole_numbers(values: Any, what: str) -> list[int]:
    """Converts a list, an array or a tensor of whole numbers to a list of int."""
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
    """Returns the pairs of a mapping or a pandas Series; None for values without keys."""
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
    """Returns the number of samples of each class, from a sequence in the order of the classes or from a mapping
    (Counter, dict, pandas' value_counts) with the classes as keys; a missing class has 0 samples."""
    items = _items(values)
    if items is None:
        return whole_numbers(values, "class count")
    counts = _by_class(items, "class counts")
    classes = max(counts, default=-1) + 1
    if classes > 1_000_000 + 100 * len(counts):
        raise ValueError(f"class {classes - 1} of the class counts is beyond all others, expected classes 0, 1, 2, ...")
    return [_whole_number(counts.get(j, 0), f"the count of class {j}") for j in range(classes)]


def class_weights(values: Any, classes: int, what: str = "class weights") -> list[float]:
    """Returns one number per class. A mapping has the class numbers as keys and must contain every class."""
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
    """Raises ValueError for a rule that draws samples: such a rule has no effect in a loss."""
    rule = rule_name(text)
    if rule and table()["rules"][rule]["resamples"]:
        sampler = "drs" if rule == "drs" else "balanced"
        raise ValueError(
            f"the rule '{rule}' in '{text}' draws samples, which a loss cannot: use '{text.partition('+')[0]}' and "
            f"ulmus.ClassSampler(labels, '{sampler}') in the loader"
        )


def number_text(value: Any) -> str:
    """Returns the value of a key as it is written in a spec: the shortest text that reads back as the same number."""
    return value if isinstance(value, str) else repr(float(value))


def nearest(word: str, candidates: Iterable[str]) -> str:
    """Returns ``did you mean 'lam'?`` or ``choose one of ...``, in the wording of the C++ library."""
    return str(_core.suggest(word, list(candidates)))
