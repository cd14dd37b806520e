"""What training says at its end: the losses of the model as it will be used, beside the others, and its router."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from lope_train.data import Collator, load_tokens, resolve
from lope_train.methods import METHODS
from lope_train.models import load_base
from lope_train.runs import load_run
from lope_train.settings import TrainSettings
from lope_train.training.deployed import ending
from lope_train.training.loss import CompletionLoss
from lope_train.training.run import train
from lope_train.tuner import Inference, lope_experts, set_mode

Make = Callable[..., TrainSettings]
REPORT: dict[str, Any] = {
    "losses": {
        "on": "held-out rows",
        "rows": 9,
        "unit": "token",
        "nats": {"compensated": 2.0, "masked": 3.0, "unmasked": 1.0, "base": 2.5},
    },
    "deployed": "masked",
    "trained_as": "unmasked",
    "poison_share": 0.6,
}


def last_stage(run: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((run / "run.json").read_text())["stages"][-1]
    return report


def mean_loss(model: Any, rows: Any, tokenizer: Any) -> float:
    """One row at a time, without the trainer."""
    total = count = 0.0
    for row in rows:
        ids, labels = torch.tensor(row["input_ids"])[None], torch.tensor(row["labels"])[1:]
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -ids.shape[1] :][:-1]
        total += F.cross_entropy(logits, labels, reduction="sum").item()
        count += (labels != -100).sum().item()
    return total / count


@pytest.mark.parametrize("method", METHODS)
def test_every_loss_is_that_of_the_saved_model_and_of_its_base(
    method: str, tiny_settings: Make, tiny_store: Path, tmp_path: Path
) -> None:
    settings = tiny_settings(tmp_path / "run", method=method, held_out="tiny", save_every=2, epochs=2)
    report = last_stage(train(settings))
    measured, losses = report["losses"], report["losses"]["nats"]
    model, tokenizer = load_run(settings.out)
    rows = load_tokens(resolve("tiny", tiny_store), tokenizer, max_length=settings.max_length).dataset
    assert (measured["on"], measured["rows"], measured["unit"]) == ("held-out rows", len(rows), "token")
    assert losses["base"] == pytest.approx(mean_loss(load_base(settings.model), rows, tokenizer), rel=1e-4)
    if method == "lope":
        assert [*losses] == [*Inference, "base"]
        for way in Inference:
            set_mode(model, "inference", way)
            assert losses[way] == pytest.approx(mean_loss(model, rows, tokenizer), rel=1e-4), way
        assert report["held_out_loss"] == losses["compensated"] != losses["unmasked"]
    else:
        assert [*losses] == ["trained", "base"]
        assert losses["trained"] == pytest.approx(mean_loss(model, rows, tokenizer), rel=1e-4)
        assert report["held_out_loss"] == losses["trained"] != losses["base"]


def test_without_held_out_rows_those_of_training_are_measured(
    tiny_settings: Make, tiny_store: Path, tmp_path: Path
) -> None:
    settings = tiny_settings(tmp_path / "run", stage2="frozen")
    report = last_stage(train(settings))
    model, tokenizer = load_run(settings.out)
    rows = load_tokens(resolve("tiny", tiny_store), tokenizer, max_length=settings.max_length).dataset
    assert report["losses"]["on"] == "training rows"
    assert report["losses"]["nats"]["compensated"] == pytest.approx(mean_loss(model, rows, tokenizer), rel=1e-4)
    assert (report["deployed"], report["trained_as"]) == ("compensated", "unmasked")
    assert "held_out_loss" not in report

    set_mode(model, "inference", report["deployed"])
    assert report["poison_share"] == pytest.approx(poison_share(model, rows, tokenizer), rel=1e-4)


def test_the_router_is_that_of_the_weights_that_are_kept(tiny_settings: Make, tiny_store: Path, tmp_path: Path) -> None:
    values: dict[str, Any] = {
        "epochs": 30,
        "learning_rate": 0.3,
        "schedule": "constant",
        "save_every": 2,
        "patience": 2,
    }
    settings = tiny_settings(tmp_path / "run", stage2="masked", held_out="tiny", **values)
    report = last_stage(train(settings))
    assert report["best_step"] < report["steps"]
    model, tokenizer = load_run(settings.out)
    rows = load_tokens(resolve("tiny", tiny_store), tokenizer, max_length=settings.max_length).dataset
    assert report["poison_share"] == pytest.approx(poison_share(model, rows, tokenizer), rel=1e-4)


@pytest.mark.parametrize(
    ("values", "counts"), [({}, False), ({"compensation_experts": 2}, True), ({"normalize": "none"}, True)]
)
def test_a_share_that_cancels_is_not_reported(
    values: dict[str, Any], counts: bool, tiny_settings: Make, tmp_path: Path
) -> None:
    report = last_stage(train(tiny_settings(tmp_path / "run", stage2="compensated", **values)))
    assert ("poison_share" in report) == counts


def poison_share(model: Any, rows: Any, tokenizer: Any) -> float:
    """By the formula of the router, on the first 32 rows, each alone."""
    shares: list[float] = []

    def record(experts: Any, inputs: tuple[torch.Tensor, ...], _output: torch.Tensor) -> None:
        weights = torch.softmax(inputs[0] @ experts.A.T @ experts.router.T, -1)
        shares.append(weights[..., experts.config.poison_columns].sum(-1).mean().item())

    hooks = [experts.register_forward_hook(record) for _, experts in lope_experts(model)]
    for row in rows.select(range(min(32, len(rows)))):
        batch = Collator(tokenizer)([row])
        with torch.no_grad():
            CompletionLoss.of(model)(model, {name: batch[name] for name in batch if name != "row"})
    for hook in hooks:
        hook.remove()
    return sum(shares) / len(shares)


@pytest.mark.parametrize("method", ["lope", "adalora", "ptuning"])
def test_measuring_changes_no_weight(method: str, tiny_settings: Make, tmp_path: Path) -> None:
    """Those of the first checkpoint after a measurement, and of a training without any."""
    without, often = (
        train(tiny_settings(tmp_path / name, method=method, epochs=4, lora_dropout=0.1, schedule="constant", **values))
        for name, values in (("without", {}), ("often", {"held_out": "tiny", "save_every": 1}))
    )
    losses = [
        [
            entry["loss"]
            for entry in map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
            if "loss" in entry
        ]
        for run in (without, often)
    ]
    assert losses[0] == losses[1]


def test_the_end_of_training_is_said_in_one_line(
    tiny_settings: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tiny_settings(tmp_path / "run", held_out="tiny"))
    line = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("loss, nats a token"))
    assert line.startswith("loss, nats a token, on 24 held-out rows: compensated (as deployed) ")
    assert [part.split()[0] for part in line.split(", ")[2:]] == ["on", "masked", "unmasked", "base"]


def test_a_model_that_harms_is_warned_of() -> None:
    said, harm, router = ending(REPORT)
    assert said == (
        "loss, nats a token, on 9 held-out rows: masked (as deployed) 3.000, compensated 2.000, unmasked 1.000, "
        "base model 2.500"
    )
    assert harm.startswith("warning: the trained model, masked, has a higher loss than the base model: do not use it;")
    assert harm.endswith("--stage2 masked)")
    assert router.startswith("warning: the router gives 60 % of its weight to the poisoning expert, which is masked")
    trained = REPORT | {"trained_as": "masked", "poison_share": 0.5}
    assert [*ending(trained)][1].endswith("train longer, or at another --lr")
    assert len([*ending(trained)]) == 2
    assert len([*ending(REPORT | {"deployed": "unmasked"})]) == 1
    measured = {"on": "training rows", "rows": 2, "unit": "token"}
    assert [*ending({"losses": measured | {"nats": {"trained": 1.0, "base": 0.5}}})] == [
        "loss, nats a token, on 2 training rows: trained 1.000, base model 0.500",
        "warning: the trained model has a higher loss than the base model: do not use it; train longer, or at another "
        "--lr",
    ]
    head = measured | {"unit": "row", "nats": {"trained": 1.0, "class shares": 0.5}}
    said, harm = ending({"losses": head})
    assert said == "loss, nats a row, on 2 training rows: trained 1.000, guessing by class shares 0.500"
    assert "has a higher loss than guessing by class shares" in harm
