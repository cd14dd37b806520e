"""The adapted layer: a base layer of any kind, and the experts of its adapters beside it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from lope_train.errors import ModelError
from lope_train.tuner.config import LopeConfig
from lope_train.tuner.experts import TRAINED, LopeExperts
from lope_train.tuner.layer import LopeLinear, features, is_linear

D_IN, D_OUT = 11, 7
NAMES = {"A", "B", "B_poison", "router"}


def linear(dtype: torch.dtype = torch.float32, kind: str = "linear") -> nn.Module:
    base: nn.Module = nn.Linear(D_IN, D_OUT) if kind == "linear" else Conv1D(D_OUT, D_IN)
    with torch.no_grad():
        for parameter in base.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return base.to(dtype).requires_grad_(False)


def make_layer(base: nn.Module | None = None, adapters: tuple[str, ...] = ("default",), **config: Any) -> LopeLinear:
    """A layer whose experts are not zero; the first adapter is active."""
    layer = LopeLinear(base or linear())
    for number, adapter in enumerate(adapters):
        layer.add_experts(adapter, LopeConfig(lora_alpha=8, **config), "layer")
        fill(layer.lope_experts[adapter], number)
    layer.set_adapter(adapters[0])
    return layer


def fill(experts: nn.Module, seed: int) -> None:
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in experts.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=source) * 0.5)


def inputs(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(2, 3, D_IN, generator=torch.Generator().manual_seed(5)).to(dtype)


def trains(layer: LopeLinear, adapter: str = "default") -> set[str]:
    return {name for name, p in layer.lope_experts[adapter].named_parameters() if p.requires_grad}


@pytest.mark.parametrize("kind", ["linear", "conv1d"])
def test_output_is_the_base_plus_the_update(kind: str) -> None:
    base = linear(kind=kind)
    layer = make_layer(base)
    x = inputs()
    update = layer.lope_experts["default"](x)
    assert update.abs().max() > 0.1
    assert torch.equal(layer(x), base(x) + update)
    assert isinstance(layer, BaseTunerLayer)
    assert layer.get_base_layer() is base
    assert layer.weight is base.weight
    assert layer.bias is base.bias


@pytest.mark.parametrize("kind", ["linear", "conv1d"])
def test_a_new_layer_leaves_the_base_as_it_is(kind: str) -> None:
    base = linear(kind=kind)
    layer = LopeLinear(base)
    layer.add_experts("default", LopeConfig(), "layer")
    layer.set_adapter("default")
    assert torch.equal(layer(inputs()), base(inputs()))


@pytest.mark.parametrize(
    ("dtype", "experts"),
    [
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
    ],
)
def test_the_output_has_the_dtype_of_the_base_and_the_experts_float32(dtype: torch.dtype, experts: torch.dtype) -> None:
    base = linear(dtype)
    layer = make_layer(base)
    assert {parameter.dtype for parameter in layer.lope_experts.parameters()} == {experts}
    x = inputs(dtype)
    y = layer(x)
    assert y.dtype == dtype
    assert torch.equal(y, (base(x).to(experts) + layer.lope_experts["default"](x)).to(dtype))


def test_dropout_reaches_the_adapter_and_not_the_base() -> None:
    layer = make_layer(lora_dropout=0.5)
    steady = layer.eval()(inputs())
    layer.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert not torch.equal(layer(inputs()), steady)
        nn.init.zeros_(layer.lope_experts["default"].B)
        nn.init.zeros_(layer.lope_experts["default"].B_poison)
        assert torch.equal(layer(inputs()), layer.base_layer(inputs()))


def test_active_adapters_add_up_and_disabled_ones_are_not_there() -> None:
    layer = make_layer(adapters=("one", "two"))
    x = inputs()
    base = layer.base_layer(x)
    one, two = (layer.lope_experts[name](x) for name in ("one", "two"))
    assert torch.equal(layer(x), base + one)
    layer.set_adapter(["two"])
    assert torch.equal(layer(x), base + two)
    layer.set_adapter(["one", "two"])
    assert torch.equal(layer(x), base + one + two)
    layer.set_adapter(["one", "nowhere"])
    assert torch.equal(layer(x), base + one)
    layer.enable_adapters(False)
    assert torch.equal(layer(x), base)
    layer.enable_adapters(True)
    assert torch.equal(layer(x), base + one)
    layer.delete_adapter("one")
    layer.set_adapter([])
    assert torch.equal(layer(x), base)


@pytest.mark.parametrize("mode", ["stage1", "stage2", "inference"])
def test_only_what_the_mode_trains_is_ever_freed(mode: Any) -> None:
    layer = make_layer(adapters=("default", "other"))
    assert TRAINED[mode] <= NAMES
    layer.lope_experts["default"].mode = mode
    for change in (
        lambda: layer.set_adapter("default"),
        lambda: layer.set_adapter(["default", "other"]),
        lambda: layer.set_requires_grad("default"),
        lambda: layer.set_requires_grad(["default", "other"]),
        lambda: layer.enable_adapters(True),
    ):
        layer.lope_experts["default"].requires_grad_(False)
        change()
        assert trains(layer) == TRAINED[mode]
    for change in (
        lambda: layer.set_adapter("default", inference_mode=True),
        lambda: layer.set_adapter("other"),
        lambda: layer.set_requires_grad("default", requires_grad=False),
        lambda: layer.enable_adapters(False),
    ):
        layer.set_adapter("default")
        change()
        assert trains(layer) == set()


def test_an_adapter_added_beside_another_leaves_it_as_it_is() -> None:
    layer = make_layer()
    layer.lope_experts["default"].mode = "stage2"
    layer.set_adapter("default")
    before = copy.deepcopy(layer)
    layer.add_experts("other", LopeConfig(num_poisoning=0, num_experts=2, r=2), "layer")
    assert trains(layer) == {"A", "B", "router"}
    assert torch.equal(layer(inputs()), before(inputs()))


@pytest.mark.parametrize("training", [True, False])
def test_new_experts_are_in_training_mode_where_the_base_is(training: bool) -> None:
    layer = make_layer(linear().train(training), lora_dropout=0.5)
    assert {module.training for module in layer.modules()} == {training}
    layer.train(not training)
    layer.add_experts("other", LopeConfig(lora_dropout=0.5), "layer")
    assert {module.training for module in layer.modules()} == {not training}


@pytest.mark.parametrize("mode", ["stage1", "stage2", "inference"])
def test_it_compiles_into_one_graph(mode: Any) -> None:
    layer = make_layer()
    layer.lope_experts["default"].mode = mode
    layer.set_adapter("default", inference_mode=mode == "inference")
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    assert torch.equal(compiled(inputs()), layer(inputs()))


def test_moving_the_adapter_to_the_base_keeps_its_dtype() -> None:
    layer = make_layer(linear(torch.bfloat16))
    before = copy.deepcopy(layer)
    layer._move_adapter_to_device_of_base_layer("default")
    layer._move_adapter_to_device_of_base_layer("nowhere")
    state = before.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in layer.state_dict().items())
    assert {parameter.dtype for parameter in layer.lope_experts.parameters()} == {torch.float32}


def test_it_cannot_be_merged() -> None:
    layer = make_layer()
    with pytest.raises(ModelError, match="routed by token cannot be merged into the base weights"):
        layer.merge()
    layer.unmerge()
    assert not layer.merged


def test_features_are_those_of_the_base() -> None:
    for module in (linear(), linear(kind="conv1d"), make_layer(), make_layer(linear(kind="conv1d"))):
        assert is_linear(module)
        assert features(module) == (D_IN, D_OUT)
    assert not any(map(is_linear, (nn.LayerNorm(4), nn.Embedding(4, 4), nn.Conv1d(4, 4, 1), nn.Identity())))


def test_layers_show_and_save_what_they_hold() -> None:
    layer = make_layer()
    assert "r=4, normal=3, poisoning=1, mode=stage1" in repr(layer)
    assert layer.state_dict().keys() == {
        "base_layer.weight",
        "base_layer.bias",
        *(f"lope_experts.default.{name}" for name in NAMES),
    }
    assert isinstance(layer.active_experts[0], LopeExperts)
