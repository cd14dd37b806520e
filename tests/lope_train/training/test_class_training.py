"""Training with a classification head: every method learns, resumes, and starts stage II with a fresh head."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lope_train.cli import main
from lope_train.errors import LopeTrainError, ModelError, SettingsError, VersionError
from lope_train.evaluation import build_sets, evaluate
from lope_train.inference import find_subjects
from lope_train.inspection import count, movement
from lope_train.methods import METHODS
from lope_train.models import load_base
from lope_train.settings import TrainSettings
from lope_train.training import ClassLoss, loss_of, split_by_length, train
from lope_train.tuner import LopeConfig, attach, head_parameters, reset_head

Make = Callable[..., TrainSettings]
Families = Callable[[str], Path]


def weights(run: Path) -> dict[str, Any]:
    return load_file(run / "adapter_model.safetensors")


def head_of(run: Path) -> dict[str, Any]:
    known = ("classifier.", "pooler.", "score.")
    return {name: value for name, value in weights(run).items() if any(part in name for part in known)}


def accuracies(run: Path, store: Path) -> list[float]:
    subjects = find_subjects([run], False)
    sets = build_sets("topics-test", [], [], None, store, None, heads=True)
    return [result.score.accuracy for result in evaluate(subjects, sets)]


@pytest.mark.parametrize("family", ["bert", "llama"])
@pytest.mark.parametrize("method", ["lora", "hydralora", "lope"])
def test_it_learns_what_decides_the_class(
    family: str, method: str, class_settings: Make, topics: Path, tmp_path: Path
) -> None:
    run = train(class_settings(tmp_path / "run", family, method=method, epochs=8, hynoise=None))
    assert max(accuracies(run, topics)) >= 0.9  # chance is a third
    record = json.loads((run / "run.json").read_text())
    assert (record["head"], record["classes"]) == ("classification", ["animal", "colour", "number"])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_every_method_trains_a_head_or_says_why_not(
    family: str, method: str, class_settings: Make, topics: Path, tmp_path: Path
) -> None:
    settings = class_settings(tmp_path / "run", family, method=method, num_virtual_tokens=4)
    if (family, method) == ("gpt2", "ptuning"):
        with pytest.raises(ModelError, match="the class of a text depends on the pads beside it"):
            train(settings)
        assert [*tmp_path.iterdir()] == []
        return
    run = train(settings)
    assert head_of(run)
    assert accuracies(run, topics)
    config = json.loads((run / "adapter_config.json").read_text())
    assert config["task_type"] == "SEQ_CLS"
    stage = json.loads((run / "run.json").read_text())["stages"][-1]
    assert stage["trained_parameters"] > sum(value.numel() for value in head_of(run).values())


@pytest.mark.parametrize("method", ["ptuning", "prefix"])
def test_modules_of_a_prompt_are_no_head(method: str, class_settings: Make, tmp_path: Path) -> None:
    """ModernBERT calls a module of its head `head`, and P-tuning a network of its own `mlp_head`."""
    settings = class_settings(tmp_path / "run", "modernbert", method=method, num_virtual_tokens=4)
    if method == "prefix":
        with pytest.raises(ModelError, match=r"'prefix' on .*modernbert: cannot be trained with a head: Model"):
            train(settings)
        return
    assert not any("mlp_head" in name for name in head_of(train(settings)))


def test_sizes_that_peft_does_not_find_are_one_line(class_settings: Make, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="method 'prefix' does not fit DistilBertForSequenceClassification"):
        train(class_settings(tmp_path / "run", "distilbert", method="prefix"))


def test_the_head_is_fresh_in_stage_two(class_settings: Make, tiny_of: Families, tmp_path: Path) -> None:
    """With steps too small to move anything, each stage leaves the head that it began with."""
    settings = class_settings(tmp_path / "run", learning_rate=1e-12)
    run = train(settings)
    model = attach(
        load_base(str(tiny_of("bert")), classes=("animal", "colour", "number")), LopeConfig(seed=settings.seed)
    )
    for folder, stage in ((run / "stage1", "1"), (run, "2")):
        reset_head(model, settings.seed, stage)
        expected = {
            "base_model.model." + name.replace(".modules_to_save.default", ""): value
            for name, value in head_parameters(model)
        }
        found = head_of(folder)
        assert found.keys() == expected.keys()
        assert all(found[name].allclose(value, atol=1e-6) for name, value in expected.items())
    drawn = "base_model.model.classifier.weight"
    assert not head_of(run)[drawn].allclose(head_of(run / "stage1")[drawn], atol=1e-3)


def test_the_same_settings_give_the_same_weights(class_settings: Make, tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = weights(train(class_settings(tmp_path / "first")))
    torch.manual_seed(2)
    second = weights(train(class_settings(tmp_path / "second")))
    other = weights(train(class_settings(tmp_path / "other", seed=5)))
    assert all(value.equal(second[name]) for name, value in first.items())
    assert not first["base_model.model.classifier.weight"].equal(other["base_model.model.classifier.weight"])


def test_a_class_without_a_row_in_the_last_stage_ends_it_before_it_begins(
    class_settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lope_train.training.run.classes_of", lambda _: ("animal", "colour", "number", "zed"))
    settings = class_settings(tmp_path / "run")
    with pytest.raises(VersionError, match=r"^topics@\w+: no row to train on of the class 'zed'"):
        train(settings)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("steps", "method"), [(3, "lope"), (6, "lope"), (9, "lope"), (3, "adalora"), (3, "ptuning")])
def test_a_run_that_is_stopped_ends_in_the_same_weights(
    steps: int, method: str, class_settings: Make, tmp_path: Path, stop_after: Callable[[int, TrainSettings], None]
) -> None:
    def settings(name: str) -> TrainSettings:
        return class_settings(tmp_path / name, method=method, save_every=2, lora_dropout=0.1, held_out="topics-test")

    whole = train(settings("whole"))
    stop_after(steps, settings("run"))
    run = train(settings("run"))
    assert all(value.equal(weights(whole)[name]) for name, value in weights(run).items())
    last = json.loads((run / "run.json").read_text())["stages"][-1]
    assert last["held_out_loss"] > 0


def test_embedding_noise_reaches_an_encoder(class_settings: Make, tmp_path: Path) -> None:
    first = [
        weights(train(class_settings(tmp_path / str(alpha), embedding_alpha=alpha, epochs=0.2)) / "stage1")
        for alpha in (0.0, 0.0001, 0.5)
    ]
    name = "base_model.model.classifier.weight"
    assert not first[0][name].equal(first[1][name])
    assert (first[0][name] - first[2][name]).abs().max() > (first[0][name] - first[1][name]).abs().max()


def test_the_loss_is_the_mean_over_rows_however_they_are_batched(class_settings: Make, tmp_path: Path) -> None:
    runs = [
        train(class_settings(tmp_path / str(parts), "llama", method="hydralora", gradient_accumulation=parts))
        for parts in (1, 4)
    ]
    entries = [[json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()] for run in runs]
    losses = [[entry["loss"] for entry in own if "loss" in entry] for own in entries]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    assert losses[0][0] == pytest.approx(1.1, abs=0.8)  # ln 3, of a head that knows nothing
    assert all(weights(runs[0])[name].allclose(value, atol=1e-3) for name, value in weights(runs[1]).items())


def test_the_loss_of_a_batch_is_cross_entropy(tiny_of: Families) -> None:
    model: Any = attach(load_base(str(tiny_of("bert")), classes=("a", "b", "c")), LopeConfig())
    loss = loss_of(model)
    assert isinstance(loss, ClassLoss)
    inputs = {
        "input_ids": torch.tensor([[2, 5, 3], [2, 3, 0], [2, 6, 3]]),
        "attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0], [1, 1, 1]]),
        "labels": torch.tensor([1, 2, -100]),
    }
    summed, counted = loss(model, inputs)
    logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
    assert counted == 2
    assert summed.item() == pytest.approx(-(logits.log_softmax(1)[[0, 1], [1, 2]]).sum().item(), abs=1e-5)
    parts = [*split_by_length(inputs, 2)]
    assert [part["labels"].tolist() for part in parts] == [[2, 1], [-100]]
    assert sum(loss(model, part)[0].item() for part in parts) == pytest.approx(summed.item(), abs=1e-5)


def test_movement_and_counts_know_the_head(class_settings: Make, tmp_path: Path) -> None:
    run = train(class_settings(tmp_path / "run"))
    moved = movement(run)
    assert {stage: sorted(parts) for stage, parts in moved.items()} == {
        "stage I": ["A", "B_poison", "head"],
        "stage II": ["A", "B", "head", "router"],
    }
    assert all(parts["head"][-1] > 0 for parts in moved.values())
    counted = count(class_settings(tmp_path / "other"), classes=3)
    head = sum(value.numel() for value in head_of(run).values())
    assert counted.adapter["head"] == head
    assert counted.inference == counted.adapter["A"] + counted.adapter["B"]
    assert counted.total == count(class_settings(tmp_path / "other"), classes=7).total
    stages = json.loads((run / "run.json").read_text())["stages"]
    assert [stage["trained_parameters"] for stage in stages] == [*counted.trainable_by_stage.values()]


REFUSED: list[tuple[dict[str, Any], str, type[LopeTrainError], str]] = [
    ({"head": "lm"}, "bert", ModelError, "is an encoder .* cannot be trained as a language model"),
    ({"head": None, "packing": True}, "bert", SettingsError, "packing does not go with a classification head"),
    ({"packing": True}, "llama", SettingsError, "packing does not go with a classification head"),
    ({"max_length": 64}, "roberta", SettingsError, "max_length is 64, but .*roberta takes 63 tokens"),
    ({"held_out": "topics-more"}, "bert", VersionError, "topics-more@.* has the class 'plant', which training has not"),
]


@pytest.mark.parametrize(("values", "family", "kind", "said"), REFUSED)
def test_what_cannot_be_trained(
    values: dict[str, Any],
    family: str,
    kind: type[LopeTrainError],
    said: str,
    class_settings: Make,
    labelled: Callable[..., None],
    topics: Path,
    tmp_path: Path,
) -> None:
    if not (topics / "topics-more").exists():
        labelled(topics, "topics-more", ["animal", "plant"])
    with pytest.raises(kind, match=said):
        train(class_settings(tmp_path / "run", family, **values))
    assert [*tmp_path.iterdir()] == []


def test_a_version_without_classes_is_one_line(
    tiny_of: Families, labelled: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labelled(tmp_path / "store", "plain", ["a", "a", "a"])
    capsys.readouterr()
    given = {"--data": "plain", "--on": "noisy", "--method": "lora", "--store": str(tmp_path / "store")}
    given |= {"--model": str(tiny_of("bert")), "--out": str(tmp_path / "run"), "--max-length": "16"}
    with pytest.raises(SystemExit) as ended:
        main(["train", *(word for pair in given.items() for word in pair)])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "plain@" in said
    assert "needs at least two classes, and all of their labels are 'a'" in said
    assert not (tmp_path / "run").exists()


def test_an_encoder_decoder_takes_no_head(tiny_t5: Path, class_settings: Make, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is an encoder-decoder, which takes no classification head"):
        train(class_settings(tmp_path / "run", model=str(tiny_t5)))


def test_rows_of_other_shapes_are_said_to_be_left_out(
    class_settings: Make, tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(class_settings(tmp_path / "run", data="tiny-noisy", store=tiny_store, max_length=64))
    assert "of 24 rows: 20 rows without a text and a label left out" in capsys.readouterr().err
    assert [stage["left_out"] for stage in json.loads((run / "run.json").read_text())["stages"]] == [20, 20]
