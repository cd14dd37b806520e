"""`train` from a version to a run folder."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from lope_train.data import resolve
from lope_train.errors import RunError, VersionError
from lope_train.methods import METHODS
from lope_train.settings import TrainSettings
from lope_train.training.run import train

Make = Callable[..., TrainSettings]


def record(run: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((run / "run.json").read_text())
    return value


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "adapter_model.safetensors")


def same(a: Path, b: Path) -> bool:
    first, second = weights(a), weights(b)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_folder_says_what_was_done(
    method: str, tiny_runs: dict[str, Path], tiny_store: Path, tiny_model: Path
) -> None:
    run = tiny_runs[method]
    assert {path.name for path in run.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "metrics.jsonl",
        "run.json",
        "settings.toml",
        *(["stage1"] if method == "lope" else []),
    }
    noisy, clean = resolve("tiny-noisy", tiny_store), resolve("tiny", tiny_store)
    made = record(run)
    assert made["method"] == method
    assert made["model"] == str(tiny_model)
    assert made["settings"]["learning_rate"] == 0.01
    assert made["data"] == {
        "ref": noisy.ref,
        "content_digest": noisy.content_digest,
        "parent": clean.ref,
        "parent_content_digest": clean.content_digest,
    }
    reads = {"lope": [noisy.ref, clean.ref]}.get(method, [clean.ref])
    assert [stage["reads"] for stage in made["stages"]] == reads
    assert made["stages"][0]["embedding_alpha"] == (0.05 if method == "lope" else 0)
    for stage in made["stages"]:
        assert (stage["rows"], stage["steps"]) == (24, 4)
        assert stage["trained_parameters"] > 0
        assert stage["seconds"] > 0
    assert made["stages"][-1]["final_loss"] < made["stages"][0]["first_loss"]
    assert {"torch", "transformers", "peft", "lope", "python"} <= made["libraries"].keys()


@pytest.mark.parametrize("method", METHODS)
def test_the_same_settings_give_the_same_weights(
    method: str, tiny_settings: Make, tiny_runs: dict[str, Path], tmp_path: Path
) -> None:
    random.seed(1)
    torch.rand(3)
    assert same(train(tiny_settings(tmp_path / "again", method=method)), tiny_runs[method])
    assert not same(train(tiny_settings(tmp_path / "other", method=method, seed=1)), tiny_runs[method])


def test_dropout_is_seeded_too(tiny_settings: Make, tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    runs = [train(tiny_settings(tmp_path / name, lora_dropout=0.5)) for name in "ab"]
    assert same(*runs)
    assert not same(runs[0], tiny_runs["lope"])


def test_global_generators_are_left_as_they_were(tiny_settings: Make, tmp_path: Path) -> None:
    def state() -> list[Any]:
        return [random.getstate(), np.random.get_state()[1].tolist(), torch.random.get_rng_state().tolist()]  # type: ignore[index, union-attr]

    random.seed(99)
    np.random.seed(99)
    torch.manual_seed(99)
    before = state()
    train(tiny_settings(tmp_path / "run", method="lora", lora_dropout=0.1))
    assert state() == before


def test_reading_the_noise_and_more_epochs(
    tiny_settings: Make, tiny_runs: dict[str, Path], tiny_store: Path, tmp_path: Path
) -> None:
    noisy = train(tiny_settings(tmp_path / "noisy", method="hydralora", on="noisy"))
    assert [s["reads"] for s in record(noisy)["stages"]] == [resolve("tiny-noisy", tiny_store).ref]
    assert not same(noisy, tiny_runs["hydralora"])
    twice = train(tiny_settings(tmp_path / "twice", method="hydralora", epochs=2))
    assert record(twice)["stages"][0]["steps"] == 8


@pytest.mark.parametrize(
    "values",
    [
        {"warmup": 0.5},
        {"weight_decay": 0.5},
        {"schedule": "linear"},
        {"learning_rate": 0.02},
        {"batch_size": 5},
        {"max_length": 190},
        {"num_experts": 3},
        {"router_input": "hidden"},
        {"lora_alpha": 16},
        {"r": 2},
        {"target_modules": ("k_proj",)},
    ],
)
def test_every_setting_reaches_the_training(
    values: dict[str, Any], tiny_settings: Make, tiny_runs: dict[str, Path], tmp_path: Path
) -> None:
    assert not same(train(tiny_settings(tmp_path / "run", method="hydralora", **values)), tiny_runs["hydralora"])


@pytest.mark.parametrize(("asked", "used"), [(None, 0.05), (0.3, 0.3), (0.0, 0.0)])
def test_the_asked_embedding_noise_wins_over_the_hint(
    asked: float | None, used: float, tiny_settings: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tiny_settings(tmp_path / "run", embedding_alpha=asked)
    stages = record(train(settings))["stages"]
    assert [stage["embedding_alpha"] for stage in stages] == [used, 0.0]
    spread = AutoModelForCausalLM.from_pretrained(settings.model).get_input_embeddings().weight.std().item()
    assert [stage["embedding_noise_ratio"] for stage in stages] == [pytest.approx(used / 3**0.5 / spread, rel=0.01), 0]
    told = f"embedding noise {used}, {100 * stages[0]['embedding_noise_ratio']:.3g} % of the embedding's spread"
    assert capsys.readouterr().err.count(told) == (used > 0)


def test_a_bfloat16_base_trains_a_float32_adapter(tiny_settings: Make, tmp_path: Path) -> None:
    run = train(tiny_settings(tmp_path / "run", dtype="bfloat16"))
    assert {tensor.dtype for tensor in weights(run).values()} == {torch.float32}
    assert all(tensor.any() for name, tensor in weights(run).items() if name.endswith((".B", ".B_poison")))


def test_an_empty_folder_may_be_the_run(tiny_settings: Make, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "run"
    out.mkdir(parents=True)
    assert train(tiny_settings(out, method="lora")) == out
    assert (out / "run.json").is_file()


def test_a_taken_folder_is_refused_and_left_alone(tiny_settings: Make, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="is not empty; name a new folder"):
        train(tiny_settings(tmp_path))
    with pytest.raises(RunError, match="is a file"):
        train(tiny_settings(tmp_path / "notes.txt"))
    with pytest.raises(RunError, match="no folder can be made in"):
        train(tiny_settings(tmp_path / "notes.txt" / "run"))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_version_without_parent_is_refused(tiny_settings: Make, tmp_path: Path) -> None:
    with pytest.raises(VersionError, match="no parent"):
        train(tiny_settings(tmp_path / "run", data="tiny"))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("method", ["lope", "lora"])
def test_a_gradient_that_is_not_finite_stops_with_stage_and_step(
    method: str, tiny_settings: Make, tmp_path: Path
) -> None:
    stage = "stage I" if method == "lope" else "training"
    with pytest.raises(RunError, match=rf"^{stage}, step 1: the gradient is (inf|nan).*; lower the learning rate"):
        train(tiny_settings(tmp_path / "run", method=method, lora_alpha=10**38))
    assert not any(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_stops_with_stage_and_step(
    tiny_settings: Make, tiny_model: Path, tmp_path: Path
) -> None:
    broken = AutoModelForCausalLM.from_pretrained(tiny_model)
    with torch.no_grad():
        broken.model.norm.weight[0] = torch.nan
    broken.save_pretrained(tmp_path / "model")
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path / "model")
    with pytest.raises(RunError, match=r"^stage I, step 1: the loss is nan on rows \d+(, \d+){5}; lower the learning"):
        train(tiny_settings(tmp_path / "runs" / "run", model=str(tmp_path / "model")))
    assert not any((tmp_path / "runs").iterdir())


def test_a_failed_write_leaves_what_can_be_gone_on_with(
    tiny_settings: Make, tiny_runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError("No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lope_train.training.run.write_json", full_disk)
        with pytest.raises(RunError, match="cannot be written: No space left on device"):
            train(tiny_settings(tmp_path / "run", method="lora"))
    assert not (tmp_path / "run").exists()
    assert same(train(tiny_settings(tmp_path / "run", method="lora")), tiny_runs["lora"])
    assert "training: was done before" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_step_of_the_trainer_is_one_of_the_whole_batch(tiny_settings: Make, tmp_path: Path) -> None:
    """24 rows of many lengths under embedding noise, four at a time or all at once: one update, up to rounding."""

    def trained(rows: int) -> dict[str, torch.Tensor]:
        settings = tiny_settings(tmp_path / str(rows), batch_size=24, warmup=0, embedding_alpha=1.0, epochs=2)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("lope_train.training.trainer._PART_ROWS", rows)
            patch.setattr("lope_train.training.trainer._PART_TOKENS", 0)
            return weights(train(settings))

    parts, whole = trained(4), trained(24)
    for name, tensor in parts.items():
        assert tensor.any()
        torch.testing.assert_close(tensor, whole[name], rtol=1e-3, atol=1e-5)
