"""How far weights move in a stage (Fig. 5), and the matrices at the start and at the end of each (Fig. 6)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from lope_train.errors import RunError
from lope_train.inspection.maps import parameter_maps
from lope_train.inspection.moves import movement
from lope_train.methods import METHODS
from lope_train.models import load_base
from lope_train.publish import export
from lope_train.runs import RunFolder, load_adapter, save_adapter
from lope_train.settings import TrainSettings
from lope_train.training import train

Make = Callable[..., TrainSettings]
WEIGHTS = "adapter_model.safetensors"
TRAINED = {"stage I": {"A", "B_poison"}, "stage II": {"A", "B", "router"}, "training": {"A", "B", "router"}}


def entries(run: Path, stage: str) -> list[dict[str, float]]:
    """The entry of each step of a stage."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line["stage"] == stage and "loss" in line]


def moved(run: Path) -> list[dict[str, float]]:
    """All that a run says of movement, line by line."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [{key: value for key, value in line.items() if key.startswith("moved_")} for line in lines]


def start(settings: TrainSettings, folder: Path) -> dict[str, Tensor]:
    """The adapter that a training begins with."""
    folder.mkdir()
    save_adapter(METHODS[settings.method].attach(load_base(settings.model), settings, 4), folder)
    return load_file(folder / WEIGHTS)


def of(adapter: dict[str, Tensor], name: str) -> Tensor:
    """The values of a parameter in all layers, as one vector."""
    return torch.cat([adapter[key].double().flatten() for key in sorted(adapter) if key.endswith(f".{name}")])


@pytest.mark.parametrize("method", ["lope", "hydralora"])
def test_the_numbers_are_those_of_the_saved_adapters(
    method: str, tiny_runs: dict[str, Path], tiny_settings: Make, tmp_path: Path
) -> None:
    run = tiny_runs[method]
    adapters = [start(tiny_settings(tmp_path / "run", method=method), tmp_path / "start")]
    adapters += [load_file(folder / WEIGHTS) for folder in ([run / "stage1", run] if method == "lope" else [run])]
    stages = ["stage I", "stage II"] if method == "lope" else ["training"]
    assert list(movement(run)) == stages
    for stage, before, after in zip(stages, adapters, adapters[1:], strict=False):
        last = entries(run, stage)[-1]
        assert {key.split("_", 1)[1].rpartition("_")[0] for key in last if key.startswith("moved_")} == TRAINED[stage]
        for name in ("A", "B", "B_poison", "router"):
            if name not in TRAINED[stage]:
                assert name == "B_poison" or torch.equal(of(after, name), of(before, name))
                continue
            step, from_ = of(after, name) - of(before, name), of(before, name).norm().item()
            assert step.norm() > 0
            assert last[f"moved_{name}_norm"] == pytest.approx(step.norm().item(), rel=1e-5)
            assert last[f"moved_{name}_rms"] == pytest.approx(step.square().mean().sqrt().item(), rel=1e-5)
            if from_:
                assert last[f"moved_{name}_relative"] == pytest.approx(step.norm().item() / from_, rel=1e-5)
            else:
                assert f"moved_{name}_relative" not in last


def test_only_what_trains_moves_in_each_stage(tiny_runs: dict[str, Path]) -> None:
    run = tiny_runs["lope"]
    first, last = load_file(run / "stage1" / WEIGHTS), load_file(run / WEIGHTS)
    assert not of(first, "B").any()
    assert of(first, "B_poison").any()
    assert of(last, "B").any()
    assert torch.equal(of(last, "B_poison"), of(first, "B_poison"))
    read = movement(run)
    assert {stage: set(names) for stage, names in read.items()} == {s: TRAINED[s] for s in ("stage I", "stage II")}
    for stage, names in read.items():
        for name, values in names.items():
            assert values == [entry[f"moved_{name}_rms"] for entry in entries(run, stage)]
            assert len(values) == 4
            assert values[0] == 0 < values[-1]  # the warm-up begins with a rate of zero


class Stopped(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.mark.parametrize("steps", [3, 7])
def test_a_run_that_goes_on_says_the_same(
    steps: int, tiny_settings: Make, tmp_path: Path, stop_after: Callable[[int, TrainSettings], None]
) -> None:
    """Stopped one step after a checkpoint, in stage I and in stage II."""
    settings = tiny_settings(tmp_path / "run", save_every=2)
    stop_after(steps, settings)
    train(settings)
    whole = train(tiny_settings(tmp_path / "whole", save_every=2))
    assert moved(settings.out) == moved(whole)
    assert sum(map(bool, moved(whole))) == 8
    assert (settings.out / "stage1" / WEIGHTS).read_bytes() == (whole / "stage1" / WEIGHTS).read_bytes()


def test_measuring_changes_no_weight(
    tiny_settings: Make, tiny_runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lope_train.training.stage.Moved", lambda *_: None)
    run = train(tiny_settings(tmp_path / "run"))
    for file in (WEIGHTS, f"stage1/{WEIGHTS}"):
        assert (run / file).read_bytes() == (tiny_runs["lope"] / file).read_bytes()
    assert not any(moved(run))
    with pytest.raises(RunError, match=r"no movement in metrics\.jsonl; it was sharded"):
        movement(run)


def test_the_adapter_of_stage_one_loads_and_is_not_exported(
    tiny_runs: dict[str, Path], tiny_model: Path, tmp_path: Path
) -> None:
    run = tiny_runs["lope"]
    assert {path.name for path in (run / "stage1").iterdir()} == {"adapter_config.json", WEIGHTS}
    load_adapter(load_base(str(tiny_model)), run / "stage1")
    assert not [path for path in export(run, tmp_path / "out").iterdir() if path.is_dir()]


def test_stopped_while_it_is_finished_it_is_whole(
    tiny_settings: Make, tiny_runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops(*_: object) -> None:
        raise Stopped

    settings = tiny_settings(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "finish", stops)
        with pytest.raises(Stopped):
            train(settings)
    train(settings)
    assert moved(settings.out) == moved(tiny_runs["lope"])
    assert {path.name for path in settings.out.iterdir()} == {path.name for path in tiny_runs["lope"].iterdir()}


def test_the_maps_are_the_matrices_of_one_layer(
    tiny_runs: dict[str, Path], tiny_settings: Make, tmp_path: Path
) -> None:
    run = tiny_runs["lope"]
    layer, at = parameter_maps(run)
    assert layer == "model.layers.1.self_attn.q_proj"
    assert [*at] == ["start", "stage I", "stage II"]
    adapters = [start(tiny_settings(tmp_path / "run"), tmp_path / "start")]
    adapters += [load_file(folder / WEIGHTS) for folder in (run / "stage1", run)]
    for maps, adapter in zip(at.values(), adapters, strict=True):
        assert {name: matrix.shape for name, matrix in maps.items()} == {
            "A": (4, 32),
            "B": (32, 4),
            "B_poison": (32, 4),
        }
        for name, matrix in maps.items():
            whole = adapter[f"base_model.model.{layer}.lope_experts.{name}"].numpy()
            np.testing.assert_array_equal(matrix, whole if name == "A" else whole[0])
    assert not at["start"]["B_poison"].any()


def test_a_layer_by_its_name_or_end(tiny_runs: dict[str, Path]) -> None:
    run = tiny_runs["lope"]
    maps = parameter_maps(run, "layers.0.self_attn.v_proj")
    assert maps.layer == "model.layers.0.self_attn.v_proj"
    assert maps.at["stage II"]["B"].shape == (16, 4)
    assert parameter_maps(tiny_runs["hydralora"]).at.keys() == {"start", "training"}
    assert parameter_maps(tiny_runs["hydralora"]).at["training"].keys() == {"A", "B"}
    with pytest.raises(RunError, match=r"'v_proj' is the end of 2 layers; name one of them, such as 'model\.layers\.0"):
        parameter_maps(run, "v_proj")
    with pytest.raises(RunError, match=r"no adapted layer 'model.layers.1.self_attn.k_proj'; did you mean"):
        parameter_maps(run, "model.layers.1.self_attn.k_proj")


@pytest.mark.parametrize("layers", [2, 12])
def test_the_middle_layer_is_by_number(layers: int, tiny_model: Path, tiny_settings: Make, tmp_path: Path) -> None:
    config = LlamaConfig.from_pretrained(tiny_model)
    config.num_hidden_layers = layers
    run = tmp_path / "run"
    run.mkdir()
    settings = tiny_settings(run, method="hydralora")
    save_adapter(METHODS[settings.method].attach(LlamaForCausalLM(config), settings, 4), run)
    record: dict[str, Any] = {"method": "hydralora", "model": "m", "settings": {}, "stages": [{"stage": "training"}]}
    (run / "run.json").write_text(json.dumps(record))
    assert parameter_maps(run).layer == f"model.layers.{layers // 2}.self_attn.q_proj"


def test_runs_that_have_none(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"^[^\n]*: method 'lora' has no shared A and experts B whose movement"):
        movement(tiny_runs["lora"])
    with pytest.raises(RunError, match=r"^[^\n]*: method 'lora' has no shared A and experts B to map$"):
        parameter_maps(tiny_runs["lora"])
    old = shutil.copytree(tiny_runs["lope"], tmp_path / "old")
    shutil.rmtree(old / "stage1")
    with pytest.raises(RunError, match=r"no stage1/adapter_model\.safetensors; the run is of an older release"):
        parameter_maps(old)
    (old / "metrics.jsonl").write_text("{}\nhalf a li")
    with pytest.raises(RunError, match=r"metrics\.jsonl: cannot be read"):
        movement(old)
