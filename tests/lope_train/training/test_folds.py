"""Models on parts of the rows: which rows each saw, what it is asked, and that a killed call resumes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lope_train.data import ClassifiedCollator, load_classified, resolve
from lope_train.models import load_tokenizer
from lope_train.settings import TrainSettings
from lope_train.training import folds
from lope_train.training.folds import Judged, judge_labels, stratified

Make = Callable[..., TrainSettings]
CLASSES = ("animal", "colour", "number")


def test_each_fold_has_its_share_of_every_class() -> None:
    labels = np.repeat([0, 1, 2], [50, 7, 23])
    found = stratified(labels, 5, 614)
    assert np.bincount(found).tolist() == [16] * 5
    for label in range(3):
        counts = np.bincount(found[labels == label], minlength=5)
        assert counts.max() - counts.min() <= 1
    assert found.tolist() == stratified(labels, 5, 614).tolist() != stratified(labels, 5, 615).tolist()


@pytest.fixture
def asked(class_settings: Make, topics: Path, tmp_path: Path) -> tuple[Any, TrainSettings]:
    settings = class_settings(tmp_path / "run", method="lora", epochs=2, truncate=True, save_every=10**9)
    tokenizer = load_tokenizer(settings.model, "classification")
    rows = load_classified(resolve("topics-noisy", topics), tokenizer, CLASSES, max_length=16).dataset
    return rows, settings


def judged(asked: tuple[Any, TrainSettings], folder: Path) -> Judged:
    rows, settings = asked
    return judge_labels(rows, "topics-noisy@0", CLASSES, settings, 3, folder)


def arrays(said: Judged) -> list[Any]:
    return [said.probabilities, said.margins, said.losses, said.gce]


def test_no_row_is_judged_by_a_model_that_saw_it(
    asked: tuple[Any, TrainSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, settings = asked
    fit, seen = folds._fit, []

    def recorded(rows: Any, some: Any, *rest: Any) -> dict[str, torch.Tensor]:
        said = fit(rows, some, *rest)
        seen.append((some, said))
        return said

    monkeypatch.setattr(folds, "_fit", recorded)
    said = judged(asked, tmp_path / "work")
    assert said.probabilities.sum(1) == pytest.approx(1)
    labels = np.asarray(rows["labels"])
    of_row: dict[int, list[Any]] = {}
    for some, one in seen[:-1]:
        logits = one["logits"].double()
        for row in range(len(rows)):
            if row in some:
                place = some.tolist().index(row)
                nats = torch.nn.functional.cross_entropy(logits[row][None], torch.tensor([labels[row]]))
                of_row.setdefault(row, []).append((float(one["margins"][place]), float(nats)))
            else:
                assert said.probabilities[row] == pytest.approx(logits[row].softmax(-1).numpy())
    for row, values in of_row.items():
        assert len(values) == 2
        assert said.margins[row] == pytest.approx(np.mean([margin for margin, _ in values]))
        assert said.losses[row] == pytest.approx(np.mean([nats for _, nats in values]))
    assert seen[-1][0].tolist() == list(range(len(rows)))
    assert settings.loss == "cross-entropy"


def test_margins_are_those_of_each_epoch_s_end(asked: tuple[Any, TrainSettings], tmp_path: Path) -> None:
    """With a learning rate of almost nothing every epoch has the margin of the model as it begins, which is its end."""
    rows, settings = asked
    still = settings.model_copy(update={"learning_rate": 1e-12})
    said = judged((rows, still), tmp_path / "work")
    labels = np.asarray(rows["labels"])
    assert said.losses == pytest.approx(said.losses[np.arange(len(rows))])
    signs = said.margins > 0
    right = said.losses < np.log(len(CLASSES))
    assert (signs <= right).all()  # a given label with the largest logit has more than a third
    assert len(labels) == len(signs)


def test_a_killed_call_resumes_to_the_same(
    asked: tuple[Any, TrainSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = judged(asked, tmp_path / "whole")
    fit = folds._fit
    calls: list[int] = []

    def stopped(*arguments: Any) -> dict[str, torch.Tensor]:
        calls.append(arguments[5])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return fit(*arguments)

    monkeypatch.setattr(folds, "_fit", stopped)
    with pytest.raises(KeyboardInterrupt):
        judged(asked, tmp_path / "killed")
    again = judged(asked, tmp_path / "killed")
    assert calls == [1, 2, 3, 3, 4]
    for one, other in zip(arrays(whole), arrays(again), strict=True):
        assert (one == other).all()


def test_asking_moves_no_generator(asked: tuple[Any, TrainSettings]) -> None:
    rows, settings = asked
    from lope_train.models import load_base

    model = load_base(settings.model, classes=CLASSES)
    collator = ClassifiedCollator(load_tokenizer(settings.model, "classification"))
    before = torch.random.get_rng_state()
    logits = folds.class_logits(model, rows, collator)
    assert torch.random.get_rng_state().equal(before)
    assert logits.shape == (len(rows), 3)
