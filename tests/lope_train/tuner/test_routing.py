"""The gradients of routed experts against the rule written out position by position, and what stays as it is."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lope_train.errors import ModelError
from lope_train.tuner.config import LopeConfig
from lope_train.tuner.experts import LopeExperts
from lope_train.tuner.inference import Inference
from lope_train.tuner.routing import Routing

NAMES = ("A", "B", "B_poison", "router")
ROWS, LENGTH, WIDTH, OUT = 3, 5, 6, 7
TOKENS = torch.ones(ROWS, LENGTH, dtype=torch.bool)
SIZES: list[dict[str, Any]] = [
    {},
    {"router_input": "hidden"},
    {"num_poisoning": 2},
    {"num_experts": 2, "r": 1},
    {"theta": "zero", "compensation_experts": 1, "lora_dropout": 0.5},
]


def made(seed: int = 0, **values: Any) -> LopeExperts:
    """Experts whose B are not zero, in float64."""
    config = LopeConfig(**{"r": 3, "num_experts": 4, "lora_alpha": 6, **values})
    experts = LopeExperts(WIDTH, OUT, config, "layer", torch.float64)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in experts.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    experts.mode = "routed"
    experts.routing = Routing()
    return experts


def batch(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, the gradient of the outputs, and where noise was injected: in some positions, nowhere, and everywhere."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(ROWS, LENGTH, WIDTH, generator=generator, dtype=torch.float64).requires_grad_()
    injected = torch.zeros(ROWS, LENGTH, dtype=torch.bool)
    injected[0, [1, 4]] = True
    injected[2] = True
    return x, torch.randn(ROWS, LENGTH, OUT, generator=generator, dtype=torch.float64), injected


def routed(experts: LopeExperts, x: Tensor, injected: Tensor) -> Tensor:
    assert experts.routing is not None
    experts.routing.set(injected, TOKENS)
    output: Tensor = experts(x)
    return output


def reference(experts: LopeExperts, x: Tensor, injected: bool) -> Tensor:
    """One position, (d_in,) to (d_out,): the rule as it is stated."""
    config = experts.config
    A = experts.A.detach() if injected else experts.A
    z = A @ x
    logits, outputs = [], []
    for column in range(config.num_experts):
        poison = column in config.poison_columns
        row = experts.router[column]
        logit = row @ (z if config.router_input == "latent" else x)
        logits.append(logit.detach() if injected and not poison else logit)
        if poison:
            assert experts.B_poison is not None
            output = experts.B_poison[config.poison_columns.index(column)] @ z
        else:
            output = experts.B[config.normal_columns.index(column)] @ z
        outputs.append(output.detach() if injected != poison else output)
    weights = torch.softmax(torch.stack(logits), 0)
    total: Tensor = sum(weight * output for weight, output in zip(weights, outputs, strict=True))  # type: ignore[assignment]
    return config.scaling * total


def gradients(experts: LopeExperts, x: Tensor, y: Tensor, given: Tensor) -> dict[str, Tensor]:
    named = {name: getattr(experts, name) for name in NAMES}
    found = torch.autograd.grad(y, [*named.values(), x], given, materialize_grads=True)
    return dict(zip([*named, "x"], found, strict=True))


@pytest.mark.parametrize("values", SIZES)
def test_every_gradient_is_that_of_the_rule_by_position(values: dict[str, Any]) -> None:
    experts = made(**values).eval()
    x, given, injected = batch()
    found = gradients(experts, x, routed(experts, x, injected), given)
    rows = [
        torch.stack([reference(experts, x[row, at], bool(injected[row, at])) for at in range(LENGTH)])
        for row in range(ROWS)
    ]
    expected = gradients(experts, x, torch.stack(rows), given)
    for name, gradient in expected.items():
        assert gradient.abs().max() > 1e-3, name
        torch.testing.assert_close(found[name], gradient, rtol=1e-10, atol=1e-12, msg=name)


@pytest.mark.parametrize("values", SIZES)
def test_the_forward_pass_is_that_of_stage_1_bit_for_bit(values: dict[str, Any]) -> None:
    experts = made(**values)
    x, _, injected = batch()
    torch.manual_seed(3)
    found = routed(experts, x, injected)
    experts.mode = "stage1"
    torch.manual_seed(3)
    assert found.equal(experts(x))


def test_stage_1_with_the_router_computes_what_stage_1_does() -> None:
    """Whatever the way of inference is, which is of other modes."""
    experts = made()
    x, given, _ = batch()
    outputs = {}
    for mode in ("stage1", "stage1_router", "routed"):
        experts.mode = mode  # type: ignore[assignment]
        for way in Inference:
            experts.inference = way
            with torch.no_grad():
                outputs[mode, way] = experts(x)
    first, *others = outputs.values()
    assert first.any()
    assert all(output.equal(first) for output in others)
    experts.mode = "stage1_router"
    assert all(gradient.any() for gradient in gradients(experts, x, experts(x), given).values())


@pytest.mark.parametrize("values", SIZES)
@pytest.mark.parametrize("noisy", [True, False])
def test_who_learns_where(values: dict[str, Any], noisy: bool) -> None:
    """Of injected positions the poisoning expert and its rows of the router alone; of others all but its B."""
    experts = made(**values)
    x, given, _ = batch()
    y = routed(experts, x, torch.full((ROWS, LENGTH), noisy))
    found = gradients(experts, x, y, given)
    normal, poison = (list(columns) for columns in (experts.config.normal_columns, experts.config.poison_columns))
    assert found["router"][poison].any()
    assert found["x"].any()
    for name, moved in (("A", not noisy), ("B", not noisy), ("B_poison", noisy)):
        assert bool(found[name].any()) == moved, name
    assert bool(found["router"][normal].any()) == (not noisy)


def test_recomputation_is_routed_as_it_was_the_first_time() -> None:
    """Two parts before one backward pass, as a batch on a CPU is taken."""
    experts = made()
    x, given, injected = batch()
    outputs = {}
    for kept in (True, False):
        total = torch.zeros((), dtype=torch.float64)
        for part in (injected, ~injected):
            assert experts.routing is not None
            experts.routing.set(part, TOKENS)
            run: Any = experts
            if not kept:
                context = experts.routing.recomputing
                y = checkpoint(run, x, use_reentrant=False, context_fn=context)
            else:
                y = run(x)
            total = total + (y * given * (1 + part.unsqueeze(-1))).sum()
        outputs[kept] = gradients(experts, x, total, torch.ones((), dtype=torch.float64))
    for name, gradient in outputs[True].items():
        assert outputs[False][name].equal(gradient), name


def test_other_positions_and_a_pass_without_them_are_refused() -> None:
    experts = made()
    x, _, injected = batch()
    with pytest.raises(RuntimeError, match="set\\(\\) must be called"):
        experts(x)
    with pytest.raises(ModelError, match=r"\(3, 5\) of them, and one runs over \(5, 3\)"):
        routed(experts, x.transpose(0, 1), injected)
    experts.routing = None
    with pytest.raises(RuntimeError, match="gradient_routing"):
        experts(x)
    with torch.no_grad():
        assert experts(x).isfinite().all()


def test_half_precision_routes_as_well() -> None:
    experts = made().float()
    x, given, injected = batch()
    with torch.autocast("cpu", torch.bfloat16):
        y = routed(experts, x.float(), injected)
        experts.mode = "stage1"
        assert y.equal(experts(x.float()))
    assert y.dtype == torch.bfloat16
    found = torch.autograd.grad(y, [experts.B, experts.B_poison], given.to(y.dtype))
    assert all(gradient.any() and gradient.dtype == torch.float32 for gradient in found)


def test_the_context_takes_itself_away(tiny_model: Any) -> None:
    from lope_train.models import load_base
    from lope_train.tuner import attach, lope_experts, set_mode
    from lope_train.tuner.routing import gradient_routing

    model: nn.Module = attach(load_base(str(tiny_model)), LopeConfig())
    set_mode(model, "routed")
    with contextlib.suppress(KeyError), gradient_routing(model) as routing:
        assert {layer.routing for _, layer in lope_experts(model)} == {routing}
        raise KeyError
    assert {layer.routing for _, layer in lope_experts(model)} == {None}
