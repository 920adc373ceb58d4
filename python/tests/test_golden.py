"""The losses compared with published double-precision vectors, through every interface of the package."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ulmus

from .conftest import SOURCE, at_least, golden

#: Converts the parameters of a golden file to the text of a loss; None if the definition differs from ours.
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
    "mm": lambda p: (
        None
        if p["variant"] == "batch_as_released"
        else f"mm:max_margin={p['max_m']},gamma={p['gamma']},variant={'ldam' if p['ldam'] else 'plain'},scale={p['s']}"
    ),
    "gr": lambda p: f"gr:rho={p['rho']}",
    "lade": lambda p: f"lade:alpha={p['alpha']},lambda={p['remine_lambda']}",
    "ib": lambda p: (
        f"{p['kind'].replace('_', '-')}:alpha={p['alpha']},from=0,weights={p['weights'].partition('_')[0]}"
        + (f",gamma={p['gamma']}" if "focal" in p["kind"] else "")
    ),
    "fce": lambda p: f"{p['kind']}:temperature={p['temp']}",
    "seesaw": lambda p: f"seesaw:p={p['p']},q={p['q']},eps={p['eps']}",
    "eql": lambda p: f"eql:kind={p['kind']},lambda={p['lambda']}",
    "gcl": lambda p: f"gcl:noise={p['noise_mul']},margin={p['m']},scale={p['s']}",
    "ala": lambda p: f"ala:scale={p['s']}",
    "kps": lambda p: f"kps:max_margin={p['max_m']},scale={p['s']},scaling={'label' if p['weighted'] else 'one'}",
    "loce": lambda p: "loce",
    "dbm": lambda p: (
        f"dbm:base={p['base']},max_margin={p['K']},tau={p['tau']},scale={p['s']},lambda={p['lambda_inst']}"
    ),
    "las": lambda p: f"las:shape={p['shape']},head={p['smooth_head']},tail={p['smooth_tail']}",
    "logitnorm": lambda p: f"logitnorm:temperature={p['t']}",
    "poly1": lambda p: f"poly1:epsilon={p['epsilon']}",
    "large_margin_softmax": lambda p: f"lm-softmax:lambda={p['reg_lambda']},lower={p['deg_logit'] or 0}",
    "angular_margin": lambda p: (
        f"{p['kind'].removeprefix('opensphere_')}:margin={p['m']},scale={p['s']}"
        + (",variant=opensphere" if p["kind"] == "opensphere_arcface" else "")
    ),
    "cb": lambda p: (
        None
        if p["kind"] == "bce_on_softmax"
        else "cb:kind={},beta={}".format(
            {"ce": "softmax", "sigmoid_focal": "focal"}.get(p["kind"], p["kind"]), p["beta"]
        )
        + (f",gamma={p['gamma']}" if p["kind"] == "sigmoid_focal" else "")
    ),
}
#: Files whose class weights do not matter here, or whose mean is over the samples regardless of the weights.
OWN_WEIGHTS = {"ib", "cb", "gr"}
#: Tolerances of files whose reference subtracts nearly equal numbers.
TOLERANCES = {"fce": 1e-6, "ib": 1e-9}


def usable(name: str, case: dict[str, Any]) -> bool:
    if case.get("nonfinite_reference") or SPECS[name](case["params"]) is None:
        return False
    # The released focal code applies the class weight inside the probability, ours outside.
    return not (name == "focal" and case["class_weights"])


def near(came: Any, expected: Any, tolerance: float = 1e-10) -> None:
    expected = np.asarray(expected, dtype=np.float64)
    np.testing.assert_array_less(np.abs(np.asarray(came) - expected), tolerance * (1 + np.abs(expected)))


def make(name: str, case: dict[str, Any], reduction: str | None = None) -> tuple[ulmus.Loss, dict[str, Any]]:
    """Returns the loss of a case, in the state of the case, and its inputs besides logits and labels."""
    loss = ulmus.Loss(SPECS[name](case["params"]), case["counts"], reduction=reduction).eval()
    loss.set_epoch(0, 1)
    if case["class_weights"] and name not in OWN_WEIGHTS:
        loss.set_class_weights(case["class_weights"])
    if name == "seesaw":
        loss._handle.core.set_state(case["counts"])
    if name == "loce":
        loss._handle.core.set_state(case["mean_score"])
    context: dict[str, Any] = {}
    if name == "ib":  # the norm of a feature with one component is that component
        features = torch.tensor(case["feature_l1"], dtype=torch.float64).reshape(-1, 1)
        context["features"] = features.requires_grad_()
    if name in ("gcl", "eql") and case.get("noise", case.get("beta_mask")) is not None:
        context["noise"] = torch.tensor(case.get("noise", case.get("beta_mask")), dtype=torch.float64)
    return loss, context


def inputs(name: str, case: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, float]:
    scale = case["params"]["s"] if name == "ala" else 1.0  # the logits of that file are ours times this scale
    logits = torch.tensor(case["logits"], dtype=torch.float64) / scale
    return logits.requires_grad_(), torch.tensor(case["targets"]), scale


@pytest.mark.parametrize("name", SPECS)
def test_loss_and_gradient_are_the_published_ones(name: str) -> None:
    cases = [case for case in golden(name) if usable(name, case)]
    assert len(cases) >= at_least(12)
    tolerance = TOLERANCES.get(name, 1e-10)
    for case in cases:
        loss, context = make(name, case)
        logits, labels, scale = inputs(name, case)
        features = context.get("features")
        for function in (loss, partial(ulmus.composed_loss, loss)):
            value = function(logits, labels, **context)
            wanted = [logits] if features is None else [logits, features]
            gradients = torch.autograd.grad(value, wanted)
            near(value.detach(), case["loss"], tolerance)
            near(gradients[0] / scale, case["grad_logits"], tolerance)
            if features is not None:
                near(gradients[1].flatten(), np.ravel(case["outputs"]["grad_feature_l1"]), tolerance)
        if not context:
            value, gradient = ulmus.functional.loss_and_grad(logits.detach().numpy(), labels.numpy(), loss)
            near(value, case["loss"], tolerance)
            near(gradient / scale, case["grad_logits"], tolerance)


@pytest.mark.parametrize("name", ["ce", "ldam", "elm", "bs", "la", "vs", "cdt", "focal"])
def test_the_loss_of_each_sample_is_the_published_one(name: str) -> None:
    for case in golden(name):
        if usable(name, case):
            loss = ulmus.Loss(SPECS[name](case["params"]), case["counts"], reduction="none")
            logits, labels, _ = inputs(name, case)
            near(loss(logits, labels).detach(), case["per_sample_loss"])


@pytest.mark.parametrize("path", sorted((SOURCE / "tests" / "golden").glob("*.json")), ids=lambda path: path.stem)
def test_the_vectors_of_the_repository_are_reproduced(path: Path) -> None:
    for case in json.loads(path.read_text())["cases"]:
        loss = ulmus.Loss(case["spec"], case["counts"], reduction="mean")
        logits = torch.tensor(case["logits"], dtype=torch.float64, requires_grad=True)
        for function in (loss, partial(ulmus.composed_loss, loss)):
            value = function(logits, torch.tensor(case["labels"]))
            near(value.detach(), case["mean"], 1e-13)
            near(torch.autograd.grad(value, logits)[0], case["mean_gradient"], 1e-13)


def test_discriminative_loss_over_two_steps_is_the_published_one() -> None:
    for case in golden("discriminative"):
        p, classes = case["params"], case["C"]
        keys = {"alpha": p["alpha"], "beta": p["beta"], "gamma": p["gamma"], "delta_v": p["delta_var"]}
        keys |= {"delta_d": p["delta_dist"], "momentum": p["momentum"], "norm": f"l{p['norm']}"}
        loss = ulmus.Loss("lmd:" + ",".join(f"{key}={value}" for key, value in keys.items()), [10] * classes)
        weight = torch.tensor(case["fc_weight"], dtype=torch.float64).requires_grad_()
        bias = torch.tensor(case["fc_bias"], dtype=torch.float64).requires_grad_()
        for step in case["steps"]:
            labels = torch.tensor(step["targets"])
            features = torch.tensor(step["features"], dtype=torch.float64).requires_grad_()
            logits = torch.zeros(len(labels), classes, dtype=torch.float64)  # the added term does not use them
            for function in (loss.train(), partial(ulmus.composed_loss, loss)):  # the first call updates the state
                value = function(logits, labels, features=features, head=(weight, bias))
                near((value - np.log(classes)).detach(), step["loss"])
                for came, name in zip(
                    torch.autograd.grad(value, [features, weight, bias]),
                    ["grad_features", "grad_fc_weight", "grad_fc_bias"],
                ):
                    near(came, step[name], 1e-9)
            near(loss._handle.core.state()[classes:], np.ravel(step["running_mean_after"]))


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
    assert compared >= at_least(8)


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
