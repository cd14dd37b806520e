"""Adapters load again bit for bit, or say why not."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, PeftType
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

from lope_train.errors import ModelError, RunError
from lope_train.methods import METHODS
from lope_train.runs.adapter import CONFIG, WEIGHTS, load_adapter, load_run, load_weights, save_adapter
from lope_train.settings import TrainSettings
from lope_train.tuner import Inference, LopeConfig, attach, lope_experts, set_mode

IDS = torch.tensor([[5, 9, 14, 200, 33, 8, 120]])
OF_LAYERS = ["lope", "hydralora", "lora", "adalora"]
Make = Callable[..., Any]


def logits(model: Any, ids: Tensor = IDS) -> Tensor:
    more = {"decoder_input_ids": ids[:, :3]} if model.config.is_encoder_decoder else {}
    with torch.inference_mode():
        result: Tensor = model.eval()(input_ids=ids, **more).logits
    return result


@pytest.fixture
def base(tiny_model: Path) -> Make:
    return lambda: AutoModelForCausalLM.from_pretrained(tiny_model)


def t5() -> Any:
    config = T5Config(vocab_size=300, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2, decoder_start_token_id=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return T5ForConditionalGeneration(config).eval()


def adapted(base: Any, method: str, **values: Any) -> Any:
    """The base with the method's adapter, every parameter of which is moved; the rank of adalora has fallen."""
    settings = TrainSettings(data="x", model="x", out=Path("x"), method=method, **values)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model: Any = METHODS[settings.method].attach(base, settings, steps=10)
        moved = [parameter for name, parameter in model.named_parameters() if is_of_adapter(name)]
        with torch.no_grad():
            for parameter in moved:
                parameter.copy_(torch.randn(parameter.shape) * 0.3)
        if method == "adalora":
            optimizer = torch.optim.AdamW((p for p in moved if p.requires_grad), lr=0.01)
            for step in range(1, 11):
                model.train()(input_ids=IDS, **labels(model)).loss.backward()
                optimizer.step()
                model.base_model.update_and_allocate(step)
                optimizer.zero_grad()
    if METHODS[method].peft_type == "LOPE":
        set_mode(model, "inference")
    return model


def labels(model: Any) -> dict[str, Tensor]:
    return {"labels": IDS[:, :3] if model.config.is_encoder_decoder else IDS}


def is_of_adapter(name: str) -> bool:
    return any(method.part(name) for method in METHODS.values())


@pytest.fixture(scope="module")
def folders(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A saved adapter of each method, on the tiny model. Copy one before changing it."""
    made = {}
    for method in METHODS:
        made[method] = tmp_path_factory.mktemp("adapters") / method
        made[method].mkdir()
        save_adapter(adapted(AutoModelForCausalLM.from_pretrained(tiny_model), method), made[method])
    return made


@pytest.fixture
def folder(folders: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda method: Path(shutil.copytree(folders[method], tmp_path / method))


@pytest.mark.filterwarnings("ignore:Adapter 'default'")  # peft takes a rank that fell to 0 for a shard
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["causal", "seq2seq"])
def test_a_saved_adapter_loads_again(method: str, kind: str, base: Make, tmp_path: Path) -> None:
    make = base if kind == "causal" else t5
    model = adapted(make(), method)
    save_adapter(model, tmp_path)
    loaded = load_adapter(make(), tmp_path)
    assert type(loaded) is type(model)
    assert loaded.peft_config["default"].inference_mode
    expected, got = logits(model), logits(loaded)
    assert not torch.equal(expected, logits(make()))
    if method == "adalora":  # ranks that are gone were masked in the model that was saved
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)
    else:
        assert torch.equal(got, expected)


@pytest.mark.parametrize("method", [*(m for m in METHODS if m != "adalora"), "adalora"])
def test_loading_moves_no_global_generator(method: str, folders: dict[str, Path], base: Make) -> None:
    model = base()
    before = torch.random.get_rng_state()
    load_adapter(model, folders[method])
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("method", [*OF_LAYERS, *(m for m in ("prefix", "ptuning"))])
def test_what_is_loaded_to_infer_trains_nothing(method: str, folders: dict[str, Path], base: Make) -> None:
    assert not any(parameter.requires_grad for parameter in load_adapter(base(), folders[method]).parameters())


@pytest.mark.parametrize("method", METHODS)
def test_what_is_loaded_to_infer_is_in_eval_mode(method: str, folders: dict[str, Path], base: Make) -> None:
    assert not any(module.training for module in load_adapter(base(), folders[method]).modules())


@pytest.mark.parametrize(
    ("method", "frozen"), [("lope", {"B", "router"}), ("hydralora", set()), ("lora", set()), ("adalora", set())]
)
def test_what_is_loaded_to_train_on_trains(method: str, frozen: set[str], folders: dict[str, Path], base: Make) -> None:
    loaded = load_adapter(base(), folders[method], trainable=True)
    free = {name for name, parameter in loaded.named_parameters() if parameter.requires_grad}
    of_adapter = {name for name, _ in loaded.named_parameters() if is_of_adapter(name) and "ranknum" not in name}
    assert free == {name for name in of_adapter if name.rpartition(".")[2] not in frozen}
    if method != "lope":
        assert torch.equal(logits(loaded), logits(load_adapter(base(), folders[method])))


@pytest.mark.parametrize(
    "config",
    [
        LopeConfig(),
        LopeConfig(num_poisoning=0, num_experts=3, r=2),
        LopeConfig(num_experts=5, num_poisoning=2, router_input="hidden", target_modules=["up_proj"]),
        LopeConfig(inference="masked", theta="zero", normalize="none", compensation_experts=2),
    ],
    ids=["lope", "hydralora", "two poisoning", "other ways"],
)
def test_an_attached_adapter_loads_bit_for_bit(config: LopeConfig, base: Make, tmp_path: Path) -> None:
    model = attach(base(), config)
    source = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _, experts in lope_experts(model):
            for parameter in experts.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=source))
    save_adapter(model, tmp_path)
    loaded = load_adapter(base(), tmp_path)
    state = model.state_dict()
    prefix = "base_model.model."
    assert {prefix + name for name in state} == loaded.state_dict().keys()
    assert all(torch.equal(tensor, state[name.removeprefix(prefix)]) for name, tensor in loaded.state_dict().items())
    set_mode(model, "inference")
    assert torch.equal(logits(model), logits(loaded))
    for inference in Inference:
        for each in (model, loaded):
            set_mode(each, "inference", inference)
        assert torch.equal(logits(model), logits(loaded))
    asked, read = model.peft_config["default"].to_dict(), loaded.peft_config["default"].to_dict()
    for name in ("inference_mode", "base_model_name_or_path"):
        del asked[name], read[name]
    assert asked == read


def test_keys_follow_peft(folders: dict[str, Path]) -> None:
    layers = [f"base_model.model.model.layers.{i}.self_attn.{p}_proj" for i in (0, 1) for p in ("q", "v")]
    leaves = {
        "lope": [f"lope_experts.{leaf}" for leaf in ("A", "B", "B_poison", "router")],
        "hydralora": [f"lope_experts.{leaf}" for leaf in ("A", "B", "router")],
        "lora": ["lora_A.weight", "lora_B.weight"],
        "adalora": ["lora_A", "lora_B", "lora_E"],
    }
    for method, names in leaves.items():
        keys = load_file(folders[method] / WEIGHTS).keys()
        assert keys == {f"{layer}.{name}" for layer in layers for name in names}
    for method in ("prefix", "ptuning"):
        assert load_file(folders[method] / WEIGHTS).keys() == {"prompt_embeddings"}


def test_the_rank_of_adalora_has_fallen_and_its_pattern_is_in_the_config(folders: dict[str, Path]) -> None:
    pattern = json.loads((folders["adalora"] / CONFIG).read_text())["rank_pattern"]
    kept = {name: sum(ranks) for name, ranks in pattern.items()}
    assert sum(kept.values()) == 4 * 4
    assert max(kept.values()) > min(kept.values())
    weights = load_file(folders["adalora"] / WEIGHTS)
    for name, rank in kept.items():
        layer = f"base_model.model.{name.partition('.lora_E')[0]}"
        assert weights[f"{layer}.lora_A"].shape[0] == weights[f"{layer}.lora_B"].shape[1] == rank


@pytest.mark.filterwarnings("ignore:The following rank_pattern keys")
def test_the_files_are_what_peft_reads_and_anyone_may(folders: dict[str, Path], base: Make, tiny_model: Path) -> None:
    for method, folder in folders.items():
        config = json.loads((folder / CONFIG).read_text())
        assert config["peft_type"] == METHODS[method].peft_type
        assert config["base_model_name_or_path"] == str(tiny_model)
        assert config["task_type"] == "CAUSAL_LM"
        assert config["inference_mode"] is True
        assert list(config) == sorted(config)
        with safe_open(folder / WEIGHTS, "pt") as file:
            assert file.metadata() == {"format": "pt"}
        assert (folder / WEIGHTS).stat().st_mode == (folder / CONFIG).stat().st_mode
        theirs = PeftModel.from_pretrained(base(), folder)
        assert torch.equal(logits(theirs), logits(load_adapter(base(), folder)))


def test_saving_twice_gives_the_same_bytes(folders: dict[str, Path], base: Make, tmp_path: Path) -> None:
    for method, folder in folders.items():
        (tmp_path / method).mkdir()
        save_adapter(load_adapter(base(), folder), tmp_path / method)
        for name in (CONFIG, WEIGHTS) if method != "adalora" else (WEIGHTS,):
            assert (tmp_path / method / name).read_bytes() == (folder / name).read_bytes(), (method, name)


@pytest.mark.parametrize("method", ["lope", "hydralora", "lora"])  # the layers of adalora change their shapes
def test_weights_can_be_put_into_a_model_that_has_the_adapter(
    method: str, folders: dict[str, Path], folder: Callable[[str], Path], base: Make
) -> None:
    model = load_adapter(base(), folders[method])
    expected = logits(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if is_of_adapter(name):
                parameter.zero_()
    load_weights(model, folders[method])
    assert torch.equal(logits(model), expected)
    other = folder(method)
    whole = load_file(other / WEIGHTS)
    save_file({name: tensor for name, tensor in whole.items() if name != min(whole)}, other / WEIGHTS)
    with pytest.raises(RunError, match="1 tensors are missing"):
        load_weights(model, other)
    assert torch.equal(logits(model), expected)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_truncated_file_is_refused(method: str, kept: int, folder: Callable[[str], Path], base: Make) -> None:
    file = folder(method) / WEIGHTS
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(RunError, match="not a whole safetensors file"):
        load_adapter(base(), file.parent)


@pytest.mark.parametrize("method", METHODS)
def test_missing_and_unexpected_tensors_are_refused(method: str, folder: Callable[[str], Path], base: Make) -> None:
    file = folder(method) / WEIGHTS
    whole = load_file(file)
    first = min(whole)
    save_file({name: tensor for name, tensor in whole.items() if name != first}, file)
    with pytest.raises(RunError, match=f"1 tensors are missing, first '{re.escape(first)}'"):
        load_adapter(base(), file.parent)
    save_file({**whole, "base_model.model.extra.A": torch.ones(1)}, file)
    with pytest.raises(RunError, match=r"1 tensors are not of this adapter, first 'base_model\.model\.extra\.A'"):
        load_adapter(base(), file.parent)


@pytest.mark.parametrize(
    "method",
    [
        *(m for m in METHODS if m != "adalora"),
        "adalora",
    ],
)
def test_misshapen_tensors_are_refused(method: str, folder: Callable[[str], Path], base: Make) -> None:
    file = folder(method) / WEIGHTS
    whole = load_file(file)
    save_file({**whole, min(whole): torch.ones(3, 3)}, file)
    with pytest.raises(RunError, match="has shape"):
        load_adapter(base(), file.parent)


def other_base(**values: int) -> Any:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, **values}
    return LlamaForCausalLM(LlamaConfig(vocab_size=300, intermediate_size=8, **sizes))


@pytest.mark.parametrize(
    ("method", "values"),
    [
        *((method, {"hidden_size": 64}) for method in ("lope", "hydralora", "lora", "prefix")),
        *((method, {"num_hidden_layers": 1}) for method in ("lope", "hydralora", "lora")),
        *((method, {"num_hidden_layers": 3}) for method in OF_LAYERS),
        *((method, {"num_key_value_heads": 1}) for method in ("lope", "hydralora", "lora", "prefix")),
        ("adalora", {"hidden_size": 64}),
        ("adalora", {"num_hidden_layers": 1}),
        ("adalora", {"num_key_value_heads": 1}),
        ("prefix", {"num_hidden_layers": 1}),
        ("prefix", {"num_hidden_layers": 3}),
        ("ptuning", {"hidden_size": 64}),
    ],
    ids=str,
)
def test_another_base_model_is_refused(method: str, values: dict[str, int], folders: dict[str, Path]) -> None:
    with pytest.raises(RunError, match="is the base another model"):
        load_adapter(other_base(**values), folders[method])


@pytest.mark.parametrize("method", OF_LAYERS)
def test_a_base_of_another_architecture_is_refused(method: str, folders: dict[str, Path]) -> None:
    with pytest.raises(RunError, match=r"adapter_config.json: .*(matches no linear layer|not found)"):
        load_adapter(t5(), folders[method])


def edit_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


KNOWN = sorted({method.peft_type for method in METHODS.values()})


@pytest.mark.parametrize("kind", [*sorted({*PeftType.__members__} - {*KNOWN})[:2], "lope", None, 3, ["LOPE"]])
def test_an_adapter_of_a_kind_we_do_not_know_is_refused(kind: Any, folder: Callable[[str], Path], base: Make) -> None:
    run = folder("lope")
    edit_json(run / CONFIG, peft_type=kind)
    with pytest.raises(RunError, match=f"peft_type is {re.escape(repr(kind))}, known are {', '.join(KNOWN)}"):
        load_adapter(base(), run)


@pytest.mark.parametrize("method", METHODS)
def test_a_config_with_keys_that_we_do_not_know_is_refused(
    method: str, folder: Callable[[str], Path], base: Make
) -> None:
    run = folder(method)
    edit_json(run / CONFIG, wings=2)
    with pytest.raises(RunError, match=r"adapter_config.json: .*\['wings'\]") as caught:
        load_adapter(base(), run)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("method", "values", "message"),
    [
        ("lope", {"num_experts": 0}, "'num_experts' is 0"),
        ("lope", {"poison_index": [9]}, r"poison_index \[9\]"),
        ("lope", {"target_modules": ["nope"]}, "'nope' matches no linear layer"),
        ("lope", {"r": 64}, "rank 64 is above the size"),
        ("lope", {"task_type": "POETRY"}, "Invalid task type"),
        ("lora", {"target_modules": ["nope"]}, "nope"),
        ("lora", {"r": 0}, "r"),
    ],
    ids=str,
)
def test_a_config_that_does_not_fit_is_refused(
    method: str, values: dict[str, Any], message: str, folder: Callable[[str], Path], base: Make
) -> None:
    run = folder(method)
    edit_json(run / CONFIG, **values)
    with pytest.raises(RunError, match=message):
        load_adapter(base(), run)


@pytest.mark.parametrize(
    ("method", "values"),
    [
        *((m, {"auto_mapping": {"base_model_class": "Any", "parent_library": "imp_x"}}) for m in METHODS),
        ("lora", {"runtime_config": {"ephemeral_gpu_offload": True}}),
        ("lora", {"megatron_config": {"tensor_model_parallel_size": 1}, "megatron_core": "imp_x"}),
    ],
    ids=str,
)
def test_code_that_a_config_names_is_not_imported(
    method: str,
    values: dict[str, Any],
    folder: Callable[[str], Path],
    folders: dict[str, Path],
    base: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "imp_x.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    run = folder(method)
    edit_json(run / CONFIG, **values)
    expected = logits(load_adapter(base(), folders[method]))
    try:
        loaded = load_adapter(base(), run)
    except SystemExit:
        pytest.fail("imported")
    assert "imp_x" not in sys.modules
    assert torch.equal(logits(loaded), expected)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_folder_that_holds_no_adapter_is_refused(name: str, folder: Callable[[str], Path], base: Make) -> None:
    run = folder("lope")
    (run / name).unlink()
    with pytest.raises(RunError, match=f"no {re.escape(name)}; is this the folder of a run"):
        load_adapter(base(), run)


def test_a_model_without_adapter_is_not_saved(base: Make, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="LlamaForCausalLM has no adapter named 'default'"):
        save_adapter(base(), tmp_path)
    assert not any(tmp_path.iterdir())


def test_peft_knows_all_methods() -> None:
    assert {method.peft_type for method in METHODS.values()} <= {*PeftType}


@pytest.mark.parametrize("method", METHODS)
def test_a_run_loads_for_inference(method: str, tiny_runs: dict[str, Path], tiny_model: Path, base: Make) -> None:
    model, tokenizer = load_run(tiny_runs[method])
    again, _ = load_run(tiny_runs[method], str(tiny_model))
    assert isinstance(model, PeftModel)
    assert not model.training
    assert torch.equal(logits(model), logits(again))
    assert not torch.equal(logits(model), logits(base()))
    assert tokenizer("cold")["input_ids"]
    if METHODS[method].peft_type == "LOPE":
        assert {(experts.mode, experts.inference) for _, experts in lope_experts(model)} == {
            ("inference", Inference.COMPENSATED)
        }


def test_a_loaded_run_has_the_trained_weights(tiny_runs: dict[str, Path]) -> None:
    for method, adapter in (("lora", ".default.weight"), ("lope", ".lope_experts.default.")):
        model, _ = load_run(tiny_runs[method])
        state = model.state_dict()
        for key, tensor in load_file(tiny_runs[method] / WEIGHTS).items():
            name = key.replace(adapter.replace(".default", ""), adapter)
            assert tensor.any()
            assert torch.equal(state[name], tensor)


@pytest.fixture
def copy(tiny_runs: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    def make(method: str) -> Path:
        return Path(shutil.copytree(tiny_runs[method], tmp_path / method))

    return make


@pytest.mark.parametrize(("method", "other"), [("lope", "lora"), ("lora", "lope"), ("hydralora", "lora")])
def test_the_adapter_of_another_method_is_refused(
    method: str, other: str, copy: Callable[[str], Path], tiny_runs: dict[str, Path]
) -> None:
    run = copy(method)
    for name in (CONFIG, WEIGHTS):
        shutil.copy(tiny_runs[other] / name, run / name)
    with pytest.raises(RunError, match=f"says method '{method}', but .* holds"):
        load_run(run)


@pytest.mark.parametrize("name", ["run.json", CONFIG, WEIGHTS])
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
    edit_json(run / "run.json", method="magic")
    with pytest.raises(RunError, match="not the record of a training run"):
        load_run(run)
