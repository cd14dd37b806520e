"""LoPE among the methods of peft: what peft and transformers do with an adapter, they do with this one."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import (
    AutoPeftModelForCausalLM,
    LoraConfig,
    PeftConfig,
    PeftModel,
    PeftModelForCausalLM,
    PeftModelForSeq2SeqLM,
    get_peft_model,
    get_peft_model_state_dict,
    inject_adapter_in_model,
)
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, T5Config, T5ForConditionalGeneration

from lope_train.errors import ModelError
from lope_train.runs import save_adapter
from lope_train.tuner.config import LopeConfig
from lope_train.tuner.experts import TRAINED, LopeExperts
from lope_train.tuner.inference import Inference
from lope_train.tuner.layer import LopeLinear
from lope_train.tuner.model import attach
from lope_train.tuner.modes import set_mode

IDS = torch.tensor([[5, 9, 14, 30, 33, 8]])
METHODS = {"lope": {}, "hydralora": {"num_poisoning": 0, "router_input": "hidden"}}
KINDS = {"causal": "CAUSAL_LM", "seq2seq": "SEQ_2_SEQ_LM"}
Make = Callable[..., Any]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """peft would ask the hub whether an adapter's folder is a repository there."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def base(tiny_model: Path) -> Make:
    def make(kind: str = "causal", dtype: torch.dtype = torch.float32) -> Any:
        if kind == "causal":
            return AutoModelForCausalLM.from_pretrained(tiny_model, dtype=dtype)
        config = T5Config(vocab_size=40, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2)
        config.decoder_start_token_id = 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            return T5ForConditionalGeneration(config).to(dtype).eval()

    return make


@pytest.fixture
def adapted(base: Make) -> Make:
    def make(kind: str = "causal", dtype: torch.dtype = torch.float32, **config: Any) -> Any:
        """A PeftModel whose experts are not zero."""
        return filled(get_peft_model(base(kind, dtype), LopeConfig(task_type=KINDS[kind], **config)))

    return make


@pytest.fixture
def saved(adapted: Make, tmp_path: Path) -> Path:
    """The folder of an adapter of the tiny model."""
    adapted().save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def filled(model: Any, seed: int = 0) -> Any:
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lope_experts." in name:
                parameter.copy_(torch.randn(parameter.shape, generator=source) * 0.3)
    return model


def logits(model: Any) -> Tensor:
    more = {"decoder_input_ids": IDS[:, :3]} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        result: Tensor = model(input_ids=IDS, **more).logits
    return result


def trains(model: nn.Module, adapter: str = "default") -> set[str]:
    """What an adapter trains, which must be the same in all layers."""
    experts = [layer.lope_experts[adapter] for layer in layers(model)]
    assert all(isinstance(each, LopeExperts) for each in experts)
    (leaves,) = {frozenset(name for name, p in each.named_parameters() if p.requires_grad) for each in experts}
    return set(leaves)


def layers(model: nn.Module) -> list[LopeLinear]:
    return [module for module in model.modules() if isinstance(module, LopeLinear)]


def base_is_frozen(model: nn.Module) -> bool:
    return not any(p.requires_grad for name, p in model.named_parameters() if ".lope_experts." not in name)


def equal_states(one: nn.Module, two: nn.Module) -> bool:
    first, second = one.state_dict(), two.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("low_cpu_mem_usage", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_saved_adapter_loads_bit_for_bit(
    kind: str, method: str, low_cpu_mem_usage: bool, dtype: torch.dtype, adapted: Make, base: Make, tmp_path: Path
) -> None:
    model = adapted(kind, dtype, **METHODS[method])
    assert type(model) is {"causal": PeftModelForCausalLM, "seq2seq": PeftModelForSeq2SeqLM}[kind]
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(base(kind, dtype), tmp_path, low_cpu_mem_usage=low_cpu_mem_usage)
    assert type(loaded) is type(model)
    assert equal_states(model, loaded)
    assert {parameter.device.type for parameter in loaded.parameters()} == {"cpu"}
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert not loaded.training
    assert {layer.lope_experts["default"].mode for layer in layers(loaded)} == {"inference"}
    set_mode(model, "inference")
    assert torch.equal(logits(loaded), logits(model))
    for inference in Inference:
        for each in (model, loaded):
            set_mode(each, "inference", inference)
        assert torch.equal(logits(loaded), logits(model))
    assert not torch.equal(logits(loaded), logits(base(kind, dtype)))


@pytest.mark.parametrize("inference", ["compensated", "masked", "unmasked"])
def test_a_loaded_adapter_infers_as_its_config_says(inference: str, adapted: Make, base: Make, tmp_path: Path) -> None:
    model = adapted(inference=inference)
    model.save_pretrained(tmp_path)
    set_mode(model, "inference", inference)
    assert torch.equal(logits(PeftModel.from_pretrained(base(), tmp_path)), logits(model))


@pytest.mark.parametrize("method", METHODS)
def test_an_adapter_loaded_to_train_on_is_in_its_first_mode(
    method: str, adapted: Make, base: Make, tmp_path: Path
) -> None:
    model = adapted(**METHODS[method])
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(base(), tmp_path, is_trainable=True)
    assert trains(loaded) == TRAINED["stage1" if method == "lope" else "stage2"]
    assert base_is_frozen(loaded)
    set_mode(loaded, "stage2")
    assert trains(loaded) == {"A", "B", "router"}
    set_mode(model, "stage2")
    assert torch.equal(logits(loaded), logits(model))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_attach_and_save_adapter_write_what_peft_does(
    kind: str, method: str, adapted: Make, base: Make, tmp_path: Path
) -> None:
    adapted(kind, **METHODS[method]).save_pretrained(tmp_path / "peft")
    attached = filled(attach(base(kind), LopeConfig(task_type=KINDS[kind], **METHODS[method])))
    (tmp_path / "attached").mkdir()
    save_adapter(attached, tmp_path / "attached")
    ours, pefts = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("attached", "peft"))
    assert ours.keys() == pefts.keys()
    assert all(torch.equal(ours[name], pefts[name]) for name in ours)
    leaves = {"lope": {"A", "B", "B_poison", "router"}, "hydralora": {"A", "B", "router"}}[method]
    assert {name.split(".lope_experts.")[1] for name in ours} == leaves
    assert all(name.startswith("base_model.model.") for name in ours)
    configs = [json.loads((tmp_path / name / "adapter_config.json").read_text()) for name in ("attached", "peft")]
    for config in configs:
        config.pop("base_model_name_or_path")
    assert configs[0] == configs[1]
    assert equal_states(
        *(PeftModel.from_pretrained(base(kind), tmp_path / name) for name in ("attached", "peft")),
    )


def test_initial_values_are_those_that_attach_draws(base: Make) -> None:
    model, attached = get_peft_model(base(), LopeConfig()), attach(base(), LopeConfig())
    assert equal_states(model.get_base_model(), attached)


def test_peft_finds_the_config_and_the_base(saved: Path, base: Make, tiny_model: Path) -> None:
    config = PeftConfig.from_pretrained(str(saved))
    assert type(config) is LopeConfig
    assert config.base_model_name_or_path == str(tiny_model)
    assert config.inference_mode
    expected = logits(PeftModel.from_pretrained(base(), saved))
    assert torch.equal(logits(AutoPeftModelForCausalLM.from_pretrained(saved)), expected)
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(saved)), expected)


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`")
def test_transformers_loads_adds_switches_and_saves(saved: Path, base: Make, tmp_path: Path) -> None:
    expected = logits(PeftModel.from_pretrained(base(), saved))
    model = base()
    info = model.load_adapter(str(saved))
    assert not info.missing_keys
    assert not info.unexpected_keys
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(logits(model), expected)
    model.disable_adapters()
    assert torch.equal(logits(model), logits(base()))
    model.enable_adapters()
    assert torch.equal(logits(model), expected)
    assert not any(parameter.requires_grad for parameter in model.parameters())

    model.add_adapter(LopeConfig(num_poisoning=0), "other")
    assert model.active_adapters() == ["other"]
    assert torch.equal(logits(model), logits(base()))
    assert trains(model, "other") == {"A", "B", "router"}
    assert trains(model) == set()
    model.set_adapter("default")
    assert torch.equal(logits(model), expected)
    model.delete_adapter("other")
    assert torch.equal(logits(model), expected)
    model.save_pretrained(tmp_path / "again")
    ours, again = (load_file(folder / "adapter_model.safetensors") for folder in (saved, tmp_path / "again"))
    assert ours.keys() == again.keys()
    assert all(torch.equal(ours[name], again[name]) for name in ours)


def test_a_new_adapter_of_transformers_trains_the_poisoning_expert(base: Make) -> None:
    model = base()
    model.add_adapter(LopeConfig())
    assert trains(model) == {"A", "B_poison"}
    assert base_is_frozen(model)
    injected = inject_adapter_in_model(LopeConfig(), base())
    assert equal_states(model, injected)


@pytest.mark.parametrize("mode", ["stage1", "stage2", "inference"])
def test_what_a_mode_freezes_stays_frozen_whatever_peft_is_asked(mode: Any, adapted: Make, saved: Path) -> None:
    model = adapted()
    set_mode(model, mode)
    expected = logits(model)

    def disabled() -> None:
        with model.disable_adapter():
            assert trains(model) == set()

    def disabled_in_steps() -> None:
        model.base_model.disable_adapter_layers()
        assert trains(model) == set()
        model.base_model.enable_adapter_layers()

    def set_requires_grad() -> None:
        model.set_requires_grad("default", requires_grad=False)
        assert trains(model) == set()
        model.set_requires_grad("default")

    def there_and_back() -> None:
        model.add_adapter("new", LopeConfig(task_type="CAUSAL_LM", num_poisoning=0))
        model.set_adapter("new")
        assert trains(model) == set()
        model.set_adapter("default")
        model.delete_adapter("new")

    for act in (
        lambda: model.set_adapter("default"),
        lambda: model.base_model.set_adapter(["default"]),
        set_requires_grad,
        lambda: model.base_model.set_requires_grad(["default"]),
        disabled,
        disabled_in_steps,
        there_and_back,
        lambda: model.add_adapter("b", LopeConfig(task_type="CAUSAL_LM")),
        lambda: model.load_adapter(saved, "c"),
        lambda: model.load_adapter(saved, "d", is_trainable=True),
        lambda: model.delete_adapter("b"),
        model.train,
        lambda: copy.deepcopy(model).set_adapter("default"),
    ):
        act()
        assert trains(model) == TRAINED[mode]
        assert {layer.lope_experts["default"].mode for layer in layers(model)} == {mode}
        assert base_is_frozen(model)
        assert torch.equal(logits(model.eval()), expected)
    assert trains(model, "c") == set()
    assert trains(model, "d") == {"A", "B_poison"}


def test_a_frozen_poisoning_expert_does_not_move(adapted: Make) -> None:
    model = adapted()
    set_mode(model, "stage2")
    model.set_adapter("default")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=0.01, weight_decay=0.1)
    model(input_ids=IDS, labels=IDS).loss.backward()
    optimizer.step()
    moved = {name.rpartition(".")[2] for name, t in model.state_dict().items() if not torch.equal(t, before[name])}
    assert moved == {"A", "B", "router"}


def test_two_adapters_stand_side_by_side(adapted: Make, base: Make, tmp_path: Path) -> None:
    model = adapted()
    set_mode(model, "inference")
    one = logits(model)
    model.add_adapter(
        "two", LopeConfig(task_type="CAUSAL_LM", num_poisoning=0, r=2, target_modules=["v_proj", "up_proj"])
    )
    assert torch.equal(logits(model), one)
    model.set_adapter("two")
    assert torch.equal(logits(model), logits(base()))
    for layer in layers(model):
        if "two" in layer.lope_experts:
            nn.init.ones_(layer.lope_experts["two"].B)
    two = logits(model)
    assert not torch.equal(two, one)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert len(trained) == 3 * 4
    assert all(".lope_experts.two." in name for name in trained)
    set_mode(model, "inference")  # of the active one
    model.base_model.set_adapter(["default", "two"])
    both = logits(model)
    assert not torch.equal(both, one)
    assert not torch.equal(both, two)
    model.set_adapter("default")
    assert torch.equal(logits(model), one)

    model.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"two"}
    alone = PeftModel.from_pretrained(base(), tmp_path / "two", adapter_name="two")
    assert torch.equal(logits(alone), two)
    alone.load_adapter(tmp_path, "default")
    alone.set_adapter("default")
    assert torch.equal(logits(alone), one)

    model.delete_adapter("two")
    assert torch.equal(logits(model), one)
    model.add_adapter("two", LopeConfig(task_type="CAUSAL_LM"))
    with pytest.warns(UserWarning, match="Setting active adapter to two"):
        model.delete_adapter("default")
    assert torch.equal(logits(model), logits(base()))
    assert {name.split(".")[-2] for name in get_peft_model_state_dict(model, adapter_name="two")} == {"lope_experts"}


@pytest.mark.parametrize("name", ["A", "B", "B_poison", "router", "lope_experts"])
def test_an_adapter_is_not_named_like_a_part_of_it(name: str, adapted: Make, base: Make, saved: Path) -> None:
    """peft leaves out of one adapter's file what ends in the name of another adapter."""
    config = LopeConfig(task_type="CAUSAL_LM")
    model, bare = adapted(), base()
    before = copy.deepcopy(model)
    for put in (
        lambda: model.add_adapter(name, config),
        lambda: model.load_adapter(saved, name),
        lambda: get_peft_model(bare, config, adapter_name=name),
    ):
        with pytest.raises(ModelError, match=f"an adapter cannot be named '{name}'"):
            put()
    assert [*model.peft_config] == ["default"]
    assert repr(model) == repr(before)
    assert equal_states(model, before)
    assert repr(bare) == repr(base())


@pytest.mark.parametrize("name", ["lope", "lope_", "experts"])
def test_an_adapter_may_be_named_like_the_method(name: str, base: Make, saved: Path, tmp_path: Path) -> None:
    model = PeftModel.from_pretrained(base(), saved, adapter_name=name)
    model.load_adapter(saved, "default")
    model.save_pretrained(tmp_path / "again")
    expected = load_file(saved / "adapter_model.safetensors")
    for folder in (tmp_path / "again", tmp_path / "again" / name):
        again = load_file(folder / "adapter_model.safetensors")
        assert again.keys() == expected.keys()
        assert all(torch.equal(again[key], expected[key]) for key in again)


def test_peft_tells_what_is_trained(adapted: Make, capsys: pytest.CaptureFixture[str]) -> None:
    model = adapted()
    model.print_trainable_parameters()
    experts = [layer.lope_experts["default"] for layer in layers(model)]
    trained = sum(each.A.numel() + each.B_poison.numel() for each in experts)
    assert capsys.readouterr().out.startswith(f"trainable params: {trained:,} ")
    status = model.get_model_status()
    assert (status.adapter_model_type, status.peft_types) == ("LopeModel", {"default": "LOPE"})
    assert (status.enabled, status.merged_adapters, status.num_adapter_layers) == (True, [], len(experts))


def test_stage_1_asks_for_the_active_adapter_alone(adapted: Make) -> None:
    model = adapted()
    model.add_adapter("plain", LopeConfig(task_type="CAUSAL_LM", num_poisoning=0))
    set_mode(model, "stage2")
    assert trains(model, "plain") == set()
    set_mode(model, "stage1")
    model.set_adapter("plain")
    with pytest.raises(ModelError, match="this adapter has none"):
        set_mode(model, "stage1")
    set_mode(model, "stage2")
    assert (trains(model), trains(model, "plain")) == (set(), {"A", "B", "router"})
    model.set_adapter("default")
    assert trains(model) == {"A", "B_poison"}


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_adapter_it_is_the_base(kind: str, adapted: Make, base: Make) -> None:
    model = adapted(kind)
    expected = logits(base(kind))
    assert not torch.equal(logits(model), expected)
    with model.disable_adapter():
        assert torch.equal(logits(model), expected)
    assert not torch.equal(logits(model), expected)
    unloaded = model.unload()
    assert not layers(unloaded)
    assert not hasattr(unloaded, "peft_config")
    assert torch.equal(logits(unloaded), expected)
    assert equal_states(unloaded, base(kind))
    assert unloaded.get_output_embeddings().weight is unloaded.get_input_embeddings().weight


def test_merging_is_refused_and_says_why(adapted: Make) -> None:
    model = adapted()
    expected = logits(model)
    for merge in (model.merge_and_unload, model.merge_adapter, lambda: model.merge_and_unload(safe_merge=True)):
        with pytest.raises(ModelError, match=r"routed by token cannot be merged .* PeftModel\.from_pretrained"):
            merge()
    model.unmerge_adapter()
    assert torch.equal(logits(model), expected)


def test_lora_is_not_attached_on_top_of_it(adapted: Make) -> None:
    with pytest.raises(ValueError, match="Cannot combine adapters with different peft types"):
        adapted().add_adapter("more", LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("use_cache", [True, False])
def test_it_generates(kind: str, use_cache: bool, adapted: Make, base: Make) -> None:
    model = adapted(kind)
    set_mode(model, "inference")
    asked: dict[str, Any] = {"max_new_tokens": 5, "min_new_tokens": 5, "do_sample": False, "use_cache": use_cache}
    made = model.generate(input_ids=IDS, **asked, num_beams=2)
    assert made.shape[1] == 5 + (IDS.shape[1] if kind == "causal" else 1)
    greedy = model.generate(input_ids=IDS, **asked)
    if kind == "causal":
        ids = IDS
        for _ in range(5):
            with torch.no_grad():
                scores = model(input_ids=ids).logits[:, -1]
            scores[:, model.generation_config.eos_token_id] = -torch.inf
            ids = torch.cat([ids, scores.argmax(-1, keepdim=True)], 1)
        assert torch.equal(greedy, ids)
    assert not torch.equal(greedy, base(kind).generate(input_ids=IDS, **asked))


def test_a_copy_is_its_own(adapted: Make) -> None:
    model = adapted()
    set_mode(model, "inference")
    expected = logits(model)
    twin = copy.deepcopy(model)
    assert torch.equal(logits(twin), expected)
    assert equal_states(twin, model)
    filled(twin, seed=1)
    set_mode(twin, "stage2")
    assert not torch.equal(logits(twin), expected)
    assert torch.equal(logits(model), expected)
    assert trains(model) == set()


def test_a_compiled_model_gives_the_same(adapted: Make) -> None:
    model = adapted()
    set_mode(model, "inference")
    expected = logits(model)
    assert torch.equal(logits(torch.compile(model, backend="eager")), expected)


def test_activation_checkpointing_leaves_the_gradients_as_they_are(adapted: Make) -> None:
    def gradients(model: Any) -> dict[str, Tensor]:
        model.train()
        model(input_ids=IDS, labels=IDS).loss.backward()
        return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}

    expected = gradients(adapted())
    model = adapted()
    model.enable_input_require_grads()
    model.gradient_checkpointing_enable()
    got = gradients(model)
    assert got.keys() == expected.keys()
    assert all(torch.equal(got[name], expected[name]) for name in got)
    assert {name.rpartition(".")[2] for name in got} == {"A", "B_poison"}


FRESH = """
import contextlib, os, sys, traceback
import torch
from transformers import AutoModelForCausalLM, LlamaForCausalLM
with contextlib.suppress(ImportError):
    import bitsandbytes

adapter, *entries = sys.argv[1:]
assert "peft" not in sys.modules
torch.set_num_threads(1)

def known():
    from peft import AutoPeftModelForCausalLM, PeftConfig, PeftModel, PeftType, get_peft_model
    assert type(PeftConfig.from_pretrained(adapter)).__module__ == "lope_train.tuner.config"
    model = AutoPeftModelForCausalLM.from_pretrained(adapter)
    assert type(model.base_model).__name__ == "LopeModel"
    base = model.unload()
    base.load_adapter(adapter)
    from lope_train import LopeConfig, LopeLinear
    assert PeftType.LOPE == "LOPE"
    again = AutoModelForCausalLM.from_pretrained(base.config._name_or_path)
    model = get_peft_model(again, LopeConfig())
    assert any(isinstance(module, LopeLinear) for module in model.modules())

for entry in entries:
    child = os.fork()
    if not child:
        try:
            exec(entry, {})
            known()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        print("FAILED:", entry, flush=True)
"""


def test_importing_lope_train_is_enough_in_whatever_order(saved: Path) -> None:
    ours = (
        "keyed",
        "tuner.config",
        "tuner.experts",
        "tuner.head",
        "tuner.layer",
        "tuner.targets",
        "tuner.model",
        "tuner.inference",
        "tuner.modes",
        "methods",
        "runs.adapter",
    )
    entries = [
        "import lope_train; import peft",
        "import peft; import lope_train",
        "import lope_train",
        "from peft import PeftModel, PeftType; import lope_train",
        *(f"from lope_train import {name}" for name in ("LopeConfig", "LopeLinear", "attach", "set_mode")),
        *(f"import lope_train.{name}" for name in ours),
    ]
    command = [sys.executable, "-c", FRESH, str(saved), *entries]
    root = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root), "TRANSFORMERS_VERBOSITY": "error"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_importing_lope_train_imports_no_torch() -> None:
    code = "import sys, lope_train; print(sorted({'torch', 'transformers', 'peft'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
