"""Several processes: gradients under DDP, and samplers that find their rank."""

from __future__ import annotations

import os
import socket
from pathlib import Path

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
    """A model with its loss inside, as some projects have it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(20, 10)
        self.loss = ulmus.Loss("elm:lambda=0.5+drw", COUNTS, reduction="mean")

    def forward(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = self.loss(self.linear(inputs), labels)
        return value


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
    sampler = ulmus.ClassSampler([0] * 50 + [1] * 5, "balanced", seed=1)
    stateful = ulmus.Loss("loce", COUNTS)
    stateful(inputs[rank::2, :10], labels[rank::2])
    if rank == 0:
        torch.save(stateful.state_dict()["state"], f"{out}/state.pt")
    torch.save((model.module.linear.weight.grad, list(sampler)), f"{out}/{rank}.pt")
    del model  # before its group: PyTorch 1.13 waits forever otherwise
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
