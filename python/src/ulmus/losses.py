"""The losses of the family as classes with keyword arguments, generated from their definitions."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from . import _family
from .loss import Loss, Reduction


def _make_class(entry: dict[str, Any]) -> type[Loss]:
    keys = {_family.argument_name(key["name"]): key for key in entry["keys"]}

    def __init__(
        self: Loss,
        class_counts: Iterable[Any],
        *,
        rule: str | None = None,
        weight: Any = None,
        reduction: Reduction | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        seed: int = 0,
        sync_divisor: bool = True,
        **values: Any,
    ) -> None:
        for argument in values:
            if argument not in keys:
                words = _family.nearest(argument, keys) if keys else "it has none"
                raise TypeError(f"unknown key of {entry['name']} '{argument}'; {words}")
        settings = [f"{keys[name]['name']}={_family.number_text(value)}" for name, value in values.items()]
        text = ":".join([entry["name"], ",".join(settings)]) if settings else entry["name"]
        Loss.__init__(
            self,
            f"{text}+{rule}" if rule else text,
            class_counts,
            weight=weight,
            reduction=reduction,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
            seed=seed,
            sync_divisor=sync_divisor,
        )

    def keyword(name: str, default: Any, kind: str) -> inspect.Parameter:
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)

    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [
        inspect.Parameter("self", positional),
        inspect.Parameter("class_counts", positional, annotation="Iterable[Any]"),
        *(keyword(name, key["default"], "str" if key["choices"] else "float") for name, key in keys.items()),
        keyword("rule", None, "str | None"),
        keyword("weight", None, "Any"),
        keyword("reduction", None, "Reduction | None"),
        keyword("ignore_index", -100, "int"),
        keyword("label_smoothing", 0.0, "float"),
        keyword("seed", 0, "int"),
        keyword("sync_divisor", True, "bool"),
    ]
    __init__.__signature__ = inspect.Signature(parameters, return_annotation="None")  # type: ignore[attr-defined]

    arguments = [
        f"    {name}: {key['meaning']}; {key['range'] or ', '.join(key['choices'])}. Default {key['default']}"
        + (f" ({key['source']})." if key["source"] else ".")
        for name, key in keys.items()
    ]
    parts = [
        f"{entry['title'][0].upper()}{entry['title'][1:]}.",
        f"    {entry['equation']}",
        entry["paper"],
        entry["advice"],
        entry["pitfalls"],
        "Args:",
        "    class_counts: training samples of each class, ``[C]``.\n" + "\n".join(arguments),
        "    rule: a weight rule, such as ``drw`` or ``cb:beta=0.999``.",
        "The rest is as for :class:`ulmus.Loss`.",
    ]
    namespace = {"__init__": __init__, "__doc__": "\n\n".join(part for part in parts if part), "__module__": __name__}
    return type(entry["class_name"], (Loss,), namespace)


for _entry in _family.table()["losses"].values():
    globals()[_entry["class_name"]] = _make_class(_entry)

__all__ = [_entry["class_name"] for _entry in _family.table()["losses"].values()]
