"""Several processes: gradients under DDP, and samplers that detect their rank."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

import ulmus

from .conftest import long_tail

COUNTS = long_tail(10)
pytestmark = pytest.mark.skipif(
    not (
        dist.is_available() and dist.is_gloo_available() if hasattr(dist, "is_gloo_available") else dist.is_available()
    ),
    reason="this PyTorch has no process groups",
)


class Trained(torch.nn.Module):
    """A model that contains its loss, as in some projects."""

    def __init__(self, loss: str = "elm:lambda=0.5+drw", **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(20, 10)
        self.loss = ulmus.Loss(loss, COUNTS, **options)

    def forward(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = self.loss(self.linear(inputs), labels)
        return value


#: Losses and options whose means over two unequal parts are compared with the mean over both.
DIVIDED: list[tuple[str, dict[str, Any]]] = [
    ("elm:lambda=0.5+drw", {}),
    ("elm:lambda=0.5+drw", {"reduction": "mean"}),
    ("ce+inverse", {"ignore_index": 3}),
    ("focal+cb", {"label_smoothing": 0.1}),
    ("seesaw", {}),
    ("ce+inverse", {"soft": True}),
]


def target_of(labels: torch.Tensor, soft: bool) -> torch.Tensor:
    return (0.75 * torch.eye(10) + 0.25 * torch.eye(10).roll(1, 0))[labels] if soft else labels


def gradient_of(part: slice, loss: str, options: dict[str, Any], wrap: Any, **more: Any) -> torch.Tensor:
    """Returns the gradient of a model for a part of the batch."""
    options = dict(options)
    soft = options.pop("soft", False)
    model = wrap(Trained(loss, **options, **more))
    getattr(model, "module", model).loss.set_epoch(9, 10)
    inputs, labels = batch()
    model(inputs[part], target_of(labels[part], soft)).backward()
    gradient: torch.Tensor = getattr(model, "module", model).linear.weight.grad
    return gradient


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(64, 20, generator=generator), torch.randint(10, (64,), generator=generator)


def work(rank: int, port: int, out: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=2)
    model = torch.nn.parallel.DistributedDataParallel(Trained())
    model.module.loss.set_epoch(9, 10)
    inputs, labels = batch()
    model(inputs[rank::2], labels[rank::2]).backward()
    parts = [slice(0, 50), slice(50, 64)]
    wrap = torch.nn.parallel.DistributedDataParallel
    divided = [gradient_of(parts[rank], loss, options, wrap) for loss, options in DIVIDED]
    alone = gradient_of(parts[rank], "elm:lambda=0.5+drw", {}, wrap, sync_divisor=False)
    torch.save((divided, alone), f"{out}/divided{rank}.pt")
    sampler = ulmus.ClassSampler([0] * 50 + [1] * 5, "balanced", seed=1)
    stateful = ulmus.Loss("loce", COUNTS)
    stateful(inputs[rank::2, :10], labels[rank::2])
    if rank == 0:
        torch.save(stateful.state_dict()["state"], f"{out}/state.pt")
    torch.save((model.module.linear.weight.grad, list(sampler)), f"{out}/{rank}.pt")
    del model  # before its process group; otherwise PyTorch 1.13 waits forever
    dist.destroy_process_group()


def test_two_processes_are_one(tmp_path: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    mp.spawn(work, (port, str(tmp_path)), nprocs=2)
    alone = Trained()
    alone.loss.set_epoch(9, 10)
    alone(*batch()).backward()
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for gradient, _ in parts:
        torch.testing.assert_close(gradient, alone.linear.weight.grad)
    stateful = ulmus.Loss("loce", COUNTS)
    inputs, labels = batch()
    stateful(inputs[:, :10], labels)
    torch.testing.assert_close(torch.load(tmp_path / "state.pt"), stateful.state_dict()["state"])
    together = [index for turn in zip(*(drawn for _, drawn in parts)) for index in turn]
    assert together[:55] == list(ulmus.ClassSampler([0] * 50 + [1] * 5, "balanced", seed=1))
    for rank in range(2):
        divided, unsynchronised = torch.load(tmp_path / f"divided{rank}.pt")
        for (loss, options), gradient in zip(DIVIDED, divided):
            expected = gradient_of(slice(0, 64), loss, options, lambda model: model)
            torch.testing.assert_close(gradient, expected, msg=f"{loss} {options} of rank {rank}")
        whole = gradient_of(slice(0, 64), "elm:lambda=0.5+drw", {}, lambda model: model)
        assert (unsynchronised - whole).norm() > 0.05 * whole.norm()
