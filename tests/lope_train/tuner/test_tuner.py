"""Attaching by module name, on architectures as transformers builds them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from lope_train.errors import ModelError
from lope_train.tuner.config import LopeConfig
from lope_train.tuner.experts import TRAINED
from lope_train.tuner.layer import LopeLinear
from lope_train.tuner.model import attach
from lope_train.tuner.modes import lope_experts, set_mode

SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
TOKENS = {"vocab_size": 40, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
ATTENTIONS = ("encoder.layers.{}.self_attn", "decoder.layers.{}.self_attn", "decoder.layers.{}.encoder_attn")
T5_ATTENTIONS = (
    "encoder.block.{}.layer.0.SelfAttention",
    "decoder.block.{}.layer.0.SelfAttention",
    "decoder.block.{}.layer.1.EncDecAttention",
)


class Architecture(NamedTuple):
    make: Callable[[], Any]
    adapted: list[str]
    """What is adapted by default, by full name with {} for the number of the layer."""


def architecture(model: Any, config: Any, *adapted: str) -> Architecture:
    return Architecture(lambda: model(config), [name.format(layer) for layer in (0, 1) for name in adapted])


ARCHITECTURES = {
    "llama": architecture(
        LlamaForCausalLM,
        LlamaConfig(**SIZES, **TOKENS, num_key_value_heads=1, tie_word_embeddings=True),
        "model.layers.{}.self_attn.q_proj",
        "model.layers.{}.self_attn.v_proj",
    ),
    "qwen2": architecture(  # its projections have biases
        Qwen2ForCausalLM,
        Qwen2Config(**SIZES, **TOKENS, num_key_value_heads=2),
        "model.layers.{}.self_attn.q_proj",
        "model.layers.{}.self_attn.v_proj",
    ),
    "gpt_neox": architecture(
        GPTNeoXForCausalLM, GPTNeoXConfig(**SIZES, **TOKENS), "gpt_neox.layers.{}.attention.query_key_value"
    ),
    "phi3": architecture(Phi3ForCausalLM, Phi3Config(**SIZES, **TOKENS), "model.layers.{}.self_attn.qkv_proj"),
    "gpt2": architecture(
        GPT2LMHeadModel,
        GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=2, bos_token_id=1, eos_token_id=2),
        "transformer.h.{}.attn.c_attn",
    ),
    "bert": architecture(
        BertForMaskedLM,
        BertConfig(**SIZES, vocab_size=40),
        "bert.encoder.layer.{}.attention.self.query",
        "bert.encoder.layer.{}.attention.self.value",
    ),
    "modernbert": architecture(
        ModernBertForMaskedLM,
        ModernBertConfig(**SIZES, **TOKENS, cls_token_id=1, sep_token_id=2),
        "model.layers.{}.attn.Wqkv",
    ),
    "distilbert": architecture(
        DistilBertForSequenceClassification,
        DistilBertConfig(vocab_size=40, dim=16, hidden_dim=24, n_layers=2, n_heads=2),
        "distilbert.transformer.layer.{}.attention.q_lin",
        "distilbert.transformer.layer.{}.attention.v_lin",
    ),
    "deberta": architecture(
        DebertaV2ForSequenceClassification,
        DebertaV2Config(**SIZES, vocab_size=40),
        "deberta.encoder.layer.{}.attention.self.query_proj",
        "deberta.encoder.layer.{}.attention.self.value_proj",
    ),
    "t5": architecture(
        T5ForConditionalGeneration,
        T5Config(vocab_size=40, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2, decoder_start_token_id=0),
        *(f"{attention}.{projection}" for attention in T5_ATTENTIONS for projection in ("q", "v")),
    ),
    "bart": architecture(
        BartForConditionalGeneration,
        BartConfig(
            **TOKENS,
            d_model=16,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=24,
            decoder_ffn_dim=24,
            decoder_start_token_id=2,
        ),
        *(f"model.{attention}.{projection}" for attention in ATTENTIONS for projection in ("q_proj", "v_proj")),
    ),
}


def make(name: str, dtype: torch.dtype = torch.float32) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return ARCHITECTURES[name].make().to(dtype).eval()


def logits(model: Any) -> Tensor:
    ids = torch.tensor([[5, 9, 14, 30, 33, 8], [3, 4, 7, 31, 25, 19]])
    more = {"decoder_input_ids": ids[:, 2:5]} if model.config.is_encoder_decoder else {}
    result: Tensor = model(input_ids=ids, attention_mask=torch.ones_like(ids), **more).logits
    return result


HEADS = {
    "DistilBertForSequenceClassification": ("pre_classifier", "classifier"),
    "DebertaV2ForSequenceClassification": ("pooler", "classifier"),
}
"""The modules of their classification heads, which train whole."""


def without_gradients(model: Any) -> Tensor:
    """The logits, by the attention kernel that torch takes where no weight wants a gradient."""
    with torch.no_grad():
        return logits(model)


def names(model: nn.Module) -> list[str]:
    return [name.removesuffix(".lope_experts.default") for name, _ in lope_experts(model)]


def fill(model: nn.Module) -> None:
    source = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _, experts in lope_experts(model):
            for parameter in experts.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=source) * 0.3)


def trained(model: nn.Module, *leaves: str) -> set[str]:
    """The leaves of all experts, and a classification head."""
    head = {name for name, _ in model.named_parameters() if name.split(".")[0] in HEADS.get(type(model).__name__, ())}
    own = {name for name in head if ".modules_to_save.default." in name}
    assert len(own) * 2 == len(head)  # beside each stands what was there
    return own | {f"{name}.lope_experts.default.{leaf}" for name in names(model) for leaf in leaves}


def untouched(model: nn.Module, before: nn.Module) -> bool:
    """Whether the model has the modules, tensors and gradients wanted of another, and no trace of an adapter."""
    state, expected = model.state_dict(), before.state_dict()
    return (
        repr(model) == repr(before)
        and state.keys() == expected.keys()
        and all(torch.equal(state[name], expected[name]) for name in state)
        and all(parameter.requires_grad for parameter in model.parameters())
        and not hasattr(model, "peft_config")
    )


@pytest.fixture
def llama(tiny_model: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_model)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("num_poisoning", [1, 0])
def test_query_and_value_are_adapted_the_base_is_frozen_and_the_start_changes_nothing(
    name: str, num_poisoning: int
) -> None:
    base, before = make(name), make(name)
    expected = without_gradients(base)
    model = attach(base, LopeConfig(num_poisoning=num_poisoning))
    assert model is base
    assert sorted(names(model)) == sorted(ARCHITECTURES[name].adapted)
    assert {experts.mode for _, experts in lope_experts(model)} == {"stage1" if num_poisoning else "stage2"}
    leaves = ("A", "B_poison") if num_poisoning else ("A", "B", "router")
    assert {name for name, p in model.named_parameters() if p.requires_grad} == trained(model, *leaves)
    assert torch.equal(without_gradients(model), expected)
    state = model.state_dict()
    for key, tensor in before.state_dict().items():
        parent, _, leaf = key.rpartition(".")
        module, _, rest = key.partition(".")
        if parent in names(model):
            key = f"{parent}.base_layer.{leaf}"
        elif module in HEADS.get(type(model).__name__, ()):
            key = f"{module}.original_module.{rest}"
        assert torch.equal(state[key], tensor)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_gradients_reach_exactly_what_trains(name: str) -> None:
    model = attach(make(name), LopeConfig())
    fill(model)
    for mode in ("stage1", "stage2"):
        set_mode(model, mode)
        model.zero_grad()
        logits(model).square().sum().backward()
        reached = {key for key, p in model.named_parameters() if p.grad is not None and p.grad.any()}
        assert reached == trained(model, *TRAINED[mode])
    set_mode(model, "inference")
    assert not logits(model).requires_grad


@pytest.mark.parametrize("name", ["llama", "gpt2", "bert", "t5", "bart"])
def test_tied_weights_stay_tied_and_are_not_adapted(name: str) -> None:
    model = attach(make(name), LopeConfig())
    shared = model.get_input_embeddings().weight
    assert model.get_output_embeddings().weight is shared
    if model.config.is_encoder_decoder:
        assert model.get_encoder().embed_tokens.weight is shared
        assert model.get_decoder().embed_tokens.weight is shared
    assert not shared.requires_grad
    assert not {"lm_head", "shared", "embed_tokens"} & {adapted.rpartition(".")[2] for adapted in names(model)}


def test_an_adapted_output_layer_keeps_the_weight_that_it_shares() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft's, of merging and exporting
        model = attach(make("llama"), LopeConfig(target_modules=["lm_head"]))
    assert model.lm_head.base_layer.weight is model.model.embed_tokens.weight
    fill(model)
    logits(model).sum().backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None} == trained(model, "A", "B_poison")


@pytest.mark.parametrize("name", ["llama", "gpt2", "t5", "bart"])
def test_a_bfloat16_base_has_a_float32_adapter(name: str) -> None:
    base = make(name, torch.bfloat16)
    expected = without_gradients(base)
    model = attach(base, LopeConfig())
    dtypes = {p.dtype for _, experts in lope_experts(model) for p in experts.parameters()}
    assert dtypes == {torch.float32}
    result = without_gradients(model)
    assert result.dtype == torch.bfloat16
    assert torch.equal(result, expected)
    fill(model)
    assert not torch.equal(without_gradients(model), expected)
    logits(model).sum().backward()
    assert {p.grad.dtype for p in model.parameters() if p.grad is not None} == {torch.float32}


def test_a_float64_base_has_a_float64_adapter() -> None:
    model = attach(make("llama", torch.float64), LopeConfig())
    assert {p.dtype for p in model.parameters()} == {torch.float64}


def test_initial_values_are_each_layers_own_and_keyed() -> None:
    before = torch.random.get_rng_state()
    first, again = attach(make("llama"), LopeConfig()), attach(make("llama"), LopeConfig())
    assert torch.equal(before, torch.random.get_rng_state())
    other = attach(make("llama"), LopeConfig(seed=1))
    values = [experts.A for _, experts in lope_experts(first)]
    assert not any(torch.equal(values[0], value) for value in values[1:])
    for model, same in ((again, True), (other, False)):
        assert all(
            torch.equal(one.A, two.A) is same and torch.equal(one.router, two.router) is same
            for (_, one), (_, two) in zip(lope_experts(first), lope_experts(model), strict=True)
        )


def test_the_config_asked_for_is_left_as_it_is(llama: Any) -> None:
    config = LopeConfig()
    attach(llama, config)
    assert config == LopeConfig()
    assert llama.peft_config["default"].target_modules == ["q_proj", "v_proj"]
    assert next(lope_experts(llama))[1].config is llama.peft_config["default"]


@pytest.mark.parametrize(
    ("target", "matched"),
    [
        ("up_proj", 2),
        ("mlp.up_proj", 2),
        ("layers.1.mlp.up_proj", 1),
        ("model.layers.0.mlp.up_proj", 1),
    ],
)
def test_a_target_is_a_full_name_or_its_end_after_a_dot(llama: Any, target: str, matched: int) -> None:
    model = attach(llama, LopeConfig(target_modules=[target]))
    assert len(names(model)) == matched
    assert all(name == target or name.endswith(f".{target}") for name in names(model))


def test_many_targets_are_all_adapted(llama: Any) -> None:
    targets = [
        f"model.layers.{layer}.{part}_proj"
        for layer in (0, 1)
        for part in (*(f"self_attn.{p}" for p in "qkvo"), *(f"mlp.{p}" for p in ("up", "down", "gate")))
    ]
    model = attach(llama, LopeConfig(target_modules=targets + ["layers.0.self_attn.q_proj"] * 9))
    assert sorted(names(model)) == sorted(targets)


def test_a_layer_of_another_kind_with_the_name_of_a_target_is_left_alone() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.proj = nn.Linear(8, 8)
            self.norms = nn.ModuleDict({"proj": nn.LayerNorm(8)})

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.norms["proj"](self.proj(x))
            return result

    model = attach(Model(), LopeConfig(target_modules=["proj"]))
    assert names(model) == ["proj"]
    assert type(model.norms["proj"]) is nn.LayerNorm
    assert model(torch.ones(2, 8)).shape == (2, 8)


@pytest.mark.parametrize(
    ("target", "nearest"),
    [("q_prj", "q_proj"), ("_proj", "q_proj"), ("model.layers.0.mlp.up", "model.layers.0.mlp.up_proj")],
)
@pytest.mark.parametrize("put", [attach, get_peft_model])
def test_an_unmatched_target_names_the_nearest_and_changes_nothing(
    put: Callable[..., Any], target: str, nearest: str
) -> None:
    model = make("llama")
    with pytest.raises(ModelError, match=f"target module '{target}' matches no linear layer; nearest: .*{nearest}"):
        put(model, LopeConfig(target_modules=["v_proj", target]))
    assert untouched(model, make("llama"))


@pytest.mark.parametrize(
    ("name", "targets", "rank", "message"),
    [
        ("llama", None, 17, r"rank 17 is above the size of model.layers.0.self_attn.q_proj \(16 in, 16 out\)"),
        ("llama", None, 9, r"self_attn.v_proj \(16 in, 8 out\); take a rank of at most 8"),
        ("gpt2", None, 17, r"attn.c_attn \(16 in, 48 out\); take a rank of at most 16"),
        ("llama", ["q_proj", "v_proj"], 9, "at most 8"),
    ],
)
@pytest.mark.parametrize("put", [attach, get_peft_model])
def test_a_rank_above_the_size_of_a_layer_is_refused_and_nothing_is_changed(
    put: Callable[..., Any], name: str, targets: list[str] | None, rank: int, message: str
) -> None:
    model = make(name)
    with pytest.raises(ModelError, match=message):
        put(model, LopeConfig(r=rank, target_modules=targets))
    assert untouched(model, make(name))
    attach(model, LopeConfig(r=8))


@pytest.mark.parametrize("put", [attach, get_peft_model])
def test_an_unknown_architecture_lists_its_linear_layers(put: Callable[..., Any]) -> None:
    def mamba() -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            return MambaForCausalLM(MambaConfig(vocab_size=32, hidden_size=8, num_hidden_layers=1, state_size=2))

    model = mamba()
    listed = "dt_proj, in_proj, lm_head, out_proj, x_proj"
    with pytest.raises(ModelError, match=f"name target_modules, this model's linear layers are {listed}"):
        put(model, LopeConfig())
    assert untouched(model, mamba())
    with pytest.raises(ModelError, match="this model's linear layers are none"):
        put(nn.Sequential(nn.LayerNorm(4)), LopeConfig())
    with pytest.raises(ModelError, match="nearest: the model has none"):
        put(nn.Sequential(nn.LayerNorm(4)), LopeConfig(target_modules=["q"]))


def test_a_second_adapter_is_refused(llama: Any) -> None:
    model = attach(llama, LopeConfig())
    before = repr(model)
    with pytest.raises(ModelError, match="LlamaForCausalLM has an adapter already; load the base anew"):
        attach(model, LopeConfig(target_modules=["up_proj"]))
    assert repr(model) == before
    with_lora = get_peft_model(make("llama"), LoraConfig(target_modules=["q_proj"]))
    for each in (with_lora, with_lora.get_base_model()):
        with pytest.raises(ModelError, match="has an adapter already"):
            attach(each, LopeConfig(target_modules=["v_proj"]))
    assert not any(isinstance(module, LopeLinear) for module in with_lora.modules())
