"""The loss modules as PyTorch users use them."""

from __future__ import annotations

import collections
import copy
import io
import pickle
import shutil
import threading
import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor

import ulmus
from ulmus import _core, _family, _kernel
from ulmus import loss as loss_module

from .conftest import long_tail

COUNTS = long_tail(10)
NEEDS_COMPILER = pytest.mark.skipif(
    not hasattr(torch.library, "custom_op"), reason="PyTorch before 2.4 graphs around it"
)


def batch(rows: int = 32, classes: int = 10, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(rows, classes, generator=generator, dtype=torch.float64).to(dtype)
    return logits.requires_grad_(), torch.randint(classes, (rows,), generator=generator)


def test_repr_shows_the_canonical_spec() -> None:
    loss = ulmus.Loss("elm:scale=30,lambda=0.50+drw:beta=0.9999", COUNTS)
    assert repr(loss) == "Loss(elm:lambda=0.5+drw, classes=10, reduction=weighted-mean)"
    assert repr(ulmus.ELM(COUNTS, lam=0.5, rule="drw")) == repr(loss).replace("Loss", "ELM", 1)
    assert (loss.spec, loss.scale, loss.head) == ("elm:lambda=0.5+drw", 30.0, "cosine")


def test_keyword_arguments_are_the_keys_of_the_family() -> None:
    assert ulmus.ELM(class_counts=COUNTS, lam=0.5, max_margin=1).spec == "elm:lambda=0.5,max_margin=1"
    assert ulmus.VS(COUNTS, gamma=1e-7).spec == "vs:gamma=1e-07"
    assert ulmus.CE(torch.tensor(COUNTS), reduction="none").reduction == "none"
    with pytest.raises(TypeError, match="unknown key of elm 'lamb'; did you mean 'lam'?"):
        ulmus.ELM(COUNTS, lamb=0.5)
    assert "arXiv 2306.09132" in (ulmus.ELM.__doc__ or "")


@pytest.mark.parametrize("reduction", ["weighted-mean", "mean", "sum", "none"])
@pytest.mark.parametrize("text", ["elm:lambda=0.5+cb", "vs", "focal:gamma=2"])
def test_gradcheck(text: str, reduction: str) -> None:
    logits, labels = batch(6)
    labels[2] = -100
    loss = ulmus.Loss(text, COUNTS, reduction=reduction)
    assert torch.autograd.gradcheck(lambda z: loss(z, labels, torch.linspace(0.1, 2, 6)), (logits,))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_16_bits_are_as_good_as_their_rounding(dtype: torch.dtype) -> None:
    logits, labels = batch(64, dtype=dtype)
    loss = ulmus.Loss("elm:lambda=0.5", COUNTS)
    value = loss(logits, labels)
    value.backward()
    wide = logits.detach().double().requires_grad_()
    expected = loss(wide, labels)
    expected.backward()
    unit = torch.finfo(dtype).eps
    assert value.dtype == dtype
    assert abs(value.item() - expected.item()) <= unit * expected.item()
    assert logits.grad is not None and wide.grad is not None
    assert logits.grad.dtype == dtype
    assert (logits.grad - wide.grad).abs().max() <= 2 * unit * wide.grad.abs().max()


def test_autocast_gives_a_float32_loss_and_trains() -> None:
    model = torch.nn.Linear(20, 10)
    loss = ulmus.Loss("la", COUNTS)
    inputs, labels = torch.randn(32, 20), batch()[1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(inputs)
        value = loss(logits, labels)
    assert logits.dtype == torch.bfloat16 and value.dtype == torch.float32
    value.backward()
    assert model.weight.grad is not None and model.weight.grad.dtype == torch.float32
    exact = loss(torch.nn.functional.linear(inputs, model.weight, model.bias), labels)
    assert abs(value.item() - exact.item()) < 0.02 * exact.item()


def test_a_scaled_float16_gradient_does_not_vanish() -> None:
    # With 4096 samples the gradient of the mean is near 1e-8, too small for float16; that of the scaled mean is not.
    logits = torch.zeros(4096, 100, dtype=torch.float16).requires_grad_()
    loss = ulmus.Loss("ce", [1] * 100)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(logits, torch.zeros(4096, dtype=torch.int64))
    (value * 65536).backward()
    assert logits.grad is not None
    assert abs(logits.grad[0, 1].item() - 65536 / 4096 / 100) < 1e-3


def test_rows_need_not_be_contiguous_and_contiguous_ones_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels = batch(12)
    loss = ulmus.Loss("elm", COUNTS)
    expected = loss(logits, labels)
    wide = torch.zeros(12, 17, dtype=torch.float64)
    wide[:, 3:13] = logits.detach()
    addresses = []
    run_at = _kernel._core.run_at

    def spy(*arguments: object) -> None:
        addresses.append(arguments[3])
        run_at(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(_kernel._core, "run_at", spy)
    given = [logits.detach(), wide[:, 3:13], logits.detach().T.contiguous().T]
    for tensor in given:
        tensor.requires_grad_()
        value = loss(tensor, labels)
        assert value.item() == expected.item()
        value.backward()
    assert [address == tensor.data_ptr() for address, tensor in zip(addresses, given)] == [True, True, False]
    torch.testing.assert_close(given[1].grad, given[0].grad)
    torch.testing.assert_close(given[2].grad, given[0].grad)


def test_no_gradient_is_made_where_none_is_wanted() -> None:
    logits, labels = batch()
    loss = ulmus.Loss("elm", COUNTS)
    with torch.no_grad():
        assert not loss(logits, labels).requires_grad
    assert loss(logits, labels).item() == loss(logits.detach(), labels).item()


def test_backward_twice_with_retain_graph_accumulates() -> None:
    logits, labels = batch()
    value = ulmus.Loss("la", COUNTS)(logits, labels)
    value.backward(retain_graph=True)
    assert logits.grad is not None
    once = logits.grad.clone()
    value.backward()
    torch.testing.assert_close(logits.grad, 2 * once)


def test_a_second_derivative_is_a_clear_error() -> None:
    logits, labels = batch()
    loss = ulmus.Loss("elm", COUNTS)
    (gradient,) = torch.autograd.grad(loss(logits, labels), logits, create_graph=True)
    torch.testing.assert_close(gradient.detach(), torch.autograd.grad(loss(logits, labels), logits)[0])
    with pytest.raises(ValueError, match="no second derivative; use ulmus.composed_loss"):
        (gradient.norm() + loss(logits, labels)).backward()
    logits.grad = None
    (gradient,) = torch.autograd.grad(ulmus.composed_loss(loss, logits, labels), logits, create_graph=True)
    gradient.norm().backward()


def test_pickles_and_deep_copies_carry_on() -> None:
    logits, labels = batch()
    loss = ulmus.ELM(COUNTS, lam=0.5, rule="drw", reduction="sum", ignore_index=3)
    loss.set_epoch(9, 10)
    assert loss.class_weights != [1.0] * 10
    buffer = io.BytesIO()
    torch.save(loss, buffer)
    buffer.seek(0)
    again = torch.load(buffer, **({"weights_only": False} if torch.__version__ >= "2" else {}))
    for twin in (pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss), copy.copy(loss), again):
        assert type(twin) is ulmus.ELM and repr(twin) == repr(loss)
        assert twin(logits, labels).item() == loss(logits, labels).item()
    twin = copy.deepcopy(loss)
    twin.set_epoch(0, 10)
    assert loss.class_weights != twin.class_weights


def test_state_dict_has_what_training_changed_and_nothing_else() -> None:
    assert not ulmus.Loss("elm", COUNTS).state_dict()
    model = torch.nn.ModuleDict({"loss": ulmus.Loss("la+drw", COUNTS)})
    model["loss"].set_epoch(8, 10)
    model["loss"].set_class_weights(range(10))
    state = model.half().state_dict()
    assert {key: value.dtype for key, value in state.items()} == {
        "loss.epoch": torch.int64,
        "loss.class_weights": torch.float64,
    }
    fresh = torch.nn.ModuleDict({"loss": ulmus.Loss("la+drw", COUNTS)})
    fresh.load_state_dict(state)
    assert fresh["loss"].class_weights == [float(j) for j in range(10)]
    fresh["loss"].set_epoch(7, 10)
    assert fresh["loss"].class_weights == [1.0] * 10
    with pytest.raises(RuntimeError, match="3 class weights came"):
        ulmus.Loss("ce", COUNTS).load_state_dict({"class_weights": torch.ones(3)})
    with pytest.raises(RuntimeError, match="Unexpected key"):
        ulmus.Loss("ce", COUNTS).load_state_dict({"weight": torch.ones(3)})


def test_deferred_reweighting_is_the_rule_drw() -> None:
    logits, labels = batch()
    by_rule, by_schedule = ulmus.Loss("ldam+drw", COUNTS), ulmus.Loss("ldam", COUNTS)
    schedule = ulmus.DeferredReweighting(by_schedule, start=160, beta=0.9999)
    values = []
    for epoch in (0, 159, 160, 199):
        by_rule.set_epoch(epoch, 200)
        schedule.step(epoch)
        values.append(by_rule(logits, labels).item())
        assert values[-1] == by_schedule(logits, labels).item()
    assert values[0] == values[1] != values[2] == values[3]
    resumed = ulmus.DeferredReweighting(ulmus.Loss("ldam", COUNTS), start=0)
    resumed.load_state_dict(schedule.state_dict())
    assert resumed.loss.class_weights == by_schedule.class_weights
    resumed.step()
    assert resumed.last_epoch == 200
    with pytest.raises(ValueError, match="has the weight rule 'cb' already"):
        ulmus.DeferredReweighting(ulmus.Loss("ce+cb", COUNTS), start=1)


def test_threads_share_a_loss() -> None:
    logits, labels = batch(256, 10, torch.float32)
    loss = ulmus.Loss("elm", COUNTS)
    expected = loss(logits, labels).item()
    came: list[float] = []

    def work() -> None:
        for _ in range(50):
            mine = logits.detach().clone().requires_grad_()
            value = loss(mine, labels)
            value.backward()
            came.append(value.item())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert came == [expected] * 200


def test_replicas_of_data_parallel_share_the_loss() -> None:
    loss = ulmus.Loss("elm", COUNTS)
    replica = loss._replicate_for_data_parallel()
    logits, labels = batch()
    assert replica(logits, labels).item() == loss(logits, labels).item()


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_changes_no_bit(threads: int) -> None:
    logits, labels = batch(512, 200, torch.float32)
    loss = ulmus.Loss("elm", long_tail(200))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        value = loss(logits, labels)
        (gradient,) = torch.autograd.grad(value, logits)
    finally:
        torch.set_num_threads(before)
    core_gradient = ulmus.functional.loss_and_grad(logits.detach().numpy(), labels.numpy(), loss, threads=1)[1]
    assert (gradient.numpy() == core_gradient).all()


@NEEDS_COMPILER
@pytest.mark.parametrize("text, reduction", [("elm:lambda=0.5+cb", "weighted-mean"), ("la", "none"), ("ce", "mean")])
def test_compiled_models_give_the_same_numbers(text: str, reduction: str) -> None:
    torch._dynamo.reset()
    torch.manual_seed(0)
    model, loss = torch.nn.Linear(20, 10), ulmus.Loss(text, COUNTS, reduction=reduction)
    inputs, labels = torch.randn(32, 20), batch()[1]

    def step(inputs: Tensor, labels: Tensor) -> Tensor:
        return loss(model(inputs), labels).sum() * 3

    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    for rows in (32, 17):  # the second shape is traced again
        gradients = []
        for function in (step, compiled):
            model.zero_grad()
            function(inputs[:rows], labels[:rows]).backward()
            assert model.weight.grad is not None
            gradients.append(model.weight.grad)
        torch.testing.assert_close(*gradients)
    loss.set_class_weights([0.0] * 10)  # a compiled graph uses the current state of the loss
    assert compiled(inputs, labels).item() == 0


@NEEDS_COMPILER
@pytest.mark.parametrize("text, reduction", [("elm", "weighted-mean"), ("vs", "none")])
def test_the_custom_op_is_registered_rightly(text: str, reduction: str) -> None:
    loss = ulmus.Loss(text, COUNTS, reduction=reduction)
    logits, labels = batch(5)
    for wanted in (1, 0):
        tensor = logits.detach().requires_grad_(bool(wanted))
        context = [None, None, None, labels, None, None, None]
        handle = loss._handle
        arguments = (tensor, *context, handle.clock, handle.id, reduction, torch.float64, wanted)
        torch.library.opcheck(torch.ops.ulmus.loss_and_gradients.default, arguments)


def test_a_device_without_a_kernel_composes_and_says_so_once() -> None:
    logits, labels = torch.empty(4, 10, device="meta"), torch.empty(4, dtype=torch.int64, device="meta")
    loss = ulmus.Loss("elm+cb", COUNTS)
    loss_module._warned.clear()
    with pytest.warns(
        RuntimeWarning, match="no fused kernel for float32 logits on meta: the composed formula takes over"
    ):
        value = loss(logits, labels)
    assert value.device.type == "meta" and value.shape == ()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss(logits, labels)


def test_edges() -> None:
    assert ulmus.Loss("ce", COUNTS)(torch.zeros(0, 10), torch.zeros(0, dtype=torch.int64)).item() == 0
    logits, labels = batch(4)
    ignored = torch.full((4,), -100)
    value = ulmus.Loss("elm", COUNTS)(logits, ignored)
    value.backward()
    assert value.item() == 0 and logits.grad is not None and not logits.grad.any()
    one = torch.randn(3, 1, requires_grad=True)
    assert ulmus.Loss("ce", [5])(one, torch.zeros(3, dtype=torch.int64)).item() == 0
    poisoned = logits.detach().clone()
    poisoned[1] = torch.nan
    labels[1] = 255
    other = ulmus.Loss("la", COUNTS, ignore_index=255)
    assert other(poisoned, labels).isfinite() and ulmus.composed_loss(other, poisoned, labels).isfinite()
    labels[1] = 0
    assert other(poisoned, labels).isnan()


FAILURES = [
    (lambda z, y: ulmus.Loss("elmm", COUNTS), ValueError, "unknown loss 'elmm'; did you mean 'elm'?"),
    (lambda z, y: ulmus.Loss("elm:lamda=1", COUNTS), ValueError, "did you mean 'lambda'?"),
    (lambda z, y: ulmus.Loss("elm:scale=-1", COUNTS), ValueError, "expected above 0"),
    (
        lambda z, y: ulmus.Loss("ce+inverse:beta=1", COUNTS),
        ValueError,
        "'inverse' in loss 'ce\\+inverse:beta=1' has no keys",
    ),
    (lambda z, y: ulmus.Loss("ce", [5, -1]), ValueError, "-1"),
    (
        lambda z, y: ulmus.Loss("ce", [5, 1.5]),
        TypeError,
        "the class count at position 1 is 1.5, expected a whole number",
    ),
    (lambda z, y: ulmus.Loss(3, COUNTS), TypeError, "the loss is a int, expected text"),  # type: ignore[arg-type]
    (
        lambda z, y: ulmus.Loss("ce", COUNTS, reduction="meam"),
        ValueError,
        "unknown reduction 'meam'; did you mean 'mean'?",
    ),
    (lambda z, y: ulmus.Loss("ce", COUNTS)(z[0], y), ValueError, r"the labels are int64 \[32\] on cpu, expected \[\]"),
    (
        lambda z, y: ulmus.Loss("ce", COUNTS[:7])(z, y),
        ValueError,
        "10 columns, expected one for each of the 7 class counts",
    ),
    (lambda z, y: ulmus.Loss("ce", COUNTS)(z, y[:3]), ValueError, r"int64 \[3\] on cpu, expected \[32\]"),
    (lambda z, y: ulmus.Loss("ce", COUNTS)(z, y.float()), TypeError, r"float32 \[32\] on cpu, expected whole numbers"),
    (lambda z, y: ulmus.Loss("seesaw", COUNTS)(z, z.softmax(1)), ValueError, "takes no soft targets"),
    (lambda z, y: ulmus.Loss("ce", COUNTS)(z, z), ValueError, "the soft target at position"),
    (lambda z, y: ulmus.Loss("ce+drs", COUNTS), ValueError, r"ulmus.ClassSampler\(labels, 'drs'\)"),
    (lambda z, y: ulmus.CE({"cat": 5, "dog": 3}), ValueError, r"\[counts\[name\] for name in class_names\]"),
    (lambda z, y: ulmus.CE(COUNTS, weight=[1.0], rule="cb"), ValueError, "has the weight rule 'cb' already"),
    (lambda z, y: ulmus.Seesaw(COUNTS, label_smoothing=0.1), ValueError, "label smoothing is not defined"),
    (lambda z, y: ulmus.Loss("ib:from=0", COUNTS)(z, y), ValueError, "give features="),
    (lambda z, y: ulmus.Loss("ce", COUNTS)(z.long(), y), TypeError, "the logits are int64"),
    (lambda z, y: ulmus.Loss("ce", COUNTS)(z.tolist(), y), TypeError, "the logits are a list"),
    (
        lambda z, y: ulmus.Loss("ce", COUNTS)(z, y + 5),
        ValueError,
        "label 1[0-4] at position [0-9]+ is out of range, expected 0 to 9",
    ),
    (lambda z, y: ulmus.Loss("ce", COUNTS)(z, y, y[:2]), ValueError, "the sample weights are"),
    (lambda z, y: ulmus.Loss("ce", COUNTS)(z, y, -1.0 - y), ValueError, "the sample weight at position 0 is -"),
    (lambda z, y: ulmus.Loss("ce", COUNTS)(z, y, z[:, 0]), ValueError, "sample weights require a gradient"),
    (
        lambda z, y: ulmus.Loss("ce+drw", COUNTS).set_epoch(5, 5),
        ValueError,
        "epoch is 5 of 5, expected 0 or more and below",
    ),
    (lambda z, y: ulmus.Loss("ce", COUNTS).set_class_weights([1.0]), ValueError, "1 class weights came"),
]


@pytest.mark.parametrize("call, kind, message", FAILURES)
def test_mistakes_are_named(call: object, kind: type[Exception], message: str) -> None:
    logits, labels = batch()
    with pytest.raises(kind, match=message):
        call(logits, labels)  # type: ignore[operator]


def test_the_mean_is_that_of_the_definition() -> None:
    assert ulmus.Loss("elm", COUNTS).reduction == "weighted-mean"
    assert ulmus.Loss("focal", COUNTS).reduction == "mean"
    assert ulmus.Focal(COUNTS, reduction="sum").reduction == "sum"
    assert ulmus.DROLT(COUNTS, start=0.25).spec == "dro-lt:from=0.25"


def test_a_state_is_updated_in_training_and_saved() -> None:
    logits, labels = batch()
    loss = ulmus.Loss("seesaw", COUNTS)
    first = loss(logits, labels).item()
    seen = torch.bincount(labels, minlength=10).double()
    assert loss.state_dict()["state"].equal(seen)
    loss.eval()
    assert loss(logits, labels).item() == first and loss.state_dict()["state"].equal(seen)
    loss.train()(logits, labels)
    for twin in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert twin.state_dict()["state"].equal(2 * seen)
    fresh = ulmus.Loss("seesaw", COUNTS)
    fresh.load_state_dict(loss.state_dict())
    assert fresh.eval()(logits, labels).item() == loss.eval()(logits, labels).item()
    with pytest.raises(RuntimeError, match='Missing key.*"state"'):
        fresh.load_state_dict({})
    with pytest.raises(RuntimeError, match="does not fit"):
        fresh.load_state_dict({"state": torch.zeros(3)})
    old = ulmus.Loss("seesaw", COUNTS)
    old.load_state_dict({"carried": loss.state_dict()["state"]})  # name of the entry in 0.1
    assert old.state_dict()["state"].equal(2 * seen)
    with pytest.raises(RuntimeError, match='Unexpected key.*"carried"'):
        ulmus.Loss("ce", COUNTS).load_state_dict({"carried": seen})


def test_random_draws_are_those_of_seed_and_step() -> None:
    logits, labels = batch()
    cosines = logits.detach().tanh()

    def values(seed: int) -> list[float]:
        loss = ulmus.Loss("gcl", COUNTS, seed=seed)
        return [loss(cosines, labels).item() for _ in range(3)]

    assert values(1) == values(1) != values(2)
    assert len(set(values(1))) == 3


def test_features_get_their_gradient_in_a_model() -> None:
    torch.manual_seed(0)
    body, head = torch.nn.Linear(20, 6), torch.nn.Linear(6, 10)
    loss = ulmus.Loss("lmd", COUNTS)
    features = body(torch.randn(32, 20))
    loss(head(features), batch()[1], features=features, head=head).backward()
    assert body.weight.grad is not None and head.bias.grad is not None
    with pytest.raises(ValueError, match="features"):
        ulmus.Loss("ib:from=0", COUNTS)(*batch())
    with pytest.raises(ValueError, match=r"the features came as float32 \[3, 6\] on cpu, expected \[32, 6\]"):
        loss(*batch(), features=features[:3], head=head)
    with pytest.raises(ValueError, match="'lade' has no loss of a single sample"):
        ulmus.Loss("lade", COUNTS, reduction="none")(*batch())


def batch_with_context(text: str, dtype: torch.dtype) -> tuple[Tensor, Tensor, dict[str, object]]:
    generator = torch.Generator().manual_seed(1)
    logits = (torch.rand(24, 6, generator=generator) * 1.8 - 0.9).to(dtype)
    labels = torch.randint(6, (24,), generator=generator)
    labels[3] = -100
    features = torch.randn(24, 8, generator=generator).to(dtype)
    torch.manual_seed(0)
    return logits, labels, {"features": features, "head": torch.nn.Linear(8, 6).to(dtype)}


@NEEDS_COMPILER
@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=["f32", "f16", "bf16"])
@pytest.mark.parametrize("name", sorted(_family.table()["losses"]))
def test_every_loss_compiles_into_one_graph_with_the_same_bits(name: str, dtype: torch.dtype, train: bool) -> None:
    torch._dynamo.reset()
    keys = [key["name"] for key in _family.table()["losses"][name]["keys"]]
    text = name + (":from=0" if "from" in keys else "")
    logits, labels, context = batch_with_context(text, dtype)
    eager = ulmus.Loss(text, [1000, 300, 100, 30, 0, 10])
    eager(logits, labels, **context)
    eager.train(train)
    twin = copy.deepcopy(eager)
    compiled = torch.compile(
        lambda z, h: twin(z, labels, features=h, head=context["head"]) * 1.0, backend="aot_eager", fullgraph=True
    )
    for _ in range(2):
        made = []
        for function in (lambda z, h: eager(z, labels, features=h, head=context["head"]) * 1.0, compiled):
            features = context["features"].clone().requires_grad_()  # type: ignore[attr-defined]
            inputs = [logits.clone().requires_grad_(), features]
            value = function(*inputs)
            value.backward()
            made.append([value.detach(), inputs[0].grad, inputs[1].grad])
        for came, right in zip(made[1], made[0]):
            came = torch.zeros_like(right) if came is None and right is not None else came
            torch.testing.assert_close(came, right, rtol=0, atol=0)
    for key, value in eager.state_dict().items():
        torch.testing.assert_close(twin.state_dict()[key], value, rtol=0, atol=0)


@pytest.mark.parametrize(
    "name", ["ce", "lade", "fce", "lafce", "eql", "gcl", "dro-lt", "lmd", "poly1", "lm-softmax", "tam"]
)
@pytest.mark.parametrize("rule", ["", "+inverse"])
def test_the_composed_loss_is_the_kernel_where_a_class_is_empty_and_before_the_first_update(
    name: str, rule: str
) -> None:
    text = name + (":from=0" if name in ("dro-lt", "tam") else "") + rule
    logits, labels, context = batch_with_context(text, torch.float64)
    loss = ulmus.Loss(text, [1000, 300, 100, 30, 0, 10], seed=3).eval()
    for moves in (False, True):
        if moves:
            loss.train()(logits, labels, **context)
            loss.eval()
        torch.testing.assert_close(
            ulmus.composed_loss(loss, logits, labels, **context), loss(logits, labels, **context)
        )


SOFT = [
    "ce",
    "ldam",
    "elm:lambda=0.5",
    "elm:placement=rival,lambda=0.5",
    "bs",
    "la",
    "vs",
    "cdt",
    "focal:gamma=2",
    "poly1",
]
SOFT += ["cb", "cb:kind=sigmoid", "cb:kind=focal,gamma=2", "gr", "mm", "mm:variant=ldam", "ala", "dbm", "dbm:base=bs"]
SOFT += [
    "arcface",
    "arcface:variant=opensphere",
    "cosface",
    "sphereface",
    "las",
    "logitnorm",
    "ldam+cb",
    "poly1+inverse",
]
SOFT += [
    f"{text}smoothing=0.2" for text in ["ce:", "elm:lambda=0.5,", "elm:placement=rival,", "la:", "dbm:base=bs,", "gr:"]
]


@pytest.mark.parametrize("text", SOFT)
def test_soft_targets_are_the_sum_over_the_labels(text: str) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = (1.8 * torch.rand(9, 6, generator=generator, dtype=torch.float64) - 0.9).requires_grad_()
    targets = torch.rand(9, 6, generator=generator, dtype=torch.float64).softmax(1)
    loss = ulmus.Loss(text, [900, 300, 90, 30, 0, 9], reduction="none")
    every = [loss(logits, torch.full((9,), c)) for c in range(6)]
    expected = sum(targets[:, c] * every[c] for c in range(6))
    assert isinstance(expected, Tensor)
    value = loss(logits, targets)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(*(torch.autograd.grad(v.sum(), logits)[0] for v in (value, expected)))
    hard = torch.nn.functional.one_hot(torch.arange(9) % 6, 6).double()
    for reduction in ("weighted-mean", "mean", "sum"):
        loss.reduction = reduction
        torch.testing.assert_close(loss(logits, hard), loss(logits, torch.arange(9) % 6))


def test_soft_targets_weights_and_smoothing_are_those_of_pytorch() -> None:
    cross_entropy = torch.nn.functional.cross_entropy
    logits, labels = batch()
    targets, weight = torch.rand(32, 10, dtype=torch.float64).softmax(1), torch.rand(10, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: ulmus.ELM(COUNTS, lam=0.5)(z[:3], targets[:3]), (logits,))
    labels[3] = -100
    torch.testing.assert_close(ulmus.CE(COUNTS)(logits, targets), cross_entropy(logits, targets))
    ours = ulmus.CE(COUNTS, weight=weight, label_smoothing=0.1)
    torch.testing.assert_close(ours(logits, labels), cross_entropy(logits, labels, weight, label_smoothing=0.1))
    by_mean = ulmus.CE(COUNTS, weight=weight, reduction="mean")
    torch.testing.assert_close(by_mean(logits, targets), cross_entropy(logits, targets, weight))
    for dtype in (torch.bfloat16, torch.float16):
        value = ulmus.CE(COUNTS)(logits.to(dtype), targets)
        assert value.dtype == dtype and abs(value.item() - cross_entropy(logits, targets).item()) < 0.02


def test_shapes_and_integers_are_those_of_pytorch() -> None:
    logits, labels = torch.randn(2, 10, 3, 4), torch.randint(10, (2, 3, 4))
    loss = ulmus.Focal(COUNTS)
    flat = loss(logits.movedim(1, -1).reshape(-1, 10), labels.reshape(-1))
    torch.testing.assert_close(loss(logits, labels), flat)
    for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32):
        torch.testing.assert_close(loss(logits, labels.to(dtype)), flat)
    assert ulmus.CE(COUNTS, reduction="none")(logits, labels).shape == labels.shape
    assert loss(logits[0, :, 0, 0], labels[0, 0, 0]).shape == ()


@NEEDS_COMPILER
@pytest.mark.parametrize("text", ["ce", "elm:lambda=0.5", "focal:gamma=2", "cb:kind=sigmoid", "las", "poly1+inverse"])
def test_soft_targets_compile(text: str) -> None:
    torch._dynamo.reset()
    logits = batch()[0].detach()
    targets = torch.rand(32, 10, dtype=torch.float64).softmax(1)
    loss = ulmus.Loss(text, COUNTS)
    compiled = torch.compile(lambda z, q: loss(z, q), backend="aot_eager", fullgraph=True)
    for rows in (32, 17):
        made = []
        for function in (loss, compiled):
            z = logits[:rows].clone().requires_grad_()
            value = function(z, targets[:rows])
            made.append((value.detach(), torch.autograd.grad(value, z)[0]))
        torch.testing.assert_close(made[1], made[0])


@NEEDS_COMPILER
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler on the CPU")
@pytest.mark.parametrize("text", ["elm:lambda=0.5+cb", "seesaw", "ib:from=0", "soft"])
def test_the_default_compiler_gives_the_same_numbers(text: str) -> None:
    torch._dynamo.reset()
    logits, labels, context = batch_with_context(text, torch.float32)
    eager = ulmus.Loss("la" if text == "soft" else text, [1000, 300, 100, 30, 5, 10])
    target = logits.softmax(1) if text == "soft" else labels
    twin = copy.deepcopy(eager)
    made = []
    for function in (eager, torch.compile(lambda *z, **more: 2 * twin(*z, **more), fullgraph=True)):
        z = logits.clone().requires_grad_()
        value = function(z, target, **context)
        value = value if function is not eager else 2 * value
        made.append((value.detach(), torch.autograd.grad(value, z)[0]))
    torch.testing.assert_close(made[1], made[0])
    torch.testing.assert_close(twin.state_dict(), eager.state_dict(), rtol=0, atol=0)


def test_counts_mean_what_they_say() -> None:
    labels = [2] * 5 + [0] * 900 + [3] * 90
    for counts in (collections.Counter(labels), {2: 5, 0: 900, 3: 90}, torch.bincount(torch.tensor(labels))):
        assert ulmus.CE(counts).class_counts == [900, 0, 5, 90]
    pandas = pytest.importorskip("pandas")
    assert ulmus.CE(pandas.Series(labels).value_counts()).class_counts == [900, 0, 5, 90]


def test_named_classes_keep_their_seed() -> None:
    logits, labels = batch()
    first, second = (ulmus.GCL(COUNTS, seed=seed)(logits.tanh(), labels).item() for seed in (1, 2))
    assert first != second and first == ulmus.Loss("gcl", COUNTS, seed=1)(logits.tanh(), labels).item()


def test_probabilities_have_the_scale_of_the_loss() -> None:
    logits, _ = batch()
    torch.testing.assert_close(ulmus.LDAM(COUNTS).probabilities(logits), (30 * logits).softmax(1))
    loss = ulmus.BS([900, 90, 10])
    assert loss.assumed_prior == pytest.approx([1 / 3] * 3)
    moved = loss.probabilities(torch.zeros(3), prior=[900, 90, 10])
    torch.testing.assert_close(moved, torch.tensor([0.9, 0.09, 0.01]))


PRIOR_COUNTS = torch.tensor([60.0, 30, 10], dtype=torch.float64)
#: Assumed class frequencies, up to a factor, of losses that shift logits or weight classes. Others assume the counts.
LOSS_PRIORS = {
    **dict.fromkeys(["bs", "la", "vs", "lade", "ib", "ib-focal"], torch.ones(3, dtype=torch.float64)),
    "cb": PRIOR_COUNTS / (1 - 0.9999**PRIOR_COUNTS),
    "gr": PRIOR_COUNTS**-0.2,
}
#: Factors by which the rules change the frequencies, through class weights or sampling.
RULE_WEIGHTS = {
    "": torch.ones(3, dtype=torch.float64),
    "+inverse": 1 / PRIOR_COUNTS,
    "+cb:beta=0.99": 1 / (1 - 0.99**PRIOR_COUNTS),
    "+drw:beta=0.99": 1 / (1 - 0.99**PRIOR_COUNTS),
    "+weights=FILE": torch.tensor([0.5, 2, 7], dtype=torch.float64),
}
SAMPLING_WEIGHTS = {
    "+rs": 1 / PRIOR_COUNTS,
    "+rs:beta=0.99": 1 / (1 - 0.99**PRIOR_COUNTS),
    "+drs": 1 / PRIOR_COUNTS,
    "+drs:from=0.5,beta=0.99": 1 / (1 - 0.99**PRIOR_COUNTS),
}


@pytest.fixture
def weights_file(tmp_path: Path) -> str:
    path = tmp_path / "weights.txt"
    path.write_text("0.5\n2\n7\n")
    return str(path)


@pytest.mark.parametrize("rule", [*RULE_WEIGHTS, *SAMPLING_WEIGHTS])
@pytest.mark.parametrize("name", sorted(_family.table()["losses"]))
def test_the_assumed_prior_is_the_counts_times_weights_and_shifts(name: str, rule: str, weights_file: str) -> None:
    text = name + rule.replace("FILE", weights_file)
    counts = [int(count) for count in PRIOR_COUNTS]
    expected = LOSS_PRIORS.get(name, PRIOR_COUNTS) * (RULE_WEIGHTS | SAMPLING_WEIGHTS)[rule]
    if rule in RULE_WEIGHTS and rule and name in ("cb", "gr", "ib", "ib-focal"):
        with pytest.raises(ValueError, match="has class weights of its own"):
            ulmus.Loss(text, counts)
        return
    # ulmus.Loss does not accept a rule that samples, but `ulmus train` computes its prior with the same function.
    prior = _core.assumed_prior(text, counts) if rule in SAMPLING_WEIGHTS else ulmus.Loss(text, counts).assumed_prior
    # The regulariser of lade shifts its optimum away from equal frequencies; the library computes it to 1e-6.
    actual = torch.tensor(prior, dtype=torch.float64)
    torch.testing.assert_close(actual, expected / expected.sum(), rtol=1e-5 if name == "lade" else 1e-12, atol=0)


@pytest.mark.parametrize("rule", RULE_WEIGHTS)
@pytest.mark.parametrize("text", ["ce", "bs", "la", "la:tau=0.5", "vs:gamma=0,tau=1.5", "ldam:max_margin=0.0001"])
def test_the_assumed_prior_is_what_training_finds(text: str, rule: str, weights_file: str) -> None:
    """Optimises the logits of a point with these class likelihoods, given the class frequencies."""
    likelihood = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    loss = ulmus.Loss(text + rule.replace("FILE", weights_file), PRIOR_COUNTS, reduction="sum")
    loss.set_epoch(9, 10)
    z = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([z], max_iter=500, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def value() -> Tensor:
        optimizer.zero_grad()
        result = loss(z.expand(3, 3), torch.arange(3), PRIOR_COUNTS / 100 * likelihood)
        result.backward()
        return result

    optimizer.step(value)
    expected = torch.tensor(loss.assumed_prior, dtype=torch.float64) * likelihood
    torch.testing.assert_close(loss.probabilities(z.detach())[0], expected / expected.sum(), rtol=0.01, atol=0)


@NEEDS_COMPILER
def test_losses_that_look_at_more_compile() -> None:
    torch._dynamo.reset()
    torch.manual_seed(0)
    model, loss = torch.nn.Linear(20, 10), ulmus.Loss("seesaw", COUNTS).eval()
    inputs, labels = torch.randn(32, 20), batch()[1]

    def step(inputs: Tensor) -> Tensor:
        return loss(model(inputs), labels) * 2

    assert torch.compile(step, backend="aot_eager")(inputs).item() == step(inputs).item()
