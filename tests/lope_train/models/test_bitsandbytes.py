"""Adapters on a base that bitsandbytes holds in 4 or 8 bits, on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from lope_train.models.load import load_base
from lope_train.runs import load_adapter, save_adapter
from lope_train.tuner import (
    TRAINED,
    LopeConfig,
    LopeLinear,
    attach,
    features,
    head_parameters,
    is_linear,
    lope_experts,
    reset_head,
    set_mode,
    trained_names,
)

bitsandbytes = pytest.importorskip("bitsandbytes")

IDS = torch.tensor([[5, 9, 14, 30, 33, 8]])
BITS = ["4bit", "8bit"]
Load = Callable[..., Any]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    """A tiny Llama in so many bits; its sizes are multiples of 64, the block that is quantised together."""
    config = LlamaConfig(
        vocab_size=64, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4
    )
    folder = tmp_path_factory.mktemp("models") / "tiny"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        LlamaForCausalLM(config).save_pretrained(folder)
    return lambda bits, dtype="float32": load_base(str(folder), dtype, bits)


def filled(model: Any) -> Any:
    source = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _, experts in lope_experts(model):
            for parameter in experts.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=source) * 0.3)
    return model


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        result: Tensor = model.eval()(input_ids=IDS).logits
    return result


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_attach_adds_nothing_at_first_and_its_experts_are_float32(bits: str, dtype: str, load: Load) -> None:
    model = load(bits, dtype)
    expected = logits(model)
    attach(model, LopeConfig())
    assert len([*lope_experts(model)]) == 4
    layer = model.model.layers[0].self_attn.q_proj
    assert isinstance(layer, LopeLinear)
    assert is_linear(layer.base_layer)
    assert type(layer.base_layer).__module__.startswith("bitsandbytes.")
    assert features(layer) == (64, 64)
    assert not layer.weight.is_floating_point()
    assert {p.dtype for _, experts in lope_experts(model) for p in experts.parameters()} == {torch.float32}
    assert torch.equal(logits(model), expected)
    assert (logits(filled(model)) - expected).abs().max() > 0.1


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("mode", ["stage1", "stage2"])
def test_gradients_pass_the_base_and_reach_exactly_what_trains(bits: str, mode: Any, load: Load) -> None:
    model = filled(attach(load(bits), LopeConfig())).train()
    set_mode(model, mode)
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=0.01)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = model(input_ids=IDS, labels=IDS).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > losses[1] > losses[2]
    reached = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached == trained_names(model, mode)
    assert {name.rpartition(".")[2] for name in reached} == TRAINED[mode]


@pytest.mark.parametrize("bits", BITS)
def test_gradients_are_those_of_the_dequantised_base(bits: str, load: Load) -> None:
    def gradients(model: Any) -> dict[str, Tensor]:
        filled(attach(model, LopeConfig())).train()
        model(input_ids=IDS, labels=IDS).loss.backward()
        return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}

    plain = load(None)
    for name, module in load(bits).train().named_modules():
        if type(module).__module__.startswith("bitsandbytes.") and is_linear(module):
            with torch.no_grad():
                plain.get_submodule(name).weight.copy_(module(torch.eye(module.in_features)).T)
    got, expected = gradients(load(bits)), gradients(plain)
    assert got.keys() == expected.keys()
    for name, gradient in got.items():
        assert (gradient - expected[name]).norm() < 1e-3 * expected[name].norm(), name


@pytest.mark.filterwarnings("ignore:bitsandbytes..gemv_4bit")
@pytest.mark.parametrize(
    "bits",
    [
        "4bit",
        "8bit",
    ],
)
def test_an_evaluation_between_two_steps_leaves_the_gradients_as_they_are(bits: str, load: Load) -> None:
    model = filled(attach(load(bits), LopeConfig()))

    def gradients() -> dict[str, Tensor]:
        model.train().zero_grad()
        model(input_ids=IDS, labels=IDS).loss.backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    before = gradients()
    logits(model)
    after = gradients()
    assert after.keys() == before.keys()
    for name, gradient in after.items():
        assert (gradient - before[name]).norm() < 1e-3 * before[name].norm(), name


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("low_cpu_mem_usage", [False, True])
def test_a_saved_adapter_loads_bit_for_bit(bits: str, low_cpu_mem_usage: bool, load: Load, tmp_path: Path) -> None:
    model = filled(get_peft_model(load(bits), LopeConfig(task_type="CAUSAL_LM")))
    set_mode(model, "inference")
    expected = logits(model)
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(load(bits), tmp_path, low_cpu_mem_usage=low_cpu_mem_usage)
    assert torch.equal(logits(loaded), expected)
    state = {name: p for name, p in model.named_parameters() if ".lope_experts." in name}
    assert all(torch.equal(p, state[name]) for name, p in loaded.named_parameters() if name in state)
    again = filled(attach(load(bits), LopeConfig(task_type="CAUSAL_LM")))
    (tmp_path / "again").mkdir()
    save_adapter(again, tmp_path / "again")
    assert torch.equal(logits(load_adapter(load(bits), tmp_path / "again")), expected)


@pytest.mark.parametrize("bits", BITS)
def test_without_the_adapter_it_is_the_base(bits: str, load: Load) -> None:
    expected = logits(load(bits))
    model = filled(get_peft_model(load(bits), LopeConfig(task_type="CAUSAL_LM")))
    assert not torch.equal(logits(model), expected)
    with model.disable_adapter():
        assert torch.equal(logits(model), expected)
    assert torch.equal(logits(model.unload()), expected)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("family", ["bert", "roberta", "llama"])
def test_a_classification_head_is_not_quantised(
    bits: str, family: str, tiny_of: Callable[[str], Path], tmp_path: Path
) -> None:
    def base() -> Any:
        return load_base(str(tiny_of(family)), "bfloat16", bits, ("a", "b", "c"))

    model: Any = get_peft_model(base(), LopeConfig(task_type="SEQ_CLS"))
    assert any(type(module).__module__.startswith("bitsandbytes.") for module in model.modules())
    reset_head(model, 1, "1")
    head = dict(head_parameters(model))
    assert {parameter.dtype for parameter in head.values()} == {torch.float32}
    ids = IDS.clamp(max=20)
    model(input_ids=ids).logits[:, 0].sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in head.values())
    save_adapter(model, tmp_path)
    loaded = load_adapter(base(), tmp_path)
    with torch.no_grad():
        set_mode(model.eval(), "inference")
        assert torch.equal(loaded(input_ids=ids).logits, model(input_ids=ids).logits)
