#!/usr/bin/env python3
"""Prints the balanced accuracy of the runs of script/study-trees and of other libraries on the same rows.

The other libraries are trained on the training and validation parts together, because they choose nothing on the
validation part.
"""

import csv
import json
import statistics
import sys
from pathlib import Path

try:
    import numpy as np
    from lightgbm import LGBMClassifier
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import balanced_accuracy_score
except ImportError as error:
    np = None
    print(f"study-trees: no other libraries, {error}", file=sys.stderr)

SPLITS = 3


def number(cell):
    return np.nan if cell in ("", "?", "NA") else float(cell)


def read_table(path):
    """Returns the cells of all columns except `label` as numbers, and the labels."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    columns = [name for name in rows[0] if name != "label"]
    cells = np.array([[number(row[name]) for name in columns] for row in rows])
    return cells, np.array([row["label"] for row in rows])


def peers():
    # The same number of trees and the same step size, each with its other defaults.
    return {
        "hist. boosting": HistGradientBoostingClassifier(class_weight="balanced", early_stopping=False, random_state=0),
        "LightGBM": LGBMClassifier(class_weight="balanced", random_state=0, n_jobs=1, verbose=-1),
    }


def scores_of(out, table):
    scores = {}
    cells, labels = read_table(table) if np is not None else (None, None)
    for split in range(SPLITS):
        run = out / f"{Path(table).stem}-{split}"
        for path in sorted((run / "results").glob("*.json")):
            result = json.loads(path.read_text())
            scores.setdefault(result["loss"], []).append(result["test"]["balanced_accuracy"])
        if np is None:
            continue
        parts = json.loads((run / "split.json").read_text())
        train, test = parts["train"] + parts["validation"], parts["test"]
        for name, peer in peers().items():
            predicted = peer.fit(cells[train], labels[train]).predict(cells[test])
            scores.setdefault(name, []).append(balanced_accuracy_score(labels[test], predicted))
    return scores


def main():
    out, tables = Path(sys.argv[1]), sys.argv[2:]
    rows = {table: scores_of(out, table) for table in tables}
    names = list(next(iter(rows.values())))
    print("| table | " + " | ".join(names) + " |")
    print("| --- |" + " ---: |" * len(names))
    for table, scores in rows.items():
        best = max(statistics.mean(scores[name]) for name in names)
        cells = []
        for name in names:
            mean, low, high = statistics.mean(scores[name]), min(scores[name]), max(scores[name])
            text = f"{100 * mean:.1f}"
            cells.append((f"**{text}**" if mean == best else text) + f" ({100 * low:.1f} to {100 * high:.1f})")
        print(f"| {Path(table).stem} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
