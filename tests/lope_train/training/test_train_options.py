"""What can be asked of a training beside its method: noise, held-out rows, long rows, packing, memory."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lope_train.data import Collator, load_tokens, resolve
from lope_train.errors import RunError, SettingsError, VersionError
from lope_train.methods import METHODS
from lope_train.runs import RunFolder, load_run, newest_checkpoint
from lope_train.settings import TrainSettings
from lope_train.training import stage as loop
from lope_train.training.loss import CompletionLoss
from lope_train.training.run import train
from lope_train.tuner import lope_experts

Make = Callable[..., TrainSettings]


def record(run: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((run / "run.json").read_text())
    return value


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "adapter_model.safetensors")


def same(a: Path, b: Path) -> bool:
    first, second = weights(a), weights(b)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("values", "stages"),
    [
        ({}, [("tiny-noisy", 0.05), ("tiny", 0.0)]),
        ({"hynoise": "discrete"}, [("tiny-noisy", 0.0), ("tiny", 0.0)]),
        ({"hynoise": "continuous"}, [("tiny", 0.05), ("tiny", 0.0)]),
        ({"hynoise": "none"}, [("tiny", 0.0), ("tiny", 0.0)]),
        ({"method": "hydralora"}, [("tiny", 0.0)]),
        ({"method": "hydralora", "on": "noisy"}, [("tiny-noisy", 0.0)]),
        ({"method": "hydralora", "on": "noisy", "hynoise": "both"}, [("tiny-noisy", 0.05)]),
        ({"method": "lora", "hynoise": "continuous"}, [("tiny", 0.05)]),
    ],
)
def test_the_parts_of_the_noise(
    values: dict[str, Any], stages: list[tuple[str, float]], tiny_settings: Make, tmp_path: Path
) -> None:
    made = record(train(tiny_settings(tmp_path / "run", **values)))["stages"]
    assert [(stage["reads"].partition("@")[0], stage["embedding_alpha"]) for stage in made] == stages


@pytest.mark.parametrize("method", METHODS)
def test_an_encoder_decoder_trains(method: str, tiny_settings: Make, tiny_t5: Path, tmp_path: Path) -> None:
    rate = 0.3 if method in ("prefix", "ptuning") else 0.01
    run = train(tiny_settings(tmp_path / "run", method=method, model=str(tiny_t5), epochs=3, learning_rate=rate))
    stages = record(run)["stages"]
    assert stages[-1]["final_loss"] < stages[0]["first_loss"]
    if method == "lope":
        model, _ = load_run(run)
        names = {name.rpartition(".lope_experts")[0] for name, _ in lope_experts(model)}
        kinds = ("encoder.block.0.layer.0.SelfAttention", "decoder.block.1.layer.1.EncDecAttention")
        assert {f"base_model.model.{kind}.{leaf}" for kind in kinds for leaf in "qv"} <= names
        assert len(names) == 2 * (2 + 2 * 2)


@pytest.mark.parametrize("method", ["lope", "lora", "ptuning"])
def test_held_out_rows_end_the_training_and_choose_the_weights(
    method: str, tiny_settings: Make, tiny_store: Path, tmp_path: Path
) -> None:
    settings = tiny_settings(
        tmp_path / "run",
        method=method,
        held_out="tiny",
        patience=2,
        save_every=2,
        epochs=30,
        learning_rate=1.0 if method == "lora" else 0.3,
        schedule="constant",
    )
    run = train(settings)
    made = record(run)
    last = made["stages"][-1]
    assert made["held_out"]["ref"] == resolve("tiny", tiny_store).ref
    assert last["steps"] < 120
    assert last["best_step"] == last["steps"] - 4
    entries = list(map(json.loads, (run / "metrics.jsonl").read_text().splitlines()))
    measured = {entry["step"]: entry["eval_loss"] for entry in entries if "eval_loss" in entry}
    assert min(measured, key=measured.__getitem__) == last["best_step"]
    assert {entry["stage"] for entry in entries if "eval_loss" in entry} == {last["stage"]}

    model, tokenizer = load_run(run)
    rows = load_tokens(resolve("tiny", tiny_store), tokenizer, max_length=settings.max_length).dataset
    batch = Collator(tokenizer)([rows[i] for i in range(len(rows))])
    del batch["row"]
    with torch.no_grad():
        total, count = CompletionLoss.of(model)(model, batch)
    assert (total / count).item() == pytest.approx(last["held_out_loss"], rel=1e-4)
    assert measured[last["best_step"]] == last["held_out_loss"]


def test_a_short_stage_is_measured_at_its_end(tiny_settings: Make, tmp_path: Path) -> None:
    stage = record(train(tiny_settings(tmp_path / "run", method="lora", held_out="tiny")))["stages"][0]
    assert (stage["steps"], stage["best_step"]) == (4, 4)
    assert stage["held_out_loss"] > 0


def test_parts_of_a_step_give_the_step(tiny_settings: Make, tmp_path: Path) -> None:
    whole = weights(train(tiny_settings(tmp_path / "whole", epochs=2)))
    for parts in (2, 3):
        run = train(tiny_settings(tmp_path / str(parts), epochs=2, gradient_accumulation=parts))
        for name, tensor in weights(run).items():
            torch.testing.assert_close(tensor, whole[name], rtol=1e-3, atol=1e-5)


def test_packing_takes_fewer_steps(tiny_settings: Make, tmp_path: Path) -> None:
    run = train(tiny_settings(tmp_path / "run", packing=True, batch_size=2, max_length=512, epochs=3))
    first, second = record(run)["stages"]
    assert first["rows"] < 24
    assert second["final_loss"] < first["first_loss"]


def test_what_is_too_long_is_left_out_and_said_or_cut(
    tiny_settings: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values: dict[str, Any] = {"method": "lora", "max_length": 225}
    run = train(tiny_settings(tmp_path / "run", **values))
    stage = record(run)["stages"][0]
    assert 0 < stage["left_out"] < 24
    assert stage["rows"] == 24 - stage["left_out"]
    assert f"of 24 rows: {stage['left_out']} rows too long for 225 tokens left out" in capsys.readouterr().err
    cut = train(tiny_settings(tmp_path / "cut", truncate=True, **values))
    assert record(cut)["stages"][0]["rows"] > stage["rows"]
    assert "rows cut to 225 tokens" in capsys.readouterr().err
    with pytest.raises(VersionError, match=r"nothing to train on: of 24 rows .* raise --max-length or give --truncate"):
        train(tiny_settings(tmp_path / "none", method="lora", max_length=8))


def test_tensorboard_gets_both_stages(tiny_settings: Make, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train(tiny_settings(tmp_path / "run", report_to=("tensorboard",)))
    for stage in ("stage I", "stage II"):
        events = EventAccumulator(str(run / "tensorboard" / stage))
        events.Reload()
        assert len(events.Scalars("train/loss")) == 4


def test_the_ranks_of_adalora_fall(tiny_settings: Make, tmp_path: Path) -> None:
    run = train(tiny_settings(tmp_path / "run", method="adalora", epochs=10, r=2))
    pattern = json.loads((run / "adapter_config.json").read_text())["rank_pattern"]
    kept = [sum(ranks) for ranks in pattern.values()]
    assert len(kept) == 4
    assert all(len(ranks) == 3 for ranks in pattern.values())
    assert sum(kept) == 2 * 4
    held = [len(tensor) for name, tensor in weights(run).items() if name.endswith("lora_A")]
    assert sorted(held) == sorted(kept)
    load_run(run)


@pytest.mark.parametrize(
    ("values", "config"),
    [
        ({"inference": "masked"}, {"inference": "masked"}),
        ({"inference": "unmasked"}, {"inference": "unmasked"}),
        ({"stage2": "masked"}, {"inference": "masked"}),
        ({"stage2": "compensated"}, {"inference": "compensated"}),
        ({"stage2": "frozen"}, {"inference": "compensated"}),
        ({"stage2": "frozen", "inference": "masked"}, {"inference": "masked"}),
        ({"compensation_experts": 1, "normalize": "none"}, {"compensation_experts": 1, "normalize": "none"}),
        ({"theta": "zero"}, {"theta": "zero"}),
    ],
)
def test_what_is_done_at_inference_is_in_the_adapter(
    values: dict[str, Any], config: dict[str, Any], tiny_settings: Make, tmp_path: Path
) -> None:
    run = train(tiny_settings(tmp_path / "run", **values))
    written = json.loads((run / "adapter_config.json").read_text())
    assert {name: written[name] for name in config} == config
    model, _ = load_run(run)
    layers = [experts for _, experts in lope_experts(model)]
    assert {experts.mode for experts in layers} == {"inference"}
    assert {(experts.inference.masked, experts.inference.compensated) for experts in layers} == {
        (written["inference"] != "unmasked", written["inference"] == "compensated")
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_length": 513}, "max_length is 513, but .* takes 512 tokens"),
        ({"packing": True, "method": "prefix"}, "packing does not go with method 'prefix'"),
        ({"batch_size": 5, "gradient_accumulation": 2}, "cannot be taken in 2 equal parts"),
        ({"patience": 2}, "'patience' needs 'held_out'"),
        ({"method": "lora", "hynoise": "discrete"}, "hynoise 'discrete' contradicts on 'parent'"),
        ({"method": "lora", "on": "noisy", "hynoise": "none"}, "hynoise 'none' contradicts on 'noisy'"),
        ({"on": "noisy"}, "'on' is for the one-stage methods"),
        ({"report_to": ("wandb",)}, "report_to 'wandb' needs wandb, which is missing: pip install wandb"),
        (
            {"quantization": "4bit"},
            "quantization 4bit needs bitsandbytes, which is missing: pip install 'bitsandbytes>=",
        ),
    ],
)
def test_settings_that_do_not_go_together(
    values: dict[str, Any], message: str, tiny_settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lope_common.extras.find_spec", lambda name: None)
    with pytest.raises((SettingsError, Exception), match=message):
        train(tiny_settings(tmp_path / "run", **values))
    assert not any(tmp_path.iterdir())


def test_packing_is_not_for_encoder_decoders(tiny_settings: Make, tiny_t5: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="packing does not go with an encoder-decoder"):
        train(tiny_settings(tmp_path / "run", model=str(tiny_t5), packing=True))


def test_a_missing_parent_is_named_with_what_makes_it(tiny_settings: Make, tiny_store: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(tiny_store, store)
    shutil.rmtree(store / "tiny")
    with pytest.raises(
        VersionError, match=r"was made from tiny@.*make it again with `python -m lope_data ingest SOURCE"
    ):
        train(tiny_settings(tmp_path / "run", store=store))


def test_a_loss_that_becomes_nan_leaves_the_last_good_checkpoint(tiny_settings: Make, tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path / "run", save_every=1, epochs=2)
    steps = 0
    call = CompletionLoss.__call__

    def spoiled(self: CompletionLoss, model: Any, inputs: dict[str, torch.Tensor], *more: Any) -> Any:
        nonlocal steps
        steps += 1
        total, count = call(self, model, inputs, *more)
        return (total * torch.nan if steps > 2 * 8 + 2 * 3 else total), count  # two parts a step: stage II, step 4

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CompletionLoss, "__call__", spoiled)
        with pytest.raises(
            RunError, match=r"^stage II, step 4: the loss is nan on rows .*checkpoint is .*checkpoint-3"
        ):
            train(settings)
    good = newest_checkpoint(RunFolder(settings.out).checkpoints(2))
    assert good is not None
    assert good.name == "checkpoint-3"
    assert all(tensor.isfinite().all() for tensor in load_file(good / "adapter_model.safetensors").values())
    whole = train(tiny_settings(tmp_path / "whole", save_every=1, epochs=2))
    assert same(train(settings), whole)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: not enough memory: you tried ..."),
        MemoryError(),
    ],
)
def test_too_little_memory_is_an_error_with_advice(
    error: Exception, tiny_settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(CompletionLoss, "__call__", fails)
    with pytest.raises(RunError, match=r"^out of memory; try --gradient-accumulation 6, --activation-checkpointing, "):
        train(tiny_settings(tmp_path / "run"))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("rows", "epochs"), [(24, 1), (25, 1), (24, 0.3), (24, 2.5), (3, 0.1)])
def test_steps_are_counted_as_they_are_taken(rows: int, epochs: float, tiny_settings: Make, tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path / "run", epochs=epochs, method="lora")
    if rows == 24:
        assert record(train(settings))["stages"][0]["steps"] == loop.steps_of(rows, settings)
    assert loop.steps_of(rows, settings) == -(-epochs * -(-rows // 6) // 1)
