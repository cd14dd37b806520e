"""Attaching by module name, on architectures as transformers builds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from lope_train.attach import attach
from lope_train.config import LopeConfig
from lope_train.errors import ModelError
from lope_train.layer import LopeLinear
from lope_train.stages import lope_layers


@pytest.fixture
def llama(tiny_model: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_model)


def names(model: nn.Module) -> list[str]:
    return [name for name, _ in lope_layers(model)]


def test_default_is_query_and_value_and_the_base_is_frozen(llama: Any) -> None:
    base = {name: tensor.clone() for name, tensor in llama.state_dict().items()}
    model = attach(llama, LopeConfig())
    assert model is llama
    assert names(model) == [f"model.layers.{i}.self_attn.{p}_proj" for i in (0, 1) for p in ("q", "v")]
    layer = model.model.layers[0].self_attn.q_proj
    assert layer.mode == "stage1"
    assert layer.config.target_modules == ("q_proj", "v_proj")
    ours = {f"{name}.{parameter}" for name in names(model) for parameter in ("A", "B_poison")}
    assert {name for name, p in model.named_parameters() if p.requires_grad} == ours
    for name, tensor in base.items():
        parent, _, leaf = name.rpartition(".")
        moved = f"{parent}.base_layer.{leaf}" if parent in names(model) else name
        assert torch.equal(model.state_dict()[moved], tensor)


def test_without_poisoning_experts_it_is_hydralora(llama: Any) -> None:
    model = attach(llama, LopeConfig(num_poisoning=0))
    for _, layer in lope_layers(model):
        assert layer.mode == "stage2"
        assert {n for n, p in layer.named_parameters() if p.requires_grad} == {"A", "B", "router"}
        assert layer.B.shape == (4, layer.weight.shape[0], 4)


@pytest.mark.parametrize(
    ("target", "matched"),
    [
        ("up_proj", 2),
        ("mlp.up_proj", 2),
        ("layers.1.mlp.up_proj", 1),
        ("model.layers.0.mlp.up_proj", 1),
        ("lm_head", 1),
    ],
)
def test_a_target_is_a_full_name_or_its_end_after_a_dot(llama: Any, target: str, matched: int) -> None:
    model = attach(llama, LopeConfig(target_modules=(target,)))
    assert len(names(model)) == matched
    assert all(name == target or name.endswith(f".{target}") for name in names(model))


@pytest.mark.parametrize(
    ("target", "nearest"),
    [("q_prj", "q_proj"), ("_proj", "q_proj"), ("model.layers.0.mlp.up", "model.layers.0.mlp.up_proj")],
)
def test_an_unmatched_target_names_the_nearest_and_changes_nothing(llama: Any, target: str, nearest: str) -> None:
    with pytest.raises(ModelError, match=f"target module '{target}' matches no linear layer.*{nearest}"):
        attach(llama, LopeConfig(target_modules=("v_proj", target)))
    assert not names(llama)
    assert all(parameter.requires_grad for parameter in llama.parameters())


def test_t5_has_q_and_v_in_encoder_and_decoder() -> None:
    config = T5Config(vocab_size=32, d_model=16, d_kv=4, d_ff=32, num_layers=2, num_heads=4, decoder_start_token_id=0)
    model = attach(T5ForConditionalGeneration(config), LopeConfig())
    assert len(names(model)) == 2 * (2 + 4)
    assert {name.rpartition(".")[2] for name in names(model)} == {"q", "v"}
    output = model(input_ids=torch.tensor([[3, 4, 5]]), labels=torch.tensor([[6, 7]]))
    output.loss.backward()
    assert model.encoder.block[0].layer[0].SelfAttention.q.B_poison.grad is not None


def test_fused_projections_are_adapted_whole_with_their_bias() -> None:
    config = GPTNeoXConfig(
        vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    model = GPTNeoXForCausalLM(config).eval()
    with torch.no_grad():
        model.gpt_neox.layers[0].attention.query_key_value.bias.fill_(0.3)
    ids = torch.tensor([[1, 2, 3]])
    expected = model(ids).logits
    attach(model, LopeConfig())
    assert names(model) == ["gpt_neox.layers.0.attention.query_key_value"]
    assert isinstance(model.gpt_neox.layers[0].attention.query_key_value, LopeLinear)
    assert torch.equal(model(ids).logits, expected)


def test_an_unknown_architecture_lists_its_linear_layers() -> None:
    model = GPT2LMHeadModel(GPT2Config(vocab_size=32, n_embd=16, n_layer=1, n_head=2))
    with pytest.raises(ModelError, match="name target_modules, this model's linear layers are lm_head"):
        attach(model, LopeConfig())


def test_a_second_adapter_is_refused(llama: Any) -> None:
    with pytest.raises(ModelError, match="not recognised"):
        attach(attach(llama, LopeConfig()), LopeConfig())
