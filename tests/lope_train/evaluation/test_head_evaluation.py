"""Runs with a classification head are evaluated: classes, macro-F1, what is cut, and what does not go with a head."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lope_train.cli import main
from lope_train.errors import LopeTrainError, RunError, VersionError
from lope_train.evaluation import build_sets, evaluate
from lope_train.evaluation.accuracy import NotFiniteError, macro_f1
from lope_train.evaluation.heads import classify
from lope_train.evaluation.table import results_table
from lope_train.inference import Sampling, find_subjects, open_chat
from lope_train.runs import load_run
from lope_train.settings import TrainSettings
from lope_train.training import train
from lope_train.tuner import Inference, set_mode

Make = Callable[..., TrainSettings]


@pytest.fixture(scope="module")
def runs(class_settings: Make, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("heads")
    return {
        "lope": train(class_settings(folder / "lope", epochs=4)),
        "lora": train(class_settings(folder / "lora", "llama", method="lora", epochs=4)),
    }


def results(run: Path, store: Path, data: str = "topics-test", **more: Any) -> list[Any]:
    sets = build_sets(data, more.pop("noise", []), [], None, store, more.pop("limit", None), heads=True)
    return list(evaluate(find_subjects([run], False), sets, **more))


def test_the_class_with_the_largest_logit_counts(runs: dict[str, Path], topics: Path) -> None:
    (result,) = results(runs["lora"], topics)
    model, tokenizer = load_run(runs["lora"])
    classes = json.loads((runs["lora"] / "run.json").read_text())["classes"]
    (clean,) = build_sets("topics-test", [], [], None, topics, None, heads=True)
    chosen = []
    for row in clean.rows:  # type: ignore[attr-defined]
        with torch.no_grad():
            logits = model(**tokenizer(row["text"], return_tensors="pt")).logits
        chosen.append(classes[int(logits.argmax())])
    labels = [row["label"] for row in clean.rows]  # type: ignore[attr-defined]
    assert result.score.right == tuple(a == b for a, b in zip(chosen, labels, strict=True))
    assert len(set(chosen)) > 1
    record = result.as_dict()
    assert record["macro_f1"] == macro_f1(
        [classes.index(one) for one in labels], [classes.index(one) for one in chosen]
    )
    assert (record["accuracy_norm"], record["cut"], record["items"]) == (None, 0, 24)
    assert result.set.chance == pytest.approx(1 / 3)


def test_lope_is_evaluated_in_each_of_its_modes(runs: dict[str, Path], topics: Path) -> None:
    found = results(runs["lope"], topics)
    assert [result.mode for result in found] == ["masked + compensated", "masked", "not masked"]
    model, tokenizer = load_run(runs["lope"])
    ids = tokenizer("red cat two", return_tensors="pt")
    logits = []
    for way in Inference:
        set_mode(model, "inference", way)
        with torch.no_grad():
            logits.append(model(**ids).logits)
    assert not any(a.allclose(b) for a, b in combinations(logits, 2))


def test_noise_in_the_labels_is_no_noise_to_evaluate_on(runs: dict[str, Path], topics: Path) -> None:
    with pytest.raises(VersionError, match=r"8 rows differ from topics@.* in 'label'"):
        results(runs["lora"], topics, "topics", noise=["topics-noisy"])


def test_a_limit_takes_the_same_items(runs: dict[str, Path], topics: Path) -> None:
    few, all_ = (results(runs["lora"], topics, limit=limit)[0] for limit in (5, None))
    assert len(few.set.ids) == 5
    right = dict(zip(all_.set.ids, all_.score.right, strict=True))
    assert [right[one] for one in few.set.ids] == list(few.score.right)


@pytest.mark.parametrize("family", ["bert", "roberta", "llama"])
def test_how_texts_are_batched_changes_nothing(
    family: str, class_settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = load_run(train(class_settings(tmp_path / "run", family, method="lora", epochs=2)))
    texts = ["cat", "red blue green black white yellow", "one two", "goat sheep horse", "four"] * 3
    ids = [str(number) for number in range(len(texts))]
    together = classify(model, tokenizer, texts, ids)
    monkeypatch.setattr("lope_train.evaluation.heads._TOKENS", 1)
    done: list[int] = []
    assert classify(model, tokenizer, texts, ids, done.append) == together
    assert done == [1] * len(texts)


def test_a_text_that_is_too_long_is_cut_and_counted(
    runs: dict[str, Path], topics: Path, labelled: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    model, tokenizer = load_run(runs["lope"])
    long = " ".join(["cat"] * 90)
    answers = classify(model, tokenizer, [long, "cat", " ".join(["cat"] * 62)], ["0", "1", "2"])
    assert answers.cut == 1
    assert answers.classes[0] == answers.classes[2]  # 62 words and two special tokens are what it reads


def test_a_text_without_a_token_has_a_class_too(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = load_run(runs["lora"])
    monkeypatch.setattr("lope_train.data.classified.around", lambda _: ([], []))
    assert len(classify(model, tokenizer, [" ", "cat dog"], ["0", "1"]).classes) == 2


def test_logits_that_are_no_numbers_are_an_error(runs: dict[str, Path], topics: Path) -> None:
    model, tokenizer = load_run(runs["lope"])
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "modules_to_save" in name:
                parameter.fill_(torch.nan)
    with pytest.raises(NotFiniteError, match="'row-1' is nan"):
        classify(model, tokenizer, ["a", "b c d"], ["row-0", "row-1"])


def test_rows_of_other_shapes_are_counted(class_settings: Make, tiny_store: Path, tmp_path: Path) -> None:
    run = train(class_settings(tmp_path / "run", data="tiny-noisy", store=tiny_store, max_length=60, method="lora"))
    (result,) = results(run, tiny_store, "tiny")
    assert len(result.set.ids) == 4
    assert result.set.skipped["of another shape than classification"] == 20


REFUSED: list[tuple[list[str], str]] = [
    (
        ["--data", "topics-strange"],
        "has the class 'plant', which training has not seen; it has seen 'animal', 'colour'",
    ),
    (["--data", "topics-test", "--base"], "has a classification head, and the untrained model has none"),
    (["--tasks", "piqa", "--data-dir", "."], "--tasks are for language models"),
    ([], "a run with a classification head needs --data"),
]


@pytest.mark.parametrize(("more", "said"), REFUSED)
def test_what_does_not_go_with_a_head(
    more: list[str],
    said: str,
    runs: dict[str, Path],
    topics: Path,
    labelled: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    if not (topics / "topics-strange").exists():
        labelled(topics, "topics-strange", ["animal", "plant", "colour"])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(runs["lope"]), "--store", str(topics), *more])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error


def test_there_is_no_next_token(runs: dict[str, Path], topics: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RunError, match="has a classification head, so there is no next token to generate"):
        open_chat(runs["lope"], Sampling())
    with pytest.raises(SystemExit):
        main(["score", "--run", str(runs["lope"]), "--data", "topics-noisy", "--store", str(topics)])
    assert "has a classification head, so there is no next token to score" in capsys.readouterr().err


def test_a_record_that_says_two_things_is_refused(runs: dict[str, Path], topics: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(runs["lora"], tmp_path / "run"))
    record = json.loads((run / "run.json").read_text())
    for wrong in ({"classes": None}, {"head": "lm"}, {"classes": ["a"]}, {"classes": "abc"}, {"classes": [1, 2, 3]}):
        (run / "run.json").write_text(json.dumps(record | wrong))
        with pytest.raises(RunError, match=r"run\.json: not the record of a training run"):
            results(run, topics)
    (run / "run.json").write_text(json.dumps(record | {"classes": ["animal", "colour"]}))
    with pytest.raises(LopeTrainError):
        results(run, topics, "topics-test")


def test_the_table_and_the_json(runs: dict[str, Path], topics: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    main(["evaluate", str(runs["lora"]), "--data", "topics-test", "--store", str(topics), "--json"])
    out, err = capsys.readouterr()
    (record,) = json.loads(out.splitlines()[-1])["results"]
    assert f"{100 * record['macro_f1']:.1f}" in err
    assert "F1" in err
    found = results(runs["lora"], topics)
    plain = [replace(result, score=replace(result.score, macro_f1=None)) for result in found]
    console = Console(file=StringIO(), width=120)
    console.print(results_table(plain, [plain[0].set]))
    assert "F1" not in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_language_model_s_choice_of_labels_has_macro_f1_too(
    tiny_runs: dict[str, Path], tiny_store: Path, topics: Path
) -> None:
    sets = build_sets("topics-test", [], [], None, topics, 6)
    (result,) = evaluate(find_subjects([tiny_runs["lora"]], False), sets)
    assert result.as_dict()["macro_f1"] is not None
    mixed = build_sets("tiny", [], [], None, tiny_store, None)
    (result,) = evaluate(find_subjects([tiny_runs["lora"]], False), mixed)
    assert result.as_dict()["macro_f1"] is None


def test_macro_f1_by_hand() -> None:
    # class 0: TP 1, FP 1, FN 1: 0.5; class 1: TP 1, FN 1: 2/3; class 2, chosen once and never right: 0
    assert macro_f1([0, 0, 1, 1], [0, 2, 1, 0]) == pytest.approx((0.5 + 2 / 3 + 0) / 3)
    assert macro_f1([3, 3], [3, 3]) == 1


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_macro_f1_is_scikit_learn_s(pairs: list[tuple[int, int]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    gold, chosen = ([pair[side] for pair in pairs] for side in (0, 1))
    assert macro_f1(gold, chosen) == pytest.approx(metrics.f1_score(gold, chosen, average="macro", zero_division=0))


def test_the_loss_of_a_head_is_of_the_classes_in_order(runs: dict[str, Path]) -> None:
    record = json.loads((runs["lope"] / "run.json").read_text())
    assert record["settings"]["head"] == "classification"
    assert record["classes"] == ["animal", "colour", "number"]
