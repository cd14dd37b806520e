"""Who trains when, bit for bit, on a real (tiny) training of both stages."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from lope_train.attach import attach
from lope_train.config import LopeConfig
from lope_train.dataset import Collator, tokenize
from lope_train.embedding_noise import EmbeddingNoise
from lope_train.errors import ModelError, RunError
from lope_train.loop import run_stage
from lope_train.methods import METHODS, enter
from lope_train.models import load_base, load_tokenizer
from lope_train.settings import TrainSettings
from lope_train.stages import assert_trained, lope_layers, set_mode, trained_names
from lope_train.versions import resolve

ADAPTER = ("A", "B", "B_poison", "router")
State = dict[str, Tensor]


class Training:
    """A tiny model of one method, and its stages run one at a time."""

    def __init__(self, settings: TrainSettings) -> None:
        self.settings = settings
        self.stages = METHODS[settings.method].stages(settings.on)
        self.tokenizer = load_tokenizer(settings.model)
        self.model: Any = METHODS[settings.method].attach(load_base(settings.model), settings)

    def run(self, stage: int, alpha: float = 0.05) -> State:
        """The state after the stage."""
        rows = tokenize(resolve("tiny-noisy", self.settings.store), self.tokenizer, 256)
        report = run_stage(self.model, self.stages[stage], "x", rows, Collator(self.tokenizer), alpha, self.settings)
        assert report["steps"] == 8
        return self.state()

    def state(self) -> State:
        return {name: tensor.clone() for name, tensor in self.model.state_dict().items()}


@pytest.fixture
def training(tiny_settings: Callable[..., TrainSettings]) -> Callable[..., Training]:
    return lambda **values: Training(
        tiny_settings(Path("never-written"), **{"epochs": 2, "weight_decay": 0.1, **values})
    )


def changed(before: State, after: State) -> set[str]:
    """Kinds of parameters of which any changed in a bit; each kind must change in all layers, or in none."""
    differ = {name for name in before if not torch.equal(before[name], after[name])}
    kinds = {name.rpartition(".")[2] if name.endswith(ADAPTER) else "base" for name in differ}
    for kind in kinds & {*ADAPTER}:
        assert {name for name in before if name.rpartition(".")[2] == kind} <= differ
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
    experts = after["model.layers.0.self_attn.q_proj.B"]
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

    def spy(self: EmbeddingNoise, step: int, rows: Tensor, mask: Tensor) -> None:
        keys.append((step, rows.tolist()))
        real(self, step, rows, mask)

    monkeypatch.setattr(EmbeddingNoise, "next_batch", spy)
    training().run(0)
    for epoch in (0, 1):
        rows = [row for step, part in keys if step // 4 == epoch for row in part]
        assert sorted(rows) == list(range(24))
    assert {step for step, _ in keys} == set(range(8))


@pytest.fixture
def lope(tiny_model: Path) -> Any:
    return attach(AutoModelForCausalLM.from_pretrained(tiny_model), LopeConfig())


@pytest.mark.parametrize(
    ("mode", "trains"),
    [("stage1", {"A", "B_poison"}), ("stage2", {"A", "B", "router"}), ("inference", set())],
)
def test_set_mode_frees_what_the_table_says(lope: Any, mode: Any, trains: set[str]) -> None:
    for other in ("stage1", "stage2", "inference"):
        set_mode(lope, other)
        set_mode(lope, mode)
        names = {f"{name}.{parameter}" for name, _ in lope_layers(lope) for parameter in trains}
        assert {name for name, p in lope.named_parameters() if p.requires_grad} == names
        assert_trained(lope, names)


def test_set_mode_passes_on_how_to_infer(lope: Any) -> None:
    set_mode(lope, "inference", masked=True, compensate=False)
    assert all(
        (layer.mode, layer.masked, layer.compensated) == ("inference", True, False) for _, layer in lope_layers(lope)
    )


def test_what_trains_against_the_table_is_named(lope: Any) -> None:
    set_mode(lope, "stage2")
    lope.model.layers[1].self_attn.v_proj.B_poison.requires_grad_(True)
    with pytest.raises(RunError, match=r"v_proj\.B_poison trains but must be frozen"):
        assert_trained(lope, trained_names(lope, "stage2"))
    set_mode(lope, "stage2")
    lope.model.layers[0].self_attn.q_proj.router.requires_grad_(False)
    with pytest.raises(RunError, match=r"q_proj\.router is frozen but must train"):
        assert_trained(lope, trained_names(lope, "stage2"))


def test_stage_1_needs_a_poisoning_expert(tiny_model: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    with pytest.raises(ModelError, match="no adapted layer"):
        set_mode(base, "inference")
    with pytest.raises(ModelError, match="this adapter has none"):
        set_mode(attach(base, LopeConfig(num_poisoning=0)), "stage1")


def test_lora_trains_its_two_matrices(training: Callable[..., Training]) -> None:
    lora = training(method="lora")
    assert enter(lora.model, lora.stages[0]) == 2 * (4 * (32 + 32) + 4 * (32 + 16))
    lora.model.get_base_model().lm_head.weight.requires_grad_(True)
    with pytest.raises(RunError, match=r"embed_tokens\.weight trains but must be frozen"):
        enter(lora.model, lora.stages[0])
