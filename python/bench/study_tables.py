"""Compares the balanced accuracy of boosted trees with our objectives, corrected priors and MarginClassifier with their
peers.

python bench/study_tables.py OUT DATA [--sets mammography,pc4] [--models lightgbm,lightgbm:bs] [--seeds 5]

DATA is a folder of CSV files whose last column is the label. For each seed, another stratified 30 % of a set is the
test part. Nothing is tuned: every model has its library's defaults (100 trees) and one thread. OUT/results.csv has a
line for each fit; fits that it contains are not repeated. OUT/table.md has means, half of their 95 % intervals
(Student's t over the seeds), and paired differences from --against.

Models: logistic, hist, forest, lightgbm, xgboost (peers with class_weight balanced), lightgbm-plain, xgboost-plain,
NAME-corrected (PriorCorrectedClassifier around NAME-plain), lightgbm:LOSS, xgboost:LOSS (our objective), margin.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import scipy.stats
import xgboost
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, balanced_accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

import ulmus
from ulmus.sklearn import MarginClassifier, PriorCorrectedClassifier

FIELDS = ["set", "model", "seed", "balanced_accuracy", "average_precision", "seconds"]
PEERS = ["logistic", "hist", "lightgbm", "forest", "xgboost"]
OBJECTIVES = ["lightgbm:bs", "lightgbm:ce+inverse", "lightgbm:la:tau=0.5", "lightgbm:ldam", "lightgbm:elm:lambda=0.5"]
MODELS = [*PEERS, "lightgbm-plain", "lightgbm-corrected", *OBJECTIVES, "lightgbm:elm:lambda=0.5+inverse", "margin"]

#: Trains on (X, y, seed) and returns a function from X to probabilities of the classes 0, 1, ...
Trainer = Callable[[Any, Any, int], Callable[[Any], Any]]


def light(seed: int, **options: Any) -> lightgbm.LGBMClassifier:
    return lightgbm.LGBMClassifier(random_state=seed, n_jobs=1, verbose=-1, **options)


def extreme(seed: int, **options: Any) -> xgboost.XGBClassifier:
    return xgboost.XGBClassifier(random_state=seed, n_jobs=1, **options)


ESTIMATORS: dict[str, Callable[[int], Any]] = {
    "logistic": lambda seed: make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000)
    ),
    "hist": lambda seed: HistGradientBoostingClassifier(class_weight="balanced", random_state=seed),
    "forest": lambda seed: RandomForestClassifier(class_weight="balanced", random_state=seed, n_jobs=1),
    "lightgbm": lambda seed: light(seed, class_weight="balanced"),
    "lightgbm-plain": light,
    "lightgbm-corrected": lambda seed: PriorCorrectedClassifier(light(seed)),
    "xgboost-plain": extreme,
    "xgboost-corrected": lambda seed: PriorCorrectedClassifier(extreme(seed)),
    "margin": lambda seed: MarginClassifier(random_state=seed),
}


def trainer(name: str) -> Trainer:
    library, _, loss = name.partition(":")
    if loss:
        return lambda X, y, seed: with_objective(library, loss, X, y, seed)
    if name == "xgboost":
        return lambda X, y, seed: (
            extreme(seed).fit(X, y, sample_weight=compute_sample_weight("balanced", y)).predict_proba
        )
    if name not in ESTIMATORS:
        sys.exit(
            f"study-tables: unknown model '{name}', expected one of {', '.join(ESTIMATORS)}, xgboost, LIBRARY:LOSS"
        )
    return lambda X, y, seed: ESTIMATORS[name](seed).fit(X, y).predict_proba


def with_objective(library: str, loss: str, X: Any, y: Any, seed: int) -> Callable[[Any], Any]:
    objective = ulmus.objective(loss, np.bincount(y), library)  # type: ignore[call-overload]
    if library == "lightgbm":
        model = light(seed, objective=objective).fit(X, y)
        return lambda X_test: objective.probabilities(model.predict(X_test, raw_score=True))
    booster = extreme(seed, objective=objective).fit(X, y)
    return lambda X_test: objective.probabilities(booster.predict(X_test, output_margin=True))


def split(text: str) -> list[str]:
    """Splits a list of models; a part ``key=value`` belongs to the preceding loss, as in the program's ``--losses``."""
    names: list[str] = []
    for piece in text.split(","):
        key, equals, _ = piece.partition("=")
        if equals and ":" not in key and names:
            names[-1] += "," + piece
        else:
            names.append(piece)
    return names


def read(path: Path) -> tuple[Any, Any]:
    table = pd.read_csv(path)
    X = pd.get_dummies(table.iloc[:, :-1]).fillna(0).to_numpy(float)
    return X, np.unique(table.iloc[:, -1].astype(str), return_inverse=True)[1]


def done(path: Path) -> set[tuple[str, str, str]]:
    """Returns the fits that an earlier call has computed; removes a line that was cut off."""
    if not path.exists():
        return set()
    whole = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
    path.write_text("".join(whole))
    return {(row["set"], row["model"], row["seed"]) for row in csv.DictReader(whole)}


def interval(values: pd.Series) -> float:
    return (
        float(scipy.stats.t.ppf(0.975, len(values) - 1) * values.std() / np.sqrt(len(values)))
        if len(values) > 1
        else np.nan
    )


def cell(values: pd.Series, form: str) -> str:
    return f"{values.mean():{form}} ±{interval(values):.1f}" if len(values) > 1 else "–"


def table(title: str, models: list[str], rows: dict[str, list[str]]) -> str:
    text = f"{title}\n\n| set | {' | '.join(models)} |\n| --- |{' ---: |' * len(models)}\n"
    return text + "".join(f"| {name} | {' | '.join(cells)} |\n" for name, cells in rows.items()) + "\n"


def report(path: Path, against: str) -> str:
    frame = pd.read_csv(path)
    models = list(dict.fromkeys(frame["model"]))
    wide = 100 * frame.pivot_table(index=["set", "seed"], columns="model", values="balanced_accuracy")[models]
    of_sets = {name: of_set for name, of_set in wide.groupby(level="set", sort=False)}
    rows = {}
    for name, of_set in of_sets.items():
        best = of_set.mean().max()
        cells = [cell(of_set[model].dropna(), ".1f") for model in models]
        rows[name] = [f"**{text}**" if of_set[m].mean() == best else text for m, text in zip(models, cells)]
    text = table("Balanced accuracy, percent.", models, rows)
    if against in models:
        rows = {}
        for name, of_set in of_sets.items():
            differences = [(of_set[model] - of_set[against]).dropna() for model in models]
            rows[name] = [cell(values, "+.1f") for values in differences]
        text += table(f"Paired difference from {against}.", models, rows)
    seconds = frame.pivot_table(index="set", columns="model", values="seconds", sort=False)[models]
    return text + table(
        "Seconds of a fit, one thread.",
        models,
        {name: [f"{value:.2f}" for value in row] for name, row in zip(seconds.index, seconds.to_numpy())},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", help="names of files, without .csv; default: all")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--against", default="lightgbm")
    options = parser.parse_args()
    paths = sorted(options.data.glob("*.csv"))
    sets = [path.stem for path in paths] if options.sets is None else options.sets.split(",")
    missing = [name for name in sets if name not in {path.stem for path in paths}]
    if missing or not paths:
        sys.exit(f"study-tables: {options.data} has no {missing[0] if missing else '*'}.csv")
    models = [(name, trainer(name)) for name in split(options.models)]
    options.out.mkdir(parents=True, exist_ok=True)
    results = options.out / "results.csv"
    known = done(results)
    with results.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if not results.stat().st_size:
            writer.writeheader()
        for name in sets:
            X, y = read(options.data / f"{name}.csv")
            for seed in range(options.seeds):
                X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=seed, stratify=y)
                for model, train in models:
                    if (name, model, str(seed)) in known:
                        continue
                    begin = time.perf_counter()
                    predict = train(X_train, y_train, seed)
                    seconds = time.perf_counter() - begin
                    probabilities = predict(X_test)
                    score = balanced_accuracy_score(y_test, probabilities.argmax(axis=1))
                    precision = (
                        average_precision_score(y_test == y.max(), probabilities[:, -1]) if y.max() == 1 else np.nan
                    )
                    row = [name, model, seed, f"{score:.6f}", f"{precision:.6f}", f"{seconds:.3f}"]
                    writer.writerow(dict(zip(FIELDS, row)))
                    file.flush()
                    os.fsync(file.fileno())
                    print(*row, sep="\t", file=sys.stderr)
    text = report(results, options.against)
    (options.out / "table.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
