"""Tensors that are not on the CPU, tested with a simulated device because there may be no other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import torch.utils.backend_registration as backends
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

import ulmus
from ulmus import _family

DEVICE = torch.device("privateuseone:0")
pytestmark = [
    pytest.mark.skipif(
        not hasattr(backends, "_setup_privateuseone_for_python_backend"),
        reason="this PyTorch has no backends in Python",
    ),
    pytest.mark.filterwarnings("ignore:no fused kernel"),
]


@pytest.fixture(scope="module", autouse=True)
def backend() -> None:
    backends._setup_privateuseone_for_python_backend()


class Remote(Tensor):
    """A tensor that reports DEVICE as its device; its values are in `data_`, on the CPU."""

    data_: Tensor

    @staticmethod
    def __new__(cls, data: Tensor) -> Remote:
        made = Tensor._make_wrapper_subclass(cls, data.shape, data.stride(), dtype=data.dtype, device=DEVICE)
        made.data_ = data
        return made

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        raise AssertionError(f"{function} outside remote()")


class RemoteMode(TorchDispatchMode):
    """Simulates DEVICE for operations on its tensors and for tensors created there. Like a real device, it does not mix
    its tensors with the CPU's, except tensors without dimensions."""

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        keywords = dict(keywords or {})
        tensors = [value for value in tree_flatten((arguments, keywords))[0] if isinstance(value, Tensor)]
        is_remote = any(isinstance(tensor, Remote) for tensor in tensors)
        if "device" in keywords and keywords["device"] is not None:
            is_remote_result = torch.device(keywords["device"]).type == DEVICE.type
            keywords["device"] = torch.device("cpu")
        else:
            is_remote_result = is_remote
        if is_remote and any(not isinstance(tensor, Remote) and tensor.dim() for tensor in tensors):
            raise RuntimeError(f"{function} was given tensors on {DEVICE} and on cpu")
        inner = tree_map(lambda value: value.data_ if isinstance(value, Remote) else value, (arguments, keywords))
        result = function(*inner[0], **inner[1])
        if not is_remote_result:
            return result
        return tree_map(lambda value: Remote(value) if isinstance(value, Tensor) else value, result)


@contextmanager
def remote() -> Iterator[None]:
    with RemoteMode():
        yield


def to_remote(tensor: Tensor) -> Tensor:
    return Remote(tensor.detach().clone())


def test_the_device_refuses_tensors_of_another() -> None:
    with remote(), pytest.raises(RuntimeError, match="tensors on privateuseone:0 and on cpu"):
        to_remote(torch.zeros(3)) + torch.zeros(3)


@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", sorted(_family.table()["losses"]))
def test_every_loss_gives_the_numbers_of_the_cpu_on_another_device(name: str, train: bool) -> None:
    keys = [key["name"] for key in _family.table()["losses"][name]["keys"]]
    text = name + (":from=0" if "from" in keys else "")
    generator = torch.Generator().manual_seed(1)
    logits = 1.8 * torch.rand(24, 6, generator=generator, dtype=torch.float64) - 0.9
    labels = torch.randint(6, (24,), generator=generator)
    labels[3] = -100
    features = torch.randn(24, 8, generator=generator, dtype=torch.float64)
    head = (torch.randn(6, 8, generator=generator, dtype=torch.float64), torch.zeros(6, dtype=torch.float64))

    here = ulmus.Loss(text, [1000, 300, 100, 30, 5, 10], seed=3)
    here(logits, labels, features=features, head=head)
    here.train(train)
    there = ulmus.Loss(text, [1000, 300, 100, 30, 5, 10], seed=3)
    there.load_state_dict(here.state_dict())
    there.train(train)
    for _ in range(2):  # the second step reads the state of the first
        value = here(logits, labels, features=features, head=head)
        with remote(), torch.no_grad():
            moved = {"features": to_remote(features), "head": tuple(to_remote(tensor) for tensor in head)}
            remote_value = there(to_remote(logits), to_remote(labels), **moved)
        assert isinstance(remote_value, Remote)
        torch.testing.assert_close(remote_value.data_, value)
    for key, state in here.state_dict().items():
        torch.testing.assert_close(there.state_dict()[key], state)
