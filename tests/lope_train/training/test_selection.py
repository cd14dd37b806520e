"""Small-loss selection: the decision, what it leaves out, and that a run which is stopped decides the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lope_train.data import load_tokens, resolve
from lope_train.errors import RunError, SettingsError
from lope_train.runs import load_run
from lope_train.settings import TrainSettings
from lope_train.training import StageTrainer, train
from lope_train.training.selection import Selection

Make = Callable[..., TrainSettings]
NAN = float("nan")


def weights(run: Path) -> dict[str, Any]:
    return load_file(run / "adapter_model.safetensors")


def kept_by(selection: Selection, rows: int) -> list[int]:
    batch = {"row": torch.arange(rows), "labels": torch.ones(rows, dtype=torch.int64)}
    selection.apply(batch)
    return (batch["labels"] != -100).nonzero().flatten().tolist()


def test_rows_of_the_largest_losses_are_left_out_from_the_end_of_the_warm_up() -> None:
    selection = Selection(0.4, 2, None)
    losses = torch.tensor([3.0, 1.0, NAN, 9.0, 1.0, 5.0])
    for epoch in (0, 1):
        assert selection.decide(epoch, lambda: losses, None, "x") is None
        assert kept_by(selection, 6) == [0, 1, 2, 3, 4, 5]
    assert selection.decide(2, lambda: losses, None, "x") == 3  # of five rows two go
    assert kept_by(selection, 6) == [0, 1, 4]
    assert selection.decide(2, lambda: losses.flip(0), None, "x") is None  # decided
    assert selection.decide(3, lambda: -losses, None, "x") == 3
    assert kept_by(selection, 6) == [0, 3, 5]


def test_of_equal_losses_the_later_row_is_left_out() -> None:
    selection = Selection(0.5, 0, None)
    selection.decide(0, lambda: torch.ones(4), None, "x")
    assert kept_by(selection, 4) == [0, 1]


def test_tokens_of_packed_rows_are_left_out_by_their_row() -> None:
    selection = Selection(0.5, 0, None)
    selection.decide(0, lambda: torch.tensor([2.0, 1.0]), None, "x")
    batch = {"row": torch.tensor([[0, 0, 1, 1, -1]]), "labels": torch.tensor([[-100, 4, -100, 5, -100]])}
    selection.apply(batch)
    assert batch["labels"].tolist() == [[-100, -100, -100, 5, -100]]


def test_a_class_without_a_row_ends_it_in_one_line() -> None:
    selection = Selection(0.5, 0, ("a", "b"))
    with pytest.raises(RunError, match="stage, epoch 1: small-loss keeps no row of the class 'b'; lower --noise-rate"):
        selection.decide(0, lambda: torch.tensor([1.0, 1, 2, 2]), torch.tensor([0, 0, 1, 1]), "stage")


def test_it_is_saved_and_loaded(tmp_path: Path) -> None:
    selection, other = Selection(0.5, 1, None), Selection(0.5, 1, None)
    selection.save(tmp_path)
    other.load(tmp_path)
    assert kept_by(other, 3) == [0, 1, 2]
    selection.decide(1, lambda: torch.tensor([2.0, 1.0]), None, "x")
    selection.save(tmp_path)
    other.load(tmp_path)
    assert kept_by(other, 2) == [1]
    assert other.decide(1, lambda: pytest.fail("decided twice"), None, "x") is None


def literal_losses(settings: TrainSettings) -> list[float]:
    """Of each row by itself, of the trained model."""
    model, tokenizer = load_run(settings.out)
    rows = load_tokens(resolve("tiny", settings.store), tokenizer, max_length=settings.max_length).dataset
    found = []
    for row in rows:
        ids, labels = torch.as_tensor(row["input_ids"])[None], torch.as_tensor(row["labels"])[None]
        with torch.no_grad():
            found.append(float(model(input_ids=ids, labels=labels).loss))
    return found


@pytest.mark.parametrize("packing", [False, True])
def test_each_row_s_loss_is_its_own_packed_or_not(
    packing: bool, tiny_settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a learning rate of almost nothing the trained model's losses are those that were decided by."""
    decided: list[torch.Tensor] = []
    measure = StageTrainer._row_losses

    def recorded(self: StageTrainer) -> torch.Tensor:
        decided.append(measure(self))
        return decided[-1]

    monkeypatch.setattr(StageTrainer, "_row_losses", recorded)
    values: dict[str, Any] = {"method": "lora", "epochs": 2, "learning_rate": 1e-12, "max_length": 512}
    settings = tiny_settings(tmp_path / "run", loss="small-loss", noise_rate=0.25, packing=packing, **values)
    train(settings)
    (losses,) = decided
    assert losses[~losses.isnan()].tolist() == pytest.approx(literal_losses(settings), rel=1e-4)
    lines = [json.loads(line) for line in (settings.out / "metrics.jsonl").read_text().splitlines()]
    assert [line["kept_rows"] for line in lines if "kept_rows" in line] == [18]


@pytest.mark.parametrize("method", ["lora", "lope"])
@pytest.mark.parametrize("steps", [5, 8, 11])
def test_a_run_that_is_stopped_ends_in_the_same_weights(
    method: str, steps: int, class_settings: Make, tmp_path: Path, stop_after: Callable[[int, TrainSettings], None]
) -> None:
    def settings(name: str) -> TrainSettings:
        values: dict[str, Any] = {"method": method, "epochs": 3, "save_every": 1, "lora_dropout": 0.1}
        return class_settings(tmp_path / name, loss="small-loss", noise_rate=0.2, **values)

    whole = train(settings("whole"))
    stop_after(steps, settings("run"))
    run = train(settings("run"))
    assert all(value.equal(weights(whole)[name]) for name, value in weights(run).items())
    assert (run / "metrics.jsonl").read_text().count("kept_rows") == 2


def test_rows_that_are_left_out_teach_nothing(class_settings: Make, tmp_path: Path) -> None:
    """Training on a part is that on all until the third epoch ends; then its rows, the easier ones, have less loss."""
    values: dict[str, Any] = {"method": "lora", "epochs": 4, "schedule": "constant", "warmup": 0.0}
    lines = {}
    small: dict[str, Any] = {"loss": "small-loss", "noise_rate": 0.3, "warmup_epochs": 3}
    for name, more in (("all", {}), ("part", small)):
        run = train(class_settings(tmp_path / name, **values, **more))
        read = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        lines[name] = [line["loss"] for line in read if "loss" in line]
    steps = len(lines["all"]) // 4 * 3
    assert lines["all"][:steps] == lines["part"][:steps]
    assert sum(lines["part"][steps:]) < 0.8 * sum(lines["all"][steps:])


@pytest.mark.parametrize("head", ["lm", "classification"])
def test_a_step_whose_rows_are_all_left_out_trains_nothing(
    head: str, tiny_settings: Make, class_settings: Make, tmp_path: Path
) -> None:
    """A row a step, of which a tenth are left out."""
    make = tiny_settings if head == "lm" else class_settings
    small: dict[str, Any] = {"loss": "small-loss", "noise_rate": 0.1, "epochs": 4, "warmup_epochs": 3}
    run = train(make(tmp_path / "run", method="lora", batch_size=1, **small))
    read = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in read if "loss" in line]
    (kept,) = [line["kept_rows"] for line in read if "kept_rows" in line]
    last = steps[len(steps) // 4 * 3 :]
    assert sum(line["loss"] == 0 == line["grad_norm"] for line in last) == len(last) - kept > 0


def test_what_leaves_none_is_refused(class_settings: Make, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"noise_rate 0\.999 of \d+ rows leaves none to train on"):
        train(class_settings(tmp_path / "run", method="lora", epochs=2, loss="small-loss", noise_rate=0.999))
    assert list(tmp_path.iterdir()) == []
