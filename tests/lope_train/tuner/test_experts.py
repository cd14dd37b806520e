"""The fused experts against a slow, literal reading of the paper's formulas: one token, one expert at a time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lope_train.tuner.compensation import compensate
from lope_train.tuner.config import LopeConfig
from lope_train.tuner.experts import LopeExperts
from lope_train.tuner.inference import Inference

D_IN, D_OUT = 11, 7
WAYS = [
    ("stage1", Inference.COMPENSATED),
    *(("stage2", inference) for inference in Inference),
    *(("inference", inference) for inference in Inference),
]
PLAIN = [way for way in WAYS if way[0] == "stage1" or way[1] is not Inference.COMPENSATED]
PRECISIONS = pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
State = dict[str, Tensor]


def literal(experts: LopeExperts, x: Tensor, parameters: State) -> Tensor:
    """s sum_i w_i B_i A x for every token of `x` (tokens, d_in), by loops."""
    config = experts.config
    normal = {column: parameters["B"][i] for i, column in enumerate(config.normal_columns)}
    poison = {column: parameters["B_poison"][i] for i, column in enumerate(config.poison_columns)}
    outputs = []
    for token in x:
        z = parameters["A"] @ token
        read = z if config.router_input == "latent" else token
        exps = [(parameters["router"][column] @ read).exp() for column in range(config.num_experts)]
        w = [e / sum(exps) for e in exps]
        taking_part = {**normal, **poison}
        if experts.mode != "stage1" and experts.inference.masked and poison:
            taking_part = normal
            if experts.inference.compensated:
                w = literal_compensation(config, w, z, normal, poison)
        outputs.append(config.lora_alpha / config.r * sum(w[column] * (B @ z) for column, B in taking_part.items()))
    return torch.stack(outputs)


def literal_compensation(
    config: LopeConfig, w: list[Tensor], z: Tensor, normal: dict[int, Tensor], poison: dict[int, Tensor]
) -> list[Tensor]:
    y_D = sum(w[column] * (B @ z) for column, B in poison.items())
    theta = {
        column: (B @ z) @ y_D / ((B @ z).norm().clamp_min(1e-8) * y_D.norm().clamp_min(1e-8))
        for column, B in normal.items()
    }
    if config.theta == "zero":
        theta = {column: torch.zeros_like(value) for column, value in theta.items()}
    k = len(normal) if config.compensation_experts is None else config.compensation_experts
    chosen = sorted(normal, key=lambda column: -theta[column].item())[:k]
    beta = 1.0
    if config.normalize == "sum" and chosen:
        rest = sum(w[column] for column in normal if column not in chosen)
        beta = (1 - rest) / sum(w[column] * (1 + theta[column]) for column in chosen)
    amplified = list(w)
    for column in chosen:
        amplified[column] = beta * w[column] * (1 + theta[column])
    return amplified


def make_experts(dtype: torch.dtype = torch.float64, **config: Any) -> LopeExperts:
    """Experts that are not zero."""
    source = torch.Generator().manual_seed(3)
    experts = LopeExperts(D_IN, D_OUT, LopeConfig(**{"lora_alpha": 8, "num_experts": 5, **config}), "layer", dtype)
    with torch.no_grad():
        for parameter in experts.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=source, dtype=torch.float64) * 0.5)
    return experts


def run_as(experts: LopeExperts, mode: Any, inference: Inference = Inference.COMPENSATED) -> None:
    experts.mode, experts.inference = mode, inference


def tokens(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 5) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def assert_equals_the_formulas(experts: LopeExperts, dtype: torch.dtype, tolerance: float) -> None:
    """Output and all gradients, on two rows of three tokens."""
    parameters = dict(experts.named_parameters())
    names = [*parameters, "x"]
    x = tokens(2, 3, D_IN, dtype=dtype).requires_grad_()
    pull = tokens(2, 3, D_OUT, dtype=dtype, seed=6)
    y = experts(x)
    gradients = torch.autograd.grad((y * pull).sum(), [*parameters.values(), x], allow_unused=True)

    exact = {name: parameter.detach().double().requires_grad_() for name, parameter in parameters.items()}
    flat = x.detach().double().requires_grad_()
    expected = literal(experts, flat.reshape(-1, D_IN), exact).reshape(2, 3, D_OUT)
    wanted = torch.autograd.grad((expected * pull.double()).sum(), [*exact.values(), flat], allow_unused=True)

    assert_near(y, expected, tolerance, "y")
    zero = torch.zeros((), dtype=torch.float64)
    for name, got, want in zip(names, gradients, wanted, strict=True):
        assert_near(zero if got is None else got, zero if want is None else want, tolerance, name)
    if experts.mode == "stage1" or not experts.inference.masked:
        assert all(gradient is not None and gradient.any() for gradient in gradients)


def assert_near(got: Tensor, want: Tensor, tolerance: float, name: str) -> None:
    scale = max(1.0, want.abs().max().item())
    assert (got.double() - want).abs().max().item() <= tolerance * scale, name


@pytest.mark.parametrize("way", PLAIN, ids=str)
@pytest.mark.parametrize("router_input", ["latent", "hidden"])
@pytest.mark.parametrize("num_poisoning", [0, 1, 2])
@PRECISIONS
def test_forward_and_gradients_equal_the_literal_formulas(
    way: Any, router_input: str, num_poisoning: int, dtype: torch.dtype, tolerance: float
) -> None:
    experts = make_experts(dtype, num_poisoning=num_poisoning, router_input=router_input)
    run_as(experts, *way)
    assert_equals_the_formulas(experts, dtype, tolerance)


@pytest.mark.parametrize("router_input", ["latent", "hidden"])
@pytest.mark.parametrize("num_poisoning", [0, 1, 2])
@pytest.mark.parametrize("compensation_experts", [0, 1, 2, None])
@pytest.mark.parametrize("normalize", ["sum", "none"])
@pytest.mark.parametrize("theta", ["cosine", "zero"])
@pytest.mark.parametrize("mode", ["stage2", "inference"])
@PRECISIONS
def test_compensation_equals_the_literal_formulas(
    router_input: str,
    num_poisoning: int,
    compensation_experts: int | None,
    normalize: str,
    theta: str,
    mode: str,
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    experts = make_experts(
        dtype,
        router_input=router_input,
        num_poisoning=num_poisoning,
        compensation_experts=compensation_experts,
        normalize=normalize,
        theta=theta,
    )
    run_as(experts, mode, Inference.COMPENSATED)
    assert_equals_the_formulas(experts, dtype, tolerance)


def test_the_ways_to_run_differ() -> None:
    experts = make_experts(num_poisoning=1)
    x = tokens(4, D_IN)
    outputs = []
    for way in WAYS:
        run_as(experts, *way)
        outputs.append(experts(x))
    stage1, *both = outputs
    stage2, inference = both[:3], both[3:]
    assert all(map(torch.equal, stage2, inference))  # stage II trains what is used
    compensated, masked, unmasked = inference
    assert torch.equal(stage1, unmasked)
    assert not torch.equal(masked, unmasked)
    assert not torch.equal(compensated, masked)
    run_as(experts, "inference", Inference.COMPENSATED)
    controls = [{"theta": "zero"}, {"normalize": "none"}, {"compensation_experts": 1}]
    for control in controls:
        other = make_experts(num_poisoning=1, **control)
        run_as(other, "inference", Inference.COMPENSATED)
        assert not torch.equal(other(x), compensated), control
    none = make_experts(num_poisoning=1, compensation_experts=0)
    run_as(none, "inference", Inference.COMPENSATED)
    assert torch.equal(none(x), masked)


@pytest.mark.parametrize(
    ("inference", "masked", "compensated"),
    [("compensated", True, True), ("masked", True, False), ("unmasked", False, False)],
)
def test_the_config_says_how_to_infer(inference: Any, masked: bool, compensated: bool) -> None:
    experts = make_experts(inference=inference)
    assert (experts.mode, experts.inference) == ("stage1", inference)
    assert (experts.inference.masked, experts.inference.compensated) == (masked, compensated)
    assert make_experts(inference_mode=True).mode == "inference"
    assert make_experts(num_poisoning=0).mode == "stage2"


def test_new_experts_add_nothing_and_stay_finite() -> None:
    experts = LopeExperts(D_IN, D_OUT, LopeConfig(), "layer")
    x = tokens(4, D_IN, dtype=torch.float32).requires_grad_()
    for way in WAYS:
        run_as(experts, *way)
        y = experts(x)
        assert not y.any()
        gradients = torch.autograd.grad(y.sum(), [x, experts.A, experts.router])
        assert all(gradient.isfinite().all() for gradient in gradients)
    assert experts.router.abs().max() > 0
    assert experts.A.abs().max() > 0


def test_initial_values_depend_on_seed_and_name_alone() -> None:
    def values(name: str = "layer", **config: Any) -> Tensor:
        experts = LopeExperts(D_IN, D_OUT, LopeConfig(**config), name)
        return torch.cat([experts.A.flatten(), experts.router.flatten()])

    before = torch.random.get_rng_state()
    assert torch.equal(values(), values())
    assert torch.equal(before, torch.random.get_rng_state())
    assert not torch.equal(values(), values("other"))
    assert not torch.equal(values(), values(seed=615))
    hydralora = LopeExperts(D_IN, D_OUT, LopeConfig(num_poisoning=0), "layer")
    assert torch.equal(hydralora.A, LopeExperts(D_IN, D_OUT, LopeConfig(), "layer").A)
    assert hydralora.B_poison is None
    assert {name for name, _ in hydralora.named_parameters()} == {"A", "B", "router"}


def test_initial_values_are_kaiming_uniform() -> None:
    experts = LopeExperts(400, 8, LopeConfig(r=16, router_input="hidden"), "layer")
    bound = 400**-0.5  # a = sqrt(5): sqrt(6 / (1 + 5)) / sqrt(fan_in)
    for values in (experts.A, experts.router):
        assert values.abs().max().item() == pytest.approx(bound, rel=0.01)
        assert values.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)


def test_shapes_are_as_in_the_paper() -> None:
    config = LopeConfig(r=3, num_experts=5, num_poisoning=2)
    shapes = {name: tuple(p.shape) for name, p in LopeExperts(D_IN, D_OUT, config, "layer").named_parameters()}
    assert shapes == {"A": (3, D_IN), "B": (3, D_OUT, 3), "B_poison": (2, D_OUT, 3), "router": (5, 3)}
    hidden = LopeExperts(D_IN, D_OUT, LopeConfig(router_input="hidden"), "layer")
    assert hidden.router.shape == (4, D_IN)
    assert hidden.state_dict().keys() == {"A", "B", "B_poison", "router"}


def test_weights_sum_to_one_and_those_of_poison_come_last() -> None:
    experts = make_experts(poison_index=[1, 3], num_poisoning=2)
    x = tokens(6, D_IN)
    z = x @ experts.A.T
    weights = experts.expert_weights(x, z)
    columns = torch.softmax(z @ experts.router.T, -1)
    torch.testing.assert_close(weights, columns[:, [0, 2, 4, 1, 3]], rtol=0, atol=1e-15)
    run_as(experts, "inference", Inference.COMPENSATED)
    conserved = experts.expert_weights(x, z)
    assert conserved.shape == (6, 3)
    torch.testing.assert_close(conserved.sum(-1), torch.ones(6, dtype=torch.float64), rtol=0, atol=1e-12)


def test_dropout_is_on_the_input_of_a() -> None:
    experts = make_experts(lora_dropout=0.5)
    x = torch.ones(64, D_IN, dtype=torch.float64)
    steady = experts.eval()(x)
    experts.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert not torch.equal(experts(x), steady)
        torch.manual_seed(1)
        dropped = experts(x)
        torch.manual_seed(1)
        kept = nn.functional.dropout(x, 0.5)
    torch.testing.assert_close(dropped, experts.eval()(kept), rtol=0, atol=1e-12)


def test_autocast_computes_in_its_dtype_and_the_softmax_and_theta_in_float32() -> None:
    experts = make_experts(torch.float32)
    x = tokens(4, D_IN, dtype=torch.float32)
    for way in WAYS:
        run_as(experts, *way)
        exact = experts(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = experts(x)
            weights = experts.expert_weights(x, x @ experts.A.T)
        assert (rough.dtype, weights.dtype) == (torch.bfloat16, torch.float32)
        assert (rough - exact).norm() < 0.03 * exact.norm()


@pytest.mark.parametrize("router_input", ["latent", "hidden"])
@pytest.mark.parametrize("theta", ["cosine", "zero"])
def test_where_weights_are_renormalised_rounding_does_not_train_the_poisoning_experts_router(
    router_input: str, theta: str
) -> None:
    """Its weight cancels; an optimizer that divides by the size of a gradient would take what rounding leaves of it."""
    experts = make_experts(torch.float32, num_poisoning=1, router_input=router_input, theta=theta)
    poison = list(experts.config.poison_columns)
    for mode in ("stage2", "inference"):
        run_as(experts, mode, Inference.COMPENSATED)
        (gradient,) = torch.autograd.grad(experts(tokens(9, D_IN, dtype=torch.float32)).square().sum(), experts.router)
        assert gradient.any()
        assert not gradient[poison].any()
    run_as(experts, "stage2", Inference.MASKED)
    (gradient,) = torch.autograd.grad(experts(tokens(9, D_IN, dtype=torch.float32)).square().sum(), experts.router)
    assert gradient[poison].all()


def test_gram_matrices_are_kept_until_a_weight_changes() -> None:
    experts = make_experts().requires_grad_(False)
    experts.mode = "inference"
    x = tokens(4, D_IN)
    with torch.inference_mode():
        first = experts(x)
        kept = experts._kept
        assert torch.equal(experts(x), first)
        assert experts._kept is kept
    x.requires_grad_()
    torch.autograd.grad(experts(x).sum(), x)  # the matrices made under inference_mode serve a backward pass
    for name, parameter in experts.named_parameters():
        changed = parameter + torch.linspace(0, 1, parameter.numel(), dtype=torch.float64).view_as(parameter)
        for in_place in (True, False):
            if in_place:
                parameter.copy_(changed)
            else:
                replacement = nn.Parameter(changed * 2, requires_grad=False)
                while replacement._version < parameter._version:
                    replacement.mul_(1)  # a replacement whose version number is the same
                setattr(experts, name, replacement)
            after = experts(x)
            experts._kept = None
            assert torch.equal(after, experts(x)), name


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
