"""Reads run folders of ``ulmus train`` and ``ulmus compare`` into plain dictionaries."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    import pandas

__all__ = ["Run", "read_run", "read_safetensors_header"]

_SPLIT_VERSION, _RESULT_VERSION, _SUMMARY_VERSION = 1, 2, 1  # schema versions


@dataclasses.dataclass(frozen=True)
class Run:
    """A run folder: the content of its files."""

    path: Path
    config: dict[str, Any]  #: every option, ``config.toml``
    split: dict[str, Any]  #: the selected images, ``split.json``
    epochs: list[dict[str, Any]]  #: one per loss, seed and epoch, ``metrics.jsonl``
    results: list[dict[str, Any]]  #: one per finished loss and seed, ``results/*.json``, in the run's order
    summary: dict[str, Any] | None  #: ``summary.json``, once the run is finished

    def frame(self, part: str = "test") -> pandas.DataFrame:
        """Returns the results on ``"test"``, ``"validation"`` or ``"train"`` as a DataFrame with a row per loss and
        seed and a column per number. ``part="epochs"``: a row per loss, seed and epoch."""
        import pandas

        if part == "epochs":
            return pandas.json_normalize(self.epochs)
        if part not in ("test", "validation", "train"):
            raise ValueError(f"unknown part {part!r}; choose one of test, validation, train, epochs")
        names = ("loss", "seed", "epochs", "model", "head", "scale", "parameters", "seconds")
        rows = []
        for result in self.results:
            judged = result[part] or {}
            numbers = {
                name: value for name, value in judged.items() if isinstance(value, (int, float)) or value is None
            }
            rows.append({name: result[name] for name in names} | numbers)
        return pandas.DataFrame(rows)


def read_run(folder: str | os.PathLike[str]) -> Run:
    """Reads a run folder, finished or not.

    >>> run = ulmus.read_run("runs/first")
    >>> run.frame()[["loss", "seed", "balanced_accuracy"]]

    Raises ``ValueError``, naming the file, if the folder is not a run folder or a file is damaged or has another schema
    version.
    """
    path = Path(folder)
    if not path.is_dir():
        raise ValueError(f"run folder '{path}' does not exist; give the --out folder of a run")
    if not (path / "split.json").exists():
        raise ValueError(f"'{path}' is not a run folder, it has no split.json; give the --out folder of a run")
    results = [_read_json(file, _RESULT_VERSION) for file in sorted((path / "results").glob("*.json"))]
    results.sort(key=lambda result: (result["order"], result["loss"], result["seed"]))
    summary = path / "summary.json"
    return Run(
        path=path,
        config=_read_config(path / "config.toml"),
        split=_read_json(path / "split.json", _SPLIT_VERSION),
        epochs=_read_epochs(path / "metrics.jsonl"),
        results=results,
        summary=_read_json(summary, _SUMMARY_VERSION) if summary.exists() else None,
    )


def _damaged(path: Path, reason: object) -> ValueError:
    return ValueError(f"'{path}' is damaged: {reason}; restore the file or run again")


def _read_json(path: Path, schema_version: int) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _damaged(path, error) from None
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != schema_version:
        raise ValueError(
            f"'{path}' has schema version {version}, this package reads {schema_version}; use the release of Ulmus "
            "that wrote it"
        )
    result: dict[str, Any] = content
    return result


def _read_config(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _damaged(path, error) from None


def _last_object(line: str) -> dict[str, Any] | None:
    """Returns the JSON object at the end of a line. After a crash an incomplete line may precede it."""
    start = line.find("{")
    while start >= 0:
        try:
            content = json.loads(line[start:])
        except ValueError:
            content = None
        if isinstance(content, dict) and "loss" in content:
            return content
        start = line.find("{", start + 1)
    return None


def _read_epochs(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    losses: dict[str, int] = {}
    records: dict[tuple[int, int, int], dict[str, Any]] = {}
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, start=1):
        record = _last_object(line)
        if record is None:
            if line and number < len(lines):
                raise _damaged(path, f"line {number} is not a JSON object")
            continue
        order = losses.setdefault(record["loss"], len(losses))
        records[order, record["seed"], record["epoch"]] = record
    return [records[key] for key in sorted(records)]


def read_safetensors_header(path: Path) -> tuple[dict[str, Any], int]:
    """Returns the header of a safetensors file and the offset of its data. Does not execute anything in the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise _damaged(path, "its header is longer than the file")
        try:
            header = json.loads(file.read(length))
        except ValueError as error:
            raise _damaged(path, error) from None
    if not isinstance(header, dict):
        raise _damaged(path, "its header is not a JSON object")
    return header, 8 + length
