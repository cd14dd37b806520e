"""Rows that count for more or less: in every loss, padded, packed and accumulated, against the sum over single rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import get_peft_model
from safetensors.torch import load_file

from lope_train.data import Collator, load_tokens, resolve
from lope_train.errors import VersionError
from lope_train.models import load_base, load_tokenizer
from lope_train.settings import TrainSettings
from lope_train.training import CompletionLoss, split_by_length
from lope_train.training.objective import CrossEntropy, Forward, GeneralizedCrossEntropy, Objective
from lope_train.training.run import train
from lope_train.tuner import LopeConfig

Make = Callable[..., TrainSettings]
Write = Callable[..., None]
ROWS = 24
WEIGHTS = [float(number % 4) / 2 for number in range(ROWS)]
LABELS = [("animal", "colour", "number")[number % 3] for number in range(ROWS)]


def adapter(run: Path) -> dict[str, Any]:
    return load_file(run / "adapter_model.safetensors")


def logged(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.parametrize(
    "objective", [CrossEntropy(), CrossEntropy(0.2), GeneralizedCrossEntropy(), Forward([[0.7, 0.2, 0.1]] * 3)]
)
def test_a_weight_is_a_factor_of_the_loss_of_its_prediction(objective: Objective) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 3, generator=generator)
    targets, weights = torch.tensor([0, 1, 2, 2, 0]), torch.tensor([0.5, 0.0, 1.0, 3.0, 2.0])
    each = torch.stack([objective(logits[one : one + 1], targets[one : one + 1]) for one in range(5)])
    torch.testing.assert_close(objective(logits, targets, weights), each @ weights)
    torch.testing.assert_close(objective(logits, targets), each.sum())


@pytest.mark.parametrize("packing", [False, True])
def test_tokens_count_for_what_their_row_does(
    packing: bool, tiny_model: Path, tiny_store: Path, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(str(tiny_model))
    model: Any = get_peft_model(load_base(str(tiny_model)), LopeConfig(r=2, task_type="CAUSAL_LM"))
    loss = CompletionLoss.of(model)
    weights = torch.tensor(WEIGHTS)
    version = resolve("tiny", tiny_store)
    alone = load_tokens(version, tokenizer, max_length=512, cache=tmp_path).dataset
    wanted, count = 0.0, 0.0
    for row in alone:
        summed, tokens = loss(model, Collator(tokenizer)([row]))
        wanted, count = wanted + WEIGHTS[row["row"]] * summed.item(), count + WEIGHTS[row["row"]] * int(tokens)
    rows = load_tokens(version, tokenizer, max_length=512, packing=packing, cache=tmp_path).dataset
    batch = Collator(tokenizer)([*rows])
    for part in [[batch]] if packing else ([batch], split_by_length(batch, 4)):
        found = [torch.stack([*loss(model, one, weights)]).double() for one in part]
        assert torch.stack(found).sum(0).tolist() == pytest.approx([wanted, count], rel=1e-5)


@pytest.mark.parametrize("packing", [False, True])
def test_rows_that_all_weigh_nothing_are_refused_before_training(
    packing: bool, tiny_settings: Make, tiny_model: Path, weighted: Write, tmp_path: Path
) -> None:
    """The only one with a weight is too long to be read."""
    store = tmp_path / "store"
    weighted(store, "some", [1.0] * ROWS)
    tokens = load_tokens(resolve("some", store), load_tokenizer(str(tiny_model)), max_length=512, cache=tmp_path)
    sizes = [len(row["input_ids"]) for row in tokens.dataset]
    weighted(store, "few", [float(size == max(sizes)) for size in sizes])
    given = {"data": "few", "store": store, "method": "lora", "on": "noisy", "packing": packing}
    with pytest.raises(VersionError, match=r"^few@\w+: the rows that can be trained on weigh 0; give some of them"):
        train(tiny_settings(tmp_path / "run", **given, max_length=max(sizes) - 1))
    assert not (tmp_path / "run").exists()


def test_a_class_whose_rows_all_weigh_nothing_is_refused(class_settings: Make, weighted: Write, tmp_path: Path) -> None:
    store = tmp_path / "store"
    weighted(store, "some", [0.0 if label == "colour" else 1.0 for label in LABELS], LABELS)
    with pytest.raises(VersionError, match=r"all rows of the class 'colour' weigh 0; give some of them a weight"):
        train(class_settings(tmp_path / "run", data="some", store=store, method="lora", on="noisy"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "values",
    [{}, {"packing": True, "max_length": 512}, {"gradient_accumulation": 4}],
    ids=["padded", "packed", "accumulated"],
)
def test_a_step_is_the_weighted_mean_over_all_its_tokens(
    values: dict[str, Any], tiny_settings: Make, weighted: Write, tmp_path: Path
) -> None:
    """Of equal weights it is the mean, however large they are; the first loss is that of the untrained model."""
    weighted(tmp_path / "store", "some", WEIGHTS)
    weighted(tmp_path / "store", "alike", [3.0] * ROWS)
    weighted(tmp_path / "store", "ones", [1.0] * ROWS)
    made = {
        name: train(
            tiny_settings(
                tmp_path / name,
                **{
                    "store": tmp_path / "store",
                    "data": name,
                    "method": "lora",
                    "on": "noisy",
                    "batch_size": 24,
                    "epochs": 3,
                    "embedding_alpha": 0.0,
                    **values,
                },
            )
        )
        for name in ("some", "alike", "ones")
    }
    for name, value in adapter(made["ones"]).items():
        torch.testing.assert_close(adapter(made["alike"])[name], value, rtol=1e-4, atol=1e-5)
    assert not all(value.allclose(adapter(made["some"])[name]) for name, value in adapter(made["ones"]).items())
    assert json.loads((made["some"] / "run.json").read_text())["stages"][-1]["weighted"] is True
    settings = tiny_settings(tmp_path / "x")
    tokenizer, model = load_tokenizer(settings.model), load_base(settings.model)
    loss = CompletionLoss(False, True, 0)
    totals = np.zeros(2)
    for row in load_tokens(
        resolve("some", tmp_path / "store"), tokenizer, max_length=512, cache=tmp_path / "c"
    ).dataset:
        summed, count = loss(model, Collator(tokenizer)([row]))
        totals += WEIGHTS[row["row"]] * np.array([summed.item(), int(count)])
    assert logged(made["some"])[0] == pytest.approx(totals[0] / totals[1], rel=1e-4)


def test_what_weighs_nothing_teaches_nothing(class_settings: Make, weighted: Write, tmp_path: Path) -> None:
    """Whatever labels such rows have, what is learned is the same; a step of them alone changes nothing."""
    weights = [float(number >= 6) for number in range(ROWS)]
    other = ["number"] * 6 + LABELS[6:]
    weighted(tmp_path / "store", "right", weights, LABELS)
    weighted(tmp_path / "store", "wrong", weights, other)
    weighted(tmp_path / "store", "counted", [1.0] * ROWS, other)
    made = {
        name: train(
            class_settings(
                tmp_path / name,
                store=tmp_path / "store",
                data=name,
                method="lora",
                on="noisy",
                batch_size=2,
                weight_decay=0.0,
            )
        )
        for name in ("right", "wrong", "counted")
    }
    assert all(value.equal(adapter(made["wrong"])[name]) for name, value in adapter(made["right"]).items())
    assert not all(value.allclose(adapter(made["counted"])[name]) for name, value in adapter(made["right"]).items())
    assert 0.0 in logged(made["right"])


def test_held_out_rows_count_alike_and_it_is_said(
    class_settings: Make, weighted: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, weights in (("some", WEIGHTS), ("ones", [1.0] * ROWS)):
        weighted(tmp_path / "store", name, weights, LABELS)
    reports = [
        json.loads(
            (
                train(
                    class_settings(
                        tmp_path / held_out,
                        store=tmp_path / "store",
                        data="ones",
                        held_out=held_out,
                        method="lora",
                        on="noisy",
                    )
                )
                / "run.json"
            ).read_text()
        )
        for held_out in ("some", "ones")
    ]
    losses = [report["stages"][-1]["held_out_loss"] for report in reports]
    assert losses[0] == losses[1]
    assert "its rows count alike, whatever their weights" in capsys.readouterr().err


@pytest.mark.parametrize("weights", [[-1.0] + [1.0] * 23, [float("nan")] + [1.0] * 23, [0.0] * 24])
def test_bad_weights_are_refused(weights: list[float], tiny_settings: Make, weighted: Write, tmp_path: Path) -> None:
    weighted(tmp_path / "store", "some", weights)
    settings = tiny_settings(
        tmp_path / "run", store=tmp_path / "store", data="some", method="lora", on="noisy", batch_size=24
    )
    with pytest.raises(VersionError, match="its lope_weight are not numbers from 0 on, of which one is not 0"):
        train(settings)
    assert not settings.out.exists()
