"""The fused layer against a slow, literal reading of the paper's formulas: one token, one expert at a time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lope_train.compensation import compensate
from lope_train.config import LopeConfig
from lope_train.errors import SettingsError
from lope_train.layer import LopeLinear

D_IN, D_OUT = 11, 7
WAYS = [
    ("stage1", True, True),
    ("stage2", True, True),
    ("inference", True, True),
    ("inference", True, False),
    ("inference", False, False),
]


def literal(layer: LopeLinear, x: Tensor, parameters: dict[str, Tensor]) -> Tensor:
    """y = W0 x + s sum_i w_i B_i A x for every token of `x` (tokens, d_in), by loops."""
    config = layer.config
    experts = {column: parameters["B"][i] for i, column in enumerate(config.normal_index)}
    poison = {column: parameters["B_poison"][i] for i, column in enumerate(config.poison_index)}
    outputs = []
    for token in x:
        z = parameters["A"] @ token
        logits = [
            parameters["router"][column] @ (z if config.router_input == "latent" else token)
            for column in range(config.num_experts)
        ]
        largest = max(logits)
        exps = [(logit - largest).exp() for logit in logits]
        w = [e / sum(exps) for e in exps]
        taking_part = {**experts, **poison}
        if layer.mode == "inference" and layer.masked and poison:
            taking_part = experts
            if layer.compensated:
                w = literal_compensation(config, w, z, experts, poison)
        update = sum(w[column] * (B @ z) for column, B in taking_part.items())
        y = parameters["W0"] @ token + config.lora_alpha / config.r * update
        outputs.append(y + parameters["bias"] if "bias" in parameters else y)
    return torch.stack(outputs)


def literal_compensation(
    config: LopeConfig, w: list[Tensor], z: Tensor, experts: dict[int, Tensor], poison: dict[int, Tensor]
) -> list[Tensor]:
    y_D = sum(w[column] * (B @ z) for column, B in poison.items())
    theta = {
        column: (B @ z) @ y_D / ((B @ z).norm().clamp_min(1e-8) * y_D.norm().clamp_min(1e-8))
        for column, B in experts.items()
    }
    k = len(experts) if config.compensation_experts is None else config.compensation_experts
    chosen = sorted(experts, key=lambda column: -theta[column].item())[:k]
    beta = 1.0
    if config.normalize == "sum" and chosen:
        rest = sum(w[column] for column in experts if column not in chosen)
        beta = (1 - rest) / sum(w[column] * (1 + theta[column]) for column in chosen)
    amplified = list(w)
    for column in chosen:
        amplified[column] = beta * w[column] * (1 + theta[column])
    return amplified


def make_layer(dtype: torch.dtype = torch.float64, bias: bool = True, **config: Any) -> LopeLinear:
    """A layer whose experts are not zero."""
    source = torch.Generator().manual_seed(3)
    base = nn.Linear(D_IN, D_OUT, bias=bias, dtype=dtype).requires_grad_(False)
    layer = LopeLinear(base, LopeConfig(**{"lora_alpha": 8, "num_experts": 5, **config}), "layer")
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=source, dtype=torch.float64) * 0.5)
    return layer


def run_as(layer: LopeLinear, mode: Any, masked: bool, compensated: bool) -> None:
    layer.mode, layer.masked, layer.compensated = mode, masked, compensated


def adapter(layer: LopeLinear) -> dict[str, Tensor]:
    return dict(layer.named_parameters(recurse=False))


@pytest.mark.parametrize(("mode", "masked", "compensated"), WAYS)
@pytest.mark.parametrize("router_input", ["latent", "hidden"])
@pytest.mark.parametrize("num_poisoning", [0, 1, 2])
@pytest.mark.parametrize("experts", [0, 1, 2, None])
@pytest.mark.parametrize("normalize", ["sum", "none"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_forward_and_gradients_equal_the_literal_formulas(
    mode: Any,
    masked: bool,
    compensated: bool,
    router_input: str,
    num_poisoning: int,
    experts: int | None,
    normalize: str,
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    layer = make_layer(
        dtype,
        num_poisoning=num_poisoning,
        router_input=router_input,
        compensation_experts=experts,
        normalize=normalize,
    )
    run_as(layer, mode, masked, compensated)
    source = torch.Generator().manual_seed(5)
    x = torch.randn(2, 3, D_IN, generator=source, dtype=dtype, requires_grad=True)
    pull = torch.randn(2, 3, D_OUT, generator=source, dtype=dtype)
    names = [*adapter(layer), "x"]

    y = layer(x)
    gradients = torch.autograd.grad((y * pull).sum(), [*adapter(layer).values(), x], allow_unused=True)

    exact = {name: p.detach().double().requires_grad_() for name, p in adapter(layer).items()}
    exact.setdefault("B_poison", torch.zeros(0, D_OUT, layer.config.r, dtype=torch.float64))
    frozen = {"W0": layer.base_layer.weight.double(), "bias": layer.base_layer.bias.double()}
    tokens = x.detach().double().requires_grad_()
    expected = literal(layer, tokens.reshape(-1, D_IN), {**exact, **frozen}).reshape(2, 3, D_OUT)
    expected_gradients = torch.autograd.grad(
        (expected * pull.double()).sum(), [*(exact[name] for name in names[:-1]), tokens], allow_unused=True
    )

    assert_near(y, expected, tolerance, "y")
    for name, got, want in zip(names, gradients, expected_gradients, strict=True):
        zero = torch.zeros(()).double()
        assert_near(zero if got is None else got, zero if want is None else want, tolerance, name)
    if mode != "inference":
        assert all(gradient is not None and gradient.any() for gradient in gradients)


def assert_near(got: Tensor, want: Tensor, tolerance: float, name: str) -> None:
    scale = max(1.0, want.abs().max().item())
    assert (got.double() - want).abs().max().item() <= tolerance * scale, name


def test_the_ways_to_run_differ() -> None:
    layer = make_layer(num_poisoning=1)
    x = torch.randn(4, D_IN, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    outputs = []
    for way in WAYS:
        run_as(layer, *way)
        outputs.append(layer(x))
    stage1, stage2, compensated, masked, unmasked = outputs
    assert torch.equal(stage1, stage2)
    assert torch.equal(stage1, unmasked)
    assert not torch.allclose(masked, unmasked)
    assert not torch.allclose(masked, compensated)


def test_no_experts_taking_part_is_plain_masking() -> None:
    x = torch.randn(4, D_IN, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    none, plain = make_layer(compensation_experts=0), make_layer()
    run_as(none, "inference", True, True)
    run_as(plain, "inference", True, False)
    plain.base_layer = none.base_layer
    assert torch.equal(none(x), plain(x))


def test_a_new_layer_leaves_the_base_as_it_is_and_stays_finite() -> None:
    base = nn.Linear(D_IN, D_OUT)
    layer = LopeLinear(base, LopeConfig(), "layer")
    x = torch.randn(4, D_IN, generator=torch.Generator().manual_seed(1), requires_grad=True)
    for way in WAYS:
        run_as(layer, *way)
        y = layer(x)
        assert torch.equal(y, base(x))
        gradients = torch.autograd.grad(y.sum(), [x, layer.A, layer.router])
        assert all(gradient.isfinite().all() for gradient in gradients)
    assert layer.router.abs().max() > 0
    assert layer.A.abs().max() > 0


def test_initial_values_depend_on_seed_and_name_alone() -> None:
    def values(name: str = "layer", **config: Any) -> Tensor:
        layer = LopeLinear(nn.Linear(D_IN, D_OUT), LopeConfig(**config), name)
        return torch.cat([layer.A.flatten(), layer.router.flatten()])

    base = nn.Linear(D_IN, D_OUT)
    before = torch.random.get_rng_state()
    LopeLinear(base, LopeConfig(), "layer")
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(values(), values())
    assert not torch.equal(values(), values("other"))
    assert not torch.equal(values(), values(seed=615))
    hydralora = LopeLinear(base, LopeConfig(num_poisoning=0), "layer")
    assert torch.equal(hydralora.A, LopeLinear(base, LopeConfig(), "layer").A)
    assert hydralora.B_poison is None
    assert "B_poison" not in dict(hydralora.named_parameters())


def test_initial_values_are_kaiming_uniform() -> None:
    layer = LopeLinear(nn.Linear(400, 8), LopeConfig(r=16, router_input="hidden"), "layer")
    bound = 400**-0.5  # a = sqrt(5): sqrt(6 / (1 + 5)) / sqrt(fan_in)
    for values in (layer.A, layer.router):
        assert values.abs().max().item() == pytest.approx(bound, rel=0.01)
        assert values.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)


def test_a_bfloat16_base_keeps_its_dtype_and_the_adapter_is_float32() -> None:
    layer = LopeLinear(nn.Linear(D_IN, D_OUT, dtype=torch.bfloat16), LopeConfig(), "layer")
    assert {parameter.dtype for parameter in layer.parameters(recurse=False)} == {torch.float32}
    x = torch.ones(2, D_IN, dtype=torch.bfloat16)
    for way in WAYS:
        run_as(layer, *way)
        assert layer(x).dtype == torch.bfloat16


def test_dropout_reaches_the_adapter_and_not_the_base() -> None:
    layer = make_layer(lora_dropout=0.5)
    x = torch.ones(64, D_IN, dtype=torch.float64)
    layer.eval()
    steady = layer(x)
    layer.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert not torch.equal(layer(x), steady)
        nn.init.zeros_(layer.B)
        nn.init.zeros_(layer.B_poison)
        assert torch.equal(layer(x), layer.base_layer(x))


def test_gram_matrices_are_kept_until_a_weight_changes() -> None:
    layer = make_layer().requires_grad_(False)
    layer.mode = "inference"
    x = torch.randn(4, D_IN, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.inference_mode():
        first = layer(x)
        kept = layer._grams
        assert torch.equal(layer(x), first)
        assert layer._grams is kept
    x.requires_grad_()
    torch.autograd.grad(layer(x).sum(), x)  # the matrices made under inference_mode serve a backward pass
    for name, parameter in adapter(layer).items():
        changed = parameter + torch.linspace(0, 1, parameter.numel(), dtype=torch.float64).view_as(parameter)
        for in_place in (True, False):
            if in_place:
                parameter.copy_(changed)
            else:
                replacement = nn.Parameter(changed * 2, requires_grad=False)
                while replacement._version < parameter._version:
                    replacement.mul_(1)  # a replacement whose version number is the same
                setattr(layer, name, replacement)
            after = layer(x)
            layer._grams = None
            assert torch.equal(after, layer(x)), name


@pytest.mark.parametrize(
    ("weights", "theta", "experts", "normalize", "expected"),
    [
        ([0.2, 0.3, 0.1], [1.0, 0.0, -0.5], None, "none", [0.4, 0.3, 0.05]),
        ([0.2, 0.3, 0.1], [1.0, 0.0, -0.5], None, "sum", [0.4 / 0.75, 0.3 / 0.75, 0.05 / 0.75]),
        ([0.2, 0.3, 0.1], [1.0, 0.0, -0.5], 1, "sum", [0.6, 0.3, 0.1]),
        ([0.2, 0.3, 0.1], [1.0, 0.5, -0.5], 2, "sum", [0.9 * 0.4 / 0.85, 0.9 * 0.45 / 0.85, 0.1]),
        ([0.2, 0.3, 0.1], [1.0, 0.0, -0.5], 0, "sum", [0.2, 0.3, 0.1]),
        ([0.2, 0.3, 0.1], [1.0, 0.0, -0.5], 9, "none", [0.4, 0.3, 0.05]),
        # nothing is left to scale up: plain renormalisation
        ([0.2, 0.3, 0.1], [-1.0, -1.0, -1.0], None, "sum", [0.2 / 0.6, 0.3 / 0.6, 0.1 / 0.6]),
        # equal theta: the first in order take part
        ([0.2, 0.3, 0.1], [0.0, 0.0, 0.0], 1, "sum", [0.6, 0.3, 0.1]),
    ],
)
def test_compensation_by_hand(
    weights: list[float], theta: list[float], experts: int | None, normalize: Any, expected: list[float]
) -> None:
    w, cosines, want = (torch.tensor(values, dtype=torch.float64) for values in (weights, theta, expected))
    torch.testing.assert_close(compensate(w, cosines, experts, normalize), want, rtol=0, atol=1e-15)


def test_poison_index_is_drawn_by_the_seed() -> None:
    drawn = {LopeConfig(seed=seed).poison_index for seed in range(40)}
    assert drawn == {(0,), (1,), (2,), (3,)}
    assert LopeConfig(seed=1).poison_index == LopeConfig(seed=1).poison_index
    two = LopeConfig(num_experts=6, num_poisoning=2)
    assert sorted(two.poison_index + two.normal_index) == list(range(6))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"r": 0}, "'r' is 0"),
        ({"lora_dropout": 1.0}, "'lora_dropout' is 1.0"),
        ({"num_poisoning": 4}, "at least one expert must be normal"),
        ({"poison_index": (7,)}, "poison_index"),
        ({"poison_index": (1, 1), "num_poisoning": 2}, "poison_index"),
        ({"router_inputs": "latent"}, "did you mean 'router_input'"),
        ({"router_input": "x"}, "'router_input' is 'x'"),
    ],
)
def test_config_refuses(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        LopeConfig(**values)
