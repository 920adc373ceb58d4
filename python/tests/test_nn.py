"""Heads, and adjustments after training."""

from __future__ import annotations

import torch

import ulmus


def test_tau_normalisation_scales_rows_and_drops_the_bias() -> None:
    linear = torch.nn.Linear(8, 5)
    half = ulmus.tau_normalize(linear, 0.5)
    assert half.bias is None and not half.weight.equal(linear.weight)
    torch.testing.assert_close(half.weight.norm(dim=1), linear.weight.norm(dim=1).sqrt())
    torch.testing.assert_close(ulmus.tau_normalize(linear, 0).weight, linear.weight)
    torch.testing.assert_close(ulmus.tau_normalize(linear).weight.norm(dim=1), torch.ones(5))


def test_a_cosine_head_gives_cosines() -> None:
    head = ulmus.CosineLinear(8, 5)
    assert repr(head) == "CosineLinear(in_features=8, out_features=5)"
    features = torch.randn(4, 8)
    expected = torch.nn.functional.cosine_similarity(features[:, None], head.weight[None], dim=2)
    torch.testing.assert_close(head(features), expected)
    torch.testing.assert_close(head(1000 * features), head(features))


def test_logit_adjustment_saves_and_moves() -> None:
    layer = ulmus.LogitAdjustment([90, 9, 1], tau=2)
    again = ulmus.LogitAdjustment([1, 1, 1], tau=2)
    again.load_state_dict(layer.state_dict())
    logits = torch.randn(4, 3)
    torch.testing.assert_close(again(logits), logits - 2 * torch.tensor([0.9, 0.09, 0.01]).log())
    assert layer.half()(logits.half()).dtype == torch.float16
