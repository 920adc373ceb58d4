"""Writes the golden vectors of this folder: losses and gradients in 50 digits, from an expression that shares no code with the
library. A case says all that a test needs, so a new file needs no new test.

python tests/golden/make.py
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from decimal import Decimal, getcontext
from pathlib import Path

getcontext().prec = 50
Number = Decimal
#: The loss of one sample from its logits, its label and the samples of each class.
Expression = Callable[[list[Number], int, list[int]], Number]


def log_softmax(u: list[Number]) -> list[Number]:
    largest = max(u)
    log_sum = largest + sum(((x - largest).exp() for x in u), Number(0)).ln()
    return [x - log_sum for x in u]


def smoothed(u: list[Number], y: int, s: Number) -> Number:
    """Cross entropy with the target (1 - s) [j = y] + s / C."""
    log_p = log_softmax(u)
    return -(1 - s) * log_p[y] - s * sum(log_p) / len(u)


def lowered(z: list[Number], y: int, by: Number) -> list[Number]:
    return [x - by if j == y else x for j, x in enumerate(z)]


def ldam_margin(n: list[int], y: int, largest: Number) -> Number:
    return largest * (Number(min(n)) / n[y]).sqrt().sqrt()


D = Number
FILES: dict[str, dict[str, Expression]] = {
    "smoothing": {
        "ce:smoothing=0.1": lambda z, y, n: smoothed(z, y, D("0.1")),
        "ce:scale=2,smoothing=1": lambda z, y, n: smoothed([2 * x for x in z], y, D(1)),
        "bs:smoothing=0.3": lambda z, y, n: smoothed([x + D(k).ln() for x, k in zip(z, n)], y, D("0.3")),
        "la:tau=1.5,smoothing=0.2": lambda z, y, n: smoothed(
            [x + D("1.5") * (D(k) / sum(n)).ln() for x, k in zip(z, n)], y, D("0.2")
        ),
        "ldam:scale=5,smoothing=0.2": lambda z, y, n: smoothed(
            [5 * x for x in lowered(z, y, ldam_margin(n, y, D("0.5")))], y, D("0.2")
        ),
        "cosface:margin=0.4,scale=4,smoothing=0.25": lambda z, y, n: smoothed(
            [4 * x for x in lowered(z, y, D("0.4"))], y, D("0.25")
        ),
    },
    "los": {
        "los": lambda z, y, n: smoothed(z, y, D("0.98")),
        "los:smoothing=0.99,scale=3": lambda z, y, n: smoothed([3 * x for x in z], y, D("0.99")),
    },
}


def derivative(function: Callable[[Number], Number], at: Number) -> Number:
    """By central differences: with 50 digits some 30 of them are right."""
    step = Number("1e-15")
    return (function(at + step) - function(at - step)) / (2 * step)


def case(spec: str, expression: Expression, seed: str) -> dict[str, object]:
    stream = random.Random(f"{spec} {seed}")
    rows, counts = 6, [400, 90, 17, 3]
    logits = [[round(stream.gauss(0, 1), 3) for _ in counts] for _ in range(rows)]
    labels = [stream.randrange(len(counts)) for _ in range(rows)]
    exact = [[Number(str(x)) for x in row] for row in logits]
    losses = [expression(row, y, counts) for row, y in zip(exact, labels)]
    gradient = [
        [
            derivative(lambda x: expression([*row[:j], x, *row[j + 1 :]], y, counts), row[j]) / rows
            for j in range(len(row))
        ]
        for row, y in zip(exact, labels)
    ]
    return {
        "spec": spec,
        "counts": counts,
        "logits": logits,
        "labels": labels,
        "losses": [float(x) for x in losses],
        "mean": float(sum(losses) / rows),
        "mean_gradient": [[float(x) for x in row] for row in gradient],
    }


if __name__ == "__main__":
    for name, expressions in FILES.items():
        cases = [case(spec, expression, seed) for spec, expression in expressions.items() for seed in "ab"]
        lines = ",\n".join(map(json.dumps, cases))
        (Path(__file__).parent / f"{name}.json").write_text(f'{{"cases": [\n{lines}\n]}}\n')
