"""Who trains when, bit for bit, on a real (tiny) training of both stages."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, count
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from lope_train.data import Collator, load_tokens, resolve
from lope_train.errors import ModelError, RunError, SettingsError
from lope_train.methods import METHODS
from lope_train.models import load_base, load_tokenizer
from lope_train.runs import RunFolder
from lope_train.settings import TrainSettings
from lope_train.training import CROSS_ENTROPY, EmbeddingNoise, Progress, StageRows, run_stage
from lope_train.tuner.config import LopeConfig
from lope_train.tuner.experts import TRAINED
from lope_train.tuner.inference import Inference
from lope_train.tuner.model import attach
from lope_train.tuner.modes import assert_trained, inferring, lope_experts, set_mode, trained_names

STEPS = 8
State = dict[str, Tensor]


class Training:
    """A tiny model of one method, and its stages run one at a time."""

    def __init__(self, settings: TrainSettings, folder: Path) -> None:
        self.settings = settings
        self.stages = settings.stages
        self.tokenizer = load_tokenizer(settings.model)
        self.model: Any = METHODS[settings.method].attach(load_base(settings.model), settings, STEPS)
        self._folders = (folder / str(number) for number in count())

    def run(self, stage: int, alpha: float = 0.05) -> State:
        """The state after the stage."""
        version = resolve("tiny-noisy", self.settings.store)
        tokens = load_tokens(
            version, self.tokenizer, max_length=256, truncate=False, packing=False, encoder_decoder=False
        )
        with Progress([STEPS], quiet=True) as progress:
            report = run_stage(
                self.model,
                1,
                self.stages[stage],
                StageRows(version.ref, tokens.dataset, 0, None),
                Collator(self.tokenizer),
                alpha,
                CROSS_ENTROPY,
                None,
                self.settings,
                RunFolder(next(self._folders)),
                progress,
            )
        assert report["steps"] == STEPS
        return self.state()

    def state(self) -> State:
        return {name: tensor.clone() for name, tensor in self.model.state_dict().items()}


@pytest.fixture
def training(tiny_settings: Callable[..., TrainSettings], tmp_path: Path) -> Callable[..., Training]:
    numbers = count()

    def make(**values: Any) -> Training:
        folder = tmp_path / str(next(numbers))
        return Training(tiny_settings(folder / "run", **{"epochs": 2, "weight_decay": 0.1, **values}), folder)

    return make


def changed(before: State, after: State) -> set[str]:
    """Kinds of parameters of which any changed in a bit; each kind must change in all layers, or in none."""

    def kind(name: str) -> str:
        return name.rpartition(".")[2] if ".lope_experts." in name else "base"

    differ = {name for name in before if not torch.equal(before[name], after[name])}
    kinds = {kind(name) for name in differ}
    assert {name for name in before if kind(name) in kinds - {"base"}} <= differ
    return kinds


@pytest.mark.parametrize("num_poisoning", [1, 2])
def test_each_stage_changes_its_parameters_and_no_bit_of_the_others(
    training: Callable[..., Training], num_poisoning: int
) -> None:
    lope = training(num_poisoning=num_poisoning)
    start = lope.state()
    after_1 = lope.run(0)
    assert changed(start, after_1) == {"A", "B_poison"}
    after_2 = lope.run(1)
    assert changed(after_1, after_2) == {"A", "B", "router"}
    for name in (name for name in after_2 if name.endswith(".B")):
        for i, j in combinations(range(len(after_2[name])), 2):
            assert (after_2[name][i] - after_2[name][j]).abs().max() > 1e-4, (name, i, j)


def test_hydralora_trains_all_it_has_and_its_experts_differ(training: Callable[..., Training]) -> None:
    hydralora = training(method="hydralora")
    start = hydralora.state()
    after = hydralora.run(0)
    assert changed(start, after) == {"A", "B", "router"}
    assert not any(name.endswith("B_poison") for name in after)
    experts = after["base_model.model.model.layers.0.self_attn.q_proj.lope_experts.default.B"]
    assert len(experts) == 4
    assert all((experts[i] - experts[j]).abs().max() > 1e-4 for i, j in combinations(range(4), 2))


def test_the_seed_keys_the_order_of_the_rows(training: Callable[..., Training]) -> None:
    one, two = (training(method="hydralora", seed=seed) for seed in (1, 2))
    two.model.load_state_dict(one.state())
    after_one, after_two = one.run(0), two.run(0)
    assert changed(after_one, after_two) == {"A", "B", "router"}


def test_embedding_noise_is_of_stage_1_alone(training: Callable[..., Training]) -> None:
    quiet, loud = training(), training()
    after_quiet, after_loud = quiet.run(0, alpha=0.0), loud.run(0, alpha=1.0)
    assert changed(after_quiet, after_loud) == {"A", "B_poison"}
    loud.model.load_state_dict(after_quiet)
    after_quiet, after_loud = quiet.run(1, alpha=0.0), loud.run(1, alpha=1.0)
    assert changed(after_quiet, after_loud) == set()
    assert not loud.model.get_input_embeddings()._forward_hooks


def test_embedding_noise_is_keyed_by_step_and_row(
    training: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[tuple[int, list[int]]] = []
    real = EmbeddingNoise.next_batch

    def spy(self: EmbeddingNoise, step: int, inputs: dict[str, Tensor]) -> None:
        keys.append((step, inputs["row"].tolist()))
        real(self, step, inputs)

    monkeypatch.setattr(EmbeddingNoise, "next_batch", spy)
    training().run(0)
    for epoch in (0, 1):
        rows = [row for step, part in keys if step // 4 == epoch for row in part]
        assert sorted(rows) == list(range(24))
    assert {step for step, _ in keys} == set(range(STEPS))


@pytest.fixture(params=[attach, get_peft_model], ids=["attached", "PeftModel"])
def put(request: pytest.FixtureRequest, tiny_model: Path) -> Callable[..., Any]:
    """Puts an adapter of these settings on the tiny model, in both ways that there are."""
    return lambda **config: request.param(AutoModelForCausalLM.from_pretrained(tiny_model), LopeConfig(**config))


def q_proj(model: Any) -> Any:
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    return base.model.layers[0].self_attn.q_proj.lope_experts["default"]


def logits(model: nn.Module) -> Tensor:
    with torch.no_grad():
        result: Tensor = model.eval()(input_ids=torch.tensor([[5, 9, 14, 30, 33, 8]])).logits
    return result


@pytest.mark.parametrize("mode", TRAINED)
def test_set_mode_frees_what_the_table_says(put: Callable[..., Any], mode: Any) -> None:
    model = put()
    for other in TRAINED:
        set_mode(model, other)
        model.get_input_embeddings().weight.requires_grad_(True)
        set_mode(model, mode)
        names = {f"{name}.{parameter}" for name, _ in lope_experts(model) for parameter in TRAINED[mode]}
        assert {name for name, p in model.named_parameters() if p.requires_grad} == names
        assert trained_names(model, mode) == names
        assert_trained(model, names)


def test_the_table_is_the_papers() -> None:
    table = {"stage1": {"A", "B_poison"}, "stage2": {"A", "B", "router"}, "inference": set()}
    ours = {"stage1_router": {"A", "B_poison", "router"}, "routed": {"A", "B", "B_poison", "router"}}
    assert table | ours == TRAINED


def test_names_are_those_of_the_parameters(put: Callable[..., Any]) -> None:
    model = put(target_modules=["q_proj"])
    for name, experts in lope_experts(model):
        assert model.get_submodule(name) is experts
    assert len([*lope_experts(model)]) == 2


@pytest.mark.parametrize(
    ("inference", "masked", "compensated"),
    [("compensated", True, True), ("masked", True, False), ("unmasked", False, False)],
)
def test_the_config_says_how_to_infer_unless_told(
    put: Callable[..., Any], inference: str, masked: bool, compensated: bool
) -> None:
    model = put(inference=inference, compensation_experts=2)

    def ways(told: str | None = None, experts: int | None = None) -> set[tuple[str, bool, bool, int | None]]:
        set_mode(model, "inference", told, experts=experts)
        return {
            (layer.mode, layer.inference.masked, layer.inference.compensated, layer.compensation_experts)
            for _, layer in lope_experts(model)
        }

    assert ways() == {("inference", masked, compensated, 2)}
    assert ways("unmasked") == {("inference", False, False, 2)}
    assert ways("masked") == {("inference", True, False, 2)}
    assert ways("compensated") == {("inference", True, True, 2)}
    assert ways("compensated", 1) == {("inference", True, True, 1)}
    assert ways(experts=0) == {("inference", masked, compensated, 0)}
    assert ways() == {("inference", masked, compensated, 2)}
    with pytest.raises(SettingsError, match=r"no inference 'maskd'; did you mean 'masked'\?"):
        ways("maskd")
    assert ways() == {("inference", masked, compensated, 2)}


def test_each_way_to_infer_gives_its_own_outputs(put: Callable[..., Any]) -> None:
    model = put()
    source = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _, experts in lope_experts(model):
            for parameter in experts.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=source) * 0.3)
    ways = []
    for inference in Inference:
        set_mode(model, "inference", inference)
        ways.append(logits(model))
    assert not any(torch.equal(one, two) for one, two in combinations(ways, 2))
    set_mode(model, "stage1")
    assert torch.equal(logits(model), ways[2])
    for inference, way in zip(Inference, ways, strict=True):
        set_mode(model, "stage2", inference)
        assert torch.equal(logits(model), way)
    for mode in ("stage2", "inference"):
        set_mode(model, mode)
        assert torch.equal(logits(model), ways[0])  # as the config has it


def test_measuring_in_another_way_leaves_what_trains_as_it_was(put: Callable[..., Any]) -> None:
    model = put()
    set_mode(model, "stage2", "unmasked")
    before = {name for name, p in model.named_parameters() if p.requires_grad}
    with inferring(model, Inference.MASKED):
        assert {(layer.mode, layer.inference) for _, layer in lope_experts(model)} == {("inference", Inference.MASKED)}
    assert {(layer.mode, layer.inference) for _, layer in lope_experts(model)} == {("stage2", Inference.UNMASKED)}
    assert {name for name, p in model.named_parameters() if p.requires_grad} == before


def test_what_trains_against_the_table_is_named(put: Callable[..., Any]) -> None:
    model = put()
    set_mode(model, "stage2")
    q_proj(model).B_poison.requires_grad_(True)
    with pytest.raises(RunError, match=r"^1 parameters .*q_proj\..*\.B_poison trains but must be frozen"):
        assert_trained(model, trained_names(model, "stage2"))
    set_mode(model, "stage2")
    q_proj(model).router.requires_grad_(False)
    with pytest.raises(RunError, match=r"q_proj\..*\.router is frozen but must train"):
        assert_trained(model, trained_names(model, "stage2"))


def test_what_cannot_be_is_refused_and_changes_nothing(put: Callable[..., Any], tiny_model: Path) -> None:
    with pytest.raises(ModelError, match="LlamaForCausalLM has no adapted layer; attach an adapter first"):
        set_mode(AutoModelForCausalLM.from_pretrained(tiny_model), "inference")
    model = put(num_poisoning=0)
    with pytest.raises(ModelError, match="this adapter has none"):
        set_mode(model, "stage1")
    with pytest.raises(ModelError, match="no mode 'stage3'; known: stage1, stage1_router, routed, stage2, inference"):
        set_mode(model, "stage3")  # type: ignore[arg-type]
    assert {experts.mode for _, experts in lope_experts(model)} == {"stage2"}
    assert_trained(model, trained_names(model, "stage2"))


def test_lora_trains_its_two_matrices(training: Callable[..., Training]) -> None:
    lora = training(method="lora")
    assert METHODS["lora"].enter(lora.model, lora.stages[0]) == 2 * (4 * (32 + 32) + 4 * (32 + 16))
    lora.model.get_base_model().lm_head.weight.requires_grad_(True)
    with pytest.raises(RunError, match=r"embed_tokens\.weight trains but must be frozen"):
        METHODS["lora"].enter(lora.model, lora.stages[0])
