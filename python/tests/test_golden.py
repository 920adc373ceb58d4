"""The losses against published double-precision vectors, through every door of the package."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import ulmus

from .conftest import golden

#: How the parameters of a golden file become a loss in text.
SPECS: dict[str, Any] = {
    "ce": lambda p: "ce",
    "weighted_ce": lambda p: "ce",
    "ldam": lambda p: f"ldam:max_margin={p['max_m']},scale={p['s']}",
    "elm": lambda p: f"elm:lambda={p['lambda']},max_margin={p['max_m']},scale={p['s']}",
    "bs": lambda p: "bs",
    "la": lambda p: f"la:tau={p['tau']}",
    "vs": lambda p: f"vs:gamma={p['gamma']},tau={p['tau']}",
    "cdt": lambda p: f"cdt:gamma={p['gamma']}",
    "focal": lambda p: f"focal:gamma={p['gamma']}",
}


def usable(name: str, case: dict[str, Any]) -> bool:
    # Released focal code has the class weight inside the probability; ours has it outside.
    return not case.get("nonfinite_reference") and not (name == "focal" and case["class_weights"])


def near(came: Any, expected: Any) -> None:
    expected = np.asarray(expected, dtype=np.float64)
    np.testing.assert_array_less(np.abs(np.asarray(came) - expected), 1e-10 * (1 + np.abs(expected)))


@pytest.mark.parametrize("name", SPECS)
def test_loss_and_gradient_are_the_published_ones(name: str) -> None:
    cases = [case for case in golden(name) if usable(name, case)]
    assert len(cases) >= 12
    for case in cases:
        loss = ulmus.Loss(SPECS[name](case["params"]), case["counts"])
        labels = torch.tensor(case["targets"])
        logits = torch.tensor(case["logits"], dtype=torch.float64, requires_grad=True)
        if case["class_weights"]:
            loss.set_class_weights(case["class_weights"])
        for function in (loss, lambda z, y: ulmus.composed_loss(loss, z, y)):
            logits.grad = None
            value = function(logits, labels)
            value.backward()
            near(value.detach(), case["loss"])
            near(logits.grad, case["grad_logits"])
        value, gradient = ulmus.functional.loss_and_grad(logits.detach().numpy(), labels.numpy(), loss)
        near(value, case["loss"])
        near(gradient, case["grad_logits"])


@pytest.mark.parametrize("name", SPECS)
def test_the_loss_of_each_sample_is_the_published_one(name: str) -> None:
    for case in golden(name):
        if usable(name, case):
            loss = ulmus.Loss(SPECS[name](case["params"]), case["counts"], reduction="none")
            logits, labels = torch.tensor(case["logits"], dtype=torch.float64), torch.tensor(case["targets"])
            near(loss(logits, labels), case["per_sample_loss"])


def test_posthoc_adjustment_is_the_published_one() -> None:
    for case in golden("posthoc"):
        logits, tau, kind = np.array(case["logits"]), case["params"]["tau"], case["kind"]
        adjusted = ulmus.functional.adjust_logits(logits, case["counts"], tau, kind)
        near(adjusted, case["adjusted_logits"])
        assert adjusted.argmax(axis=1).tolist() == case["argmax"]
        near(ulmus.LogitAdjustment(case["counts"], tau, kind)(torch.tensor(logits)), case["adjusted_logits"])


def test_cosine_head_is_the_published_one() -> None:
    compared = 0
    for case in golden("normed_linear"):
        if case.get("ambiguous"):
            continue
        features = torch.tensor(case["features"], dtype=torch.float64, requires_grad=True)
        weight = torch.tensor(case["weight"], dtype=torch.float64).T.contiguous()
        head = ulmus.CosineLinear(weight.shape[1], weight.shape[0]).double()
        head.weight.data.copy_(weight)
        output = head(features)
        output.backward(torch.tensor(case["grad_output"], dtype=torch.float64))
        near(output.detach(), case["output"])
        near(features.grad, case["grad_features"])
        near(head.weight.grad.T, case["grad_weight"])
        compared += 1
    assert compared >= 8


def test_class_balanced_weights_are_the_published_ones() -> None:
    for case in golden("class_stats"):
        for beta in ("0.9", "0.99", "0.999", "0.9999"):
            expected = case["outputs"].get(f"effective_number_weights_beta_{beta}")
            if expected:
                near(ulmus.Loss(f"ce+cb:beta={beta}", case["counts"]).class_weights, expected)
                schedule = ulmus.DeferredReweighting(ulmus.Loss("ce", case["counts"]), start=2, beta=float(beta))
                schedule.step(1)
                assert schedule.loss.class_weights == [1.0] * len(expected)
                schedule.step(2)
                near(schedule.loss.class_weights, expected)
