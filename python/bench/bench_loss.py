"""Times forward and backward of the loss from Python, compared with PyTorch's cross entropy and the ELM loss composed
of PyTorch operations.

    python bench/bench_loss.py [--rounds 15] [--json]

The contenders of a size take turns in an order that changes every round. A round times each contender over a block of
calls of at least 0.1 s, after warm-up calls. The median over the rounds is reported; ratios are medians of the ratios
within a round.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

import ulmus

SIZES = [(128, 10), (256, 1000), (4096, 8142)]
BLOCK_SECONDS = 0.1


def contenders(rows: int, classes: int) -> dict[str, Callable[[], None]]:
    counts = [max(1, int(5000 * 100 ** (-j / (classes - 1)))) for j in range(classes)]
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(rows, classes, generator=generator).requires_grad_()
    labels = torch.randint(classes, (rows,), generator=generator)
    elm, ce = ulmus.Loss("elm:lambda=0.5", counts), ulmus.Loss("ce", counts)

    def step(loss: Callable[[], torch.Tensor]) -> Callable[[], None]:
        def run() -> None:
            logits.grad = None
            loss().backward()

        return run

    return {
        "ulmus elm": step(lambda: elm(logits, labels)),
        "ulmus ce": step(lambda: ce(logits, labels)),
        "torch cross_entropy": step(lambda: F.cross_entropy(logits, labels)),
        "composed elm": step(lambda: ulmus.composed_loss(elm, logits, labels)),
    }


def seconds_of(run: Callable[[], None], calls: int) -> float:
    begin = time.perf_counter()
    for _ in range(calls):
        run()
    return time.perf_counter() - begin


def measure(rows: int, classes: int, rounds: int) -> dict[str, list[float]]:
    runs = contenders(rows, classes)
    calls = dict.fromkeys(runs, 1)
    for name, run in runs.items():
        while seconds_of(run, calls[name]) < BLOCK_SECONDS:
            calls[name] *= 2
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds):
        order = list(runs)
        random.Random(turn).shuffle(order)
        for name in order:
            seconds_of(runs[name], max(2, calls[name] // 8))  # warm-up after the previous contender
            times[name].append(seconds_of(runs[name], calls[name]) / calls[name])
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true", help="a record a line")
    options = parser.parse_args()
    if not options.json:
        print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, f32, microseconds forward and backward")
        print("| N x C | ulmus elm | ulmus ce | torch ce | composed elm | elm against torch | elm against composed |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for rows, classes in SIZES:
        times = measure(rows, classes, options.rounds)
        median = {name: statistics.median(values) * 1e6 for name, values in times.items()}
        faster = {
            peer: statistics.median(theirs / ours for ours, theirs in zip(times["ulmus elm"], times[peer]))
            for peer in ("torch cross_entropy", "composed elm")
        }
        if options.json:
            print(
                json.dumps({"rows": rows, "classes": classes, "microseconds": median, "elm_times_faster_than": faster})
            )
        else:
            numbers = " | ".join(f"{value:,.1f}" for value in median.values())
            ratios = f"{faster['torch cross_entropy']:.1f}x | {faster['composed elm']:.1f}x"
            print(f"| {rows} x {classes} | {numbers} | {ratios} |")


if __name__ == "__main__":
    main()
