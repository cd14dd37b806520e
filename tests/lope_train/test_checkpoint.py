"""Adapters load again bit for bit, or say why not."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from lope_train.attach import attach
from lope_train.checkpoint import load_adapter, load_run, save_adapter
from lope_train.config import LopeConfig
from lope_train.errors import ModelError, RunError
from lope_train.stages import lope_layers, set_mode

METHODS = ["lope", "hydralora", "lora"]
IDS = torch.tensor([[5, 9, 14, 200, 33, 8, 120]])


def logits(model: Any) -> Tensor:
    with torch.inference_mode():
        result: Tensor = model.eval()(IDS).logits
    return result


@pytest.fixture
def base(tiny_model: Path) -> Callable[[], Any]:
    return lambda: AutoModelForCausalLM.from_pretrained(tiny_model)


@pytest.mark.parametrize(
    "config",
    [
        LopeConfig(),
        LopeConfig(num_poisoning=0, num_experts=3, r=2),
        LopeConfig(num_experts=5, num_poisoning=2, router_input="hidden", target_modules=("up_proj",)),
    ],
)
def test_a_saved_adapter_loads_bit_for_bit(config: LopeConfig, base: Callable[[], Any], tmp_path: Path) -> None:
    model = attach(base(), config)
    source = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _, layer in lope_layers(model):
            for parameter in layer.parameters(recurse=False):
                parameter.copy_(torch.randn(parameter.shape, generator=source))
    save_adapter(model, tmp_path)
    loaded = load_adapter(base(), tmp_path)
    assert model.state_dict().keys() == loaded.state_dict().keys()
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in model.state_dict().items())
    for masked, compensate in ((True, True), (True, False), (False, False)):
        for each in (model, loaded):
            set_mode(each, "inference", masked=masked, compensate=compensate)
        assert torch.equal(logits(model), logits(loaded))
    (loaded_config,) = {layer.config for _, layer in lope_layers(loaded)}
    assert loaded_config == next(lope_layers(model))[1].config


def test_keys_follow_peft(tiny_runs: dict[str, Path]) -> None:
    keys = load_file(tiny_runs["lope"] / "adapter_model.safetensors").keys()
    layers = [f"base_model.model.model.layers.{i}.self_attn.{p}_proj" for i in (0, 1) for p in ("q", "v")]
    assert keys == {f"{layer}.{leaf}" for layer in layers for leaf in ("A", "B", "B_poison", "router")}


@pytest.mark.parametrize("method", METHODS)
def test_a_run_loads_for_inference(
    method: str, tiny_runs: dict[str, Path], tiny_model: Path, base: Callable[[], Any]
) -> None:
    before = torch.random.get_rng_state()
    model, tokenizer = load_run(tiny_runs[method])
    assert torch.equal(before, torch.random.get_rng_state())
    again, _ = load_run(tiny_runs[method], str(tiny_model))
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(logits(model), logits(again))
    assert not torch.equal(logits(model), logits(base()))
    assert tokenizer("cold")["input_ids"]
    if method == "lora":
        assert isinstance(model, PeftModel)
    else:
        assert {(layer.mode, layer.masked, layer.compensated) for _, layer in lope_layers(model)} == {
            ("inference", True, True)
        }


def test_a_loaded_run_of_lora_has_the_trained_weights(tiny_runs: dict[str, Path]) -> None:
    model, _ = load_run(tiny_runs["lora"])
    state = model.state_dict()
    for key, tensor in load_file(tiny_runs["lora"] / "adapter_model.safetensors").items():
        name = key.replace(".weight", ".default.weight")
        assert tensor.any()
        assert torch.equal(state[name], tensor)


@pytest.fixture
def copy(tiny_runs: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    def make(method: str) -> Path:
        return Path(shutil.copytree(tiny_runs[method], tmp_path / method))

    return make


def edit_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_truncated_file_is_refused(method: str, kept: int, copy: Callable[[str], Path]) -> None:
    run = copy(method)
    file = run / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(RunError, match="not a whole safetensors file"):
        load_run(run)


@pytest.mark.parametrize("method", METHODS)
def test_missing_unexpected_and_misshapen_tensors_are_refused(method: str, copy: Callable[[str], Path]) -> None:
    run = copy(method)
    file = run / "adapter_model.safetensors"
    whole = load_file(file)
    first = min(whole)
    save_file({name: tensor for name, tensor in whole.items() if name != first}, file)
    with pytest.raises(RunError, match=f"1 tensors are missing, first '{re.escape(first)}'"):
        load_run(run)
    save_file({**whole, "base_model.model.extra.A": torch.ones(1)}, file)
    with pytest.raises(RunError, match=r"1 tensors are not of this adapter, first 'base_model\.model\.extra\.A'"):
        load_run(run)
    save_file({**whole, first: torch.ones(3, 3)}, file)
    with pytest.raises(RunError, match="has shape"):
        load_run(run)


@pytest.mark.parametrize(("method", "other"), [("lope", "lora"), ("lora", "lope"), ("hydralora", "lora")])
def test_the_adapter_of_another_method_is_refused(
    method: str, other: str, copy: Callable[[str], Path], tiny_runs: dict[str, Path]
) -> None:
    run = copy(method)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(tiny_runs[other] / name, run / name)
    with pytest.raises(RunError, match=f"says method '{method}', but .* holds"):
        load_run(run)


def test_an_adapter_of_a_kind_we_do_not_know_is_refused(copy: Callable[[str], Path], base: Callable[[], Any]) -> None:
    run = copy("lope")
    edit_json(run / "adapter_config.json", peft_type="IA3")
    with pytest.raises(RunError, match="peft_type is 'IA3'"):
        load_adapter(base(), run)


@pytest.mark.parametrize(
    ("values", "message"),
    [({"num_experts": 0}, "'num_experts' is 0"), ({"target_modules": ["nope"]}, "nope"), ({"x": 1}, "unknown")],
)
def test_a_config_that_does_not_fit_is_refused(
    values: dict[str, Any], message: str, copy: Callable[[str], Path], base: Callable[[], Any]
) -> None:
    run = copy("lope")
    edit_json(run / "adapter_config.json", **values)
    with pytest.raises(RunError, match=message):
        load_adapter(base(), run)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("hidden", "layers"), [(64, 2), (32, 1), (32, 3)])
def test_another_base_model_is_refused(method: str, hidden: int, layers: int, tiny_runs: dict[str, Path]) -> None:
    config = LlamaConfig(
        vocab_size=300, hidden_size=hidden, intermediate_size=8, num_hidden_layers=layers, num_attention_heads=4
    )
    with pytest.raises(RunError, match="is the base another model"):
        load_adapter(LlamaForCausalLM(config), tiny_runs[method])


@pytest.mark.parametrize("name", ["run.json", "adapter_config.json", "adapter_model.safetensors"])
def test_a_folder_that_is_no_run_is_refused(name: str, copy: Callable[[str], Path]) -> None:
    run = copy("lope")
    (run / name).unlink()
    with pytest.raises(RunError, match=f"no {re.escape(name)}; is this the folder of a run"):
        load_run(run)
    if name.endswith(".json"):
        (run / name).write_text("{")
        with pytest.raises(RunError, match="cannot be read"):
            load_run(run)
        (run / name).write_text("[]")
        with pytest.raises(RunError, match="must hold a JSON object"):
            load_run(run)


def test_a_record_without_method_is_refused(copy: Callable[[str], Path]) -> None:
    run = copy("lope")
    edit_json(run / "run.json", method="adalora")
    with pytest.raises(RunError, match="not the record of a training run"):
        load_run(run)


def test_a_model_without_adapter_is_not_saved(base: Callable[[], Any], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no adapted layer"):
        save_adapter(base(), tmp_path)
    assert not any(tmp_path.iterdir())
