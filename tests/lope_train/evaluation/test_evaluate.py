"""Accuracy over options: the figures, the same items everywhere, paired noise, and runs in all their modes."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch

from lope_train.data import PromptTemplate, resolve
from lope_train.errors import RunError, SettingsError, VersionError
from lope_train.evaluation.accuracy import discordant, score
from lope_train.evaluation.results import Result, count_steps, evaluate
from lope_train.evaluation.sets import build_sets
from lope_train.evaluation.table import _short, summary
from lope_train.evaluation.tasks.local import TaskError
from lope_train.inference import find_subjects
from lope_train.models import load_base
from lope_train.runs import load_run
from lope_train.settings import TrainSettings
from lope_train.training import train
from lope_train.tuner import Inference, set_mode


def add_version(
    store: Path,
    name: str,
    source: str,
    change: Callable[[dict[str, Any]], None],
    layout: dict[str, Any] | None = None,
) -> None:
    """A version made from `source` by `change` on each row, sealed as FORMAT.md says; with a `layout` of other columns
    than those of the source.
    """
    origin = resolve(source, store)
    rows = [dict(row) for row in origin.dataset()]
    for row in rows:
        change(row)
    version = hashlib.sha256(name.encode()).hexdigest()[:16]
    folder = store / name / version
    features = None if layout else origin.dataset().features
    datasets.Dataset.from_list(rows, features=features).save_to_disk(folder)
    link = {key: origin.manifest[key] for key in ("name", "version", "content_digest")}
    files = [
        {
            "path": path.relative_to(folder).as_posix(),
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    digest = {"content_digest": f"sha256:{name}", "parents": [link], "files": files}
    manifest = {**origin.manifest, "kind": "build", "name": name, "version": version, **digest}
    manifest["layout"] = layout or origin.manifest["layout"]
    manifest.pop("manifest_sha256")
    text = json.dumps(manifest, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    manifest["manifest_sha256"] = hashlib.sha256(f"{text}\n".encode()).hexdigest()
    text = json.dumps(manifest, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    (folder / "manifest.json").write_text(f"{text}\n")
    (store / name / "refs").mkdir()
    (store / name / "refs/latest").write_text(version)


def shout(row: dict[str, Any]) -> None:
    for column in ("question", "text"):
        row[column] = row[column] and row[column].upper()


def relabel(row: dict[str, Any]) -> None:
    row["label"] = "positive" if row["label"] else None


@pytest.fixture(scope="module")
def store(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = Path(shutil.copytree(tiny_store, tmp_path_factory.mktemp("eval") / "store"))
    add_version(store, "tiny-text", "tiny", shout)
    add_version(store, "tiny-text-twice", "tiny-text", shout)
    add_version(store, "tiny-label", "tiny", relabel)
    return store


@pytest.fixture(scope="module")
def runs(tiny_model: Path, tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A short run of each method, with a rate high enough to show."""
    folder = tmp_path_factory.mktemp("runs")
    given = {
        "data": "tiny-noisy",
        "store": tiny_store,
        "model": str(tiny_model),
        "learning_rate": 0.05,
        "batch_size": 4,
    }
    return {
        method: train(TrainSettings.model_validate({**given, "method": method, "out": folder / method}))
        for method in ("lope", "hydralora", "lora")
    }


def sets_of(store: Path, data: str | None = "tiny", **given: Any) -> list[Any]:
    defaults: dict[str, Any] = {"noise": [], "tasks": [], "data_dir": None, "store": store, "limit": None}
    return build_sets(data, **(defaults | given))


def piqa(folder: Path, count: int) -> Path:
    (folder / "piqa").mkdir()
    rows = [{"goal": f"How many is {i}?", "sol1": str(i), "sol2": "it is " + "x" * i} for i in range(1, count + 1)]
    (folder / "piqa/valid.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "piqa/valid-labels.lst").write_text("\n".join(str(i % 2) for i in range(count)))
    return folder


# the items


def test_rows_with_options_are_items_and_the_rest_is_counted(store: Path) -> None:
    (one,) = sets_of(store)
    assert [row["lope_shape"] for row in one.rows] == ["multiple_choice"] * 6 + ["classification"] * 4
    assert one.texts[0] == ["stone", "apple", "chair", "river"]
    assert one.texts[6:] == [["negative", "positive"]] * 4
    assert one.gold == [1, 2, 0, 1, 0, 2, 1, 0, 1, 0]
    assert one.skipped == {"without options": 14, "without a prompt": 0}
    assert one.chance == pytest.approx((1 / 4 + 1 / 3 + 1 / 2 + 1 / 4 + 1 / 3 + 1 / 3 + 4 / 2) / 10)


def test_noisy_versions_hold_the_same_items(store: Path) -> None:
    clean, noisy, twice = sets_of(store, noise=["tiny-text", "tiny-text-twice", "tiny-text"])
    assert [one.clean for one in (clean, noisy, twice)] == [None, "tiny", "tiny"]
    assert [row["lope_row_id"] for row in noisy.rows] == [row["lope_row_id"] for row in clean.rows]
    assert noisy.rows[0]["question"] == "WHICH OF THESE IS A FRUIT?"
    assert (noisy.texts, noisy.gold) == (clean.texts, clean.gold)


def test_items_without_a_prompt_in_any_version_are_left_out_of_all(store: Path, tmp_path: Path) -> None:
    def blank(row: dict[str, Any]) -> None:
        row["question"] = None if row["answer"] == 0 else row["question"]

    copy = Path(shutil.copytree(store, tmp_path / "store"))
    add_version(copy, "tiny-blank", "tiny", blank)
    clean, noisy = sets_of(copy, noise=["tiny-blank"])
    assert len(clean.rows) == len(noisy.rows) == 8
    assert clean.skipped == {"without options": 14, "without a prompt": 2}


def test_columns_of_any_name_and_class_numbers_are_read(store: Path, tmp_path: Path) -> None:
    names = {"question": "q", "choices": "c", "answer": "a", "text": "body", "label": "mood"}
    classes = ["negative", "positive"]

    def write(row: dict[str, Any]) -> None:
        for key, name in names.items():
            row[name] = row.pop(key)
        row["a"] = None if row["a"] is None else str(row["a"])
        row["mood"] = None if row["mood"] is None else classes.index(row["mood"])

    def change(row: dict[str, Any]) -> None:
        row["body"] = row["body"] and row["body"].upper()

    def mislabel(row: dict[str, Any]) -> None:
        row["mood"] = row["mood"] and 0

    copy = Path(shutil.copytree(store, tmp_path / "store"))
    layout = {**resolve("tiny", copy).manifest["layout"], "classes": {"mood": classes}}
    columns = {shape: {key: names.get(key, key) for key in keys} for shape, keys in layout["columns"].items()}
    add_version(copy, "own", "tiny", write, layout | {"columns": columns})
    add_version(copy, "own-text", "own", change)
    add_version(copy, "own-label", "own", mislabel)
    clean, noisy = sets_of(copy, "own", noise=["own-text"])
    (tiny,) = sets_of(copy)
    assert (clean.texts, clean.gold, clean.rows) == (tiny.texts, tiny.gold, tiny.rows)
    assert noisy.rows[6]["text"] == "I LOVED EVERY MINUTE OF IT."
    with pytest.raises(VersionError, match=r"2 rows differ from .* in 'mood'.*text noise alone"):
        sets_of(copy, "own", noise=["own-label"])


def test_a_limit_is_a_fixed_sample_and_a_larger_one_keeps_it(store: Path, tmp_path: Path) -> None:
    folder = piqa(tmp_path, 200)

    def ids(limit: int | None) -> list[str]:
        (one,) = sets_of(store, None, tasks=["piqa"], data_dir=folder, limit=limit)
        assert isinstance(one.ids, list)
        return one.ids

    pytest.importorskip("lm_eval")
    everything, few, more = ids(None), ids(20), ids(60)
    assert (len(everything), len(few), len(more)) == (200, 20, 60)
    assert set(few) < set(more) < set(everything)
    assert few != everything[:20]
    assert few == sorted(few, key=everything.index)
    assert ids(1000) == everything
    clean, noisy = sets_of(store, noise=["tiny-text"], limit=4)
    assert [row["lope_row_id"] for row in noisy.rows] == [row["lope_row_id"] for row in clean.rows]
    assert len(clean.rows) == 4


def test_the_held_out_sample_is_the_default_unless_tasks_are_asked_for(store: Path, tmp_path: Path) -> None:
    with pytest.raises(VersionError, match=r"'sample-heldout'.*`python -m lope_data build`"):
        sets_of(store, None)
    pytest.importorskip("lm_eval")
    folder = piqa(tmp_path, 3)
    (one,) = sets_of(store, None, tasks=["piqa", "piqa"], data_dir=folder)
    assert one.name == "piqa"
    both = sets_of(store, tasks=["piqa"], data_dir=folder, noise=["tiny-text"])
    assert [(one.name, one.clean) for one in both] == [("tiny", None), ("tiny-text", "tiny"), ("piqa", None)]
    with pytest.raises(VersionError, match=r"tiny-text@\w+ holds no item of piqa .*'row-00'.*lope_train items piqa"):
        sets_of(store, None, tasks=["piqa"], data_dir=folder, noise=["tiny-text"])


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"noise": ["tiny-noisy"]}, VersionError, r"1 rows differ from tiny@\w+ in 'answer' \(first 'row-11'\)"),
        ({"noise": ["tiny-label"]}, VersionError, "2 rows differ from .* in 'label'.*text noise alone"),
        ({"data": "tiny-text", "noise": ["tiny"]}, VersionError, "tiny@.* was not made from tiny-text@"),
        ({"data": "tiny-text", "noise": ["tiny-label"]}, VersionError, "was not made from"),
        ({"noise": ["tiny-txt"]}, VersionError, "did you mean 'tiny-text'"),
        ({"noise": ["tiny"]}, SettingsError, "'tiny' is asked for twice"),
        ({"limit": 0}, SettingsError, "limit is 0"),
        ({"limit": -3}, SettingsError, "limit is -3"),
        ({"tasks": ["pica"], "data_dir": Path()}, TaskError, "did you mean 'piqa'"),
    ],
)
def test_sets_that_cannot_be_built(store: Path, given: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        sets_of(store, **given)


def test_other_rows_than_the_clean_ones_are_refused(store: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(store, tmp_path / "store"))
    add_version(copy, "tiny-ids", "tiny", lambda row: row.update(lope_row_id="x" + row["lope_row_id"]))
    with pytest.raises(VersionError, match="its rows are not those of tiny@"):
        sets_of(copy, noise=["tiny-ids"])


def test_a_version_without_options_is_refused(store: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(store, tmp_path / "store"))
    add_version(copy, "tiny-chat", "tiny", lambda row: row.update(lope_shape="chat"))
    with pytest.raises(VersionError, match="no row to evaluate: accuracy over options needs"):
        sets_of(copy, "tiny-chat")


# the figures


def test_the_score_by_total_and_by_character() -> None:
    texts = [["no", "a long answer"], ["no", "a long answer"], ["same", "same"]]
    found = score([[-4.0, -13.0], [-4.0, -25.0], [-1.0, -1.0]], texts, [1, 1, 0])
    assert found.right == (False, False, True)
    assert found.right_norm == (True, True, True)
    assert (found.accuracy, found.accuracy_norm) == (pytest.approx(1 / 3), 1.0)
    # characters, not bytes: -4 / 2 against -3.5 / 1
    assert score([[-4.0, -3.5]], [["no", "ä"]], [1]).right_norm == (False,)
    other = score([[-1.0, -2.0], [-2.0, -1.0], [-1.0, -2.0]], texts, [1, 1, 1])
    assert discordant(found, other) == (1, 1)


# the runs


def results_of(runs: list[Path], sets: list[Any], base: bool = False) -> list[Result]:
    return list(evaluate(find_subjects(runs, base), sets))


def test_lope_has_three_modes_and_the_others_one(runs: dict[str, Path], store: Path, tiny_model: Path) -> None:
    sets, done = sets_of(store, noise=["tiny-text"]), []
    subjects = find_subjects(list(runs.values()), base=True)
    results = list(evaluate(subjects, sets, done.append))
    lines = list(dict.fromkeys((r.subject.method, r.mode) for r in results))
    assert lines == [
        ("base", "none"),
        ("lope", "masked + compensated"),
        ("lope", "masked"),
        ("lope", "not masked"),
        ("hydralora", "none"),
        ("lora", "none"),
    ]
    assert len(results) == 2 * len(lines)
    assert sum(done) == count_steps(subjects, sets) == 6 * 20


def test_each_mode_is_what_the_model_gives_in_it(runs: dict[str, Path], store: Path) -> None:
    """Against one plain forward pass for each option."""
    (one,) = sets_of(store)
    model, tokenizer = load_run(runs["lope"])
    template = PromptTemplate(tokenizer)
    results = {result.mode: result.score for result in results_of([runs["lope"]], [one])}
    seen = set()
    for inference in Inference:
        set_mode(model, "inference", inference)
        values = []
        for row, texts in zip(one.rows, one.texts, strict=True):
            example = template.render(row)
            assert example is not None
            prompt = template.encode_prompts([example.prompt])[0]
            values.append([])
            for option in template.encode_completions(texts):
                with torch.no_grad():
                    logs = model(input_ids=torch.tensor([prompt + option])).logits[0].log_softmax(-1)
                values[-1].append(sum(float(logs[len(prompt) - 1 + i, token]) for i, token in enumerate(option)))
        assert results[inference.label] == score(values, one.texts, one.gold)
        seen.add(tuple(round(value, 3) for item in values for value in item))
    assert len(seen) == 3


def test_an_adapter_that_learned_nothing_scores_as_its_base(tiny_model: Path, store: Path, tmp_path: Path) -> None:
    settings = {"data": "tiny-noisy", "store": store, "model": str(tiny_model), "out": tmp_path / "run"}
    run = train(TrainSettings.model_validate({**settings, "method": "lora", "learning_rate": 1e-12}))
    base, lora = results_of([run], sets_of(store), base=True)
    assert base.subject.name == str(tiny_model)
    assert base.score == lora.score


def test_the_summary_is_json_with_paired_counts(runs: dict[str, Path], store: Path) -> None:
    sets = sets_of(store, noise=["tiny-text"])
    found = json.loads(json.dumps(summary(results_of([runs["lora"]], sets), sets)))
    clean, noisy = found["results"]
    assert found["sets"][1]["clean"] == "tiny"
    assert found["sets"][0]["ids"] == found["sets"][1]["ids"] == [f"row-{i}" for i in range(10, 20)]
    assert clean["right"].count("1") == clean["correct"]
    assert len(clean["right"]) == 10
    assert found["lm_eval"] is None
    assert clean["accuracy"] == clean["correct"] / clean["items"] == clean["correct"] / 10
    assert clean["low"] <= clean["accuracy"] <= clean["high"]
    assert "lost" not in clean
    assert noisy["correct"] == clean["correct"] - noisy["lost"] + noisy["gained"]


def test_the_same_results_twice(runs: dict[str, Path], store: Path) -> None:
    sets = sets_of(store, limit=5)
    first, again = (summary(results_of([runs["hydralora"]], sets), sets) for _ in range(2))
    assert first == again


def test_a_base_without_runs_is_loaded_in_the_dtype_asked_for(
    runs: dict[str, Path], tiny_model: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[torch.dtype] = []

    def load(*given: Any) -> Any:
        model = load_base(*given)
        loaded.append(model.dtype)
        return model

    monkeypatch.setattr("lope_train.inference.subjects.load_base", load)
    for dtype in (None, "bfloat16"):
        subjects = find_subjects([], base=True, model=str(tiny_model), dtype=dtype)
        assert len(list(evaluate(subjects, sets_of(store, limit=2)))) == 1
    assert loaded == [torch.float32, torch.bfloat16]
    for folders, base in (([runs["lora"]], True), ([], False)):
        with pytest.raises(SettingsError, match="runs are evaluated in the dtype they were trained with"):
            find_subjects(folders, base, dtype="bfloat16")
    with pytest.raises(SettingsError, match=r"no dtype 'float61'; did you mean 'float16'\?"):
        find_subjects([], base=True, model=str(tiny_model), dtype="float61")


def test_an_option_beyond_the_context_is_named(
    tiny_model: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(
        "lope_train.evaluation.tasks.lm"
    )  # before the patch, or it would keep it for the tests after this one
    monkeypatch.setattr("lope_train.evaluation.likelihood.context_length", lambda model: 3)
    subjects = find_subjects([], base=True, model=str(tiny_model))
    with pytest.raises(
        RunError, match=r"llama on tiny, item 'row-1\d': an option has \d tokens, and the model reads 3;"
    ):
        list(evaluate(subjects, sets_of(store)))
    pytest.importorskip("lm_eval")
    asked = sets_of(store, None, tasks=["piqa"], data_dir=piqa(tmp_path, 20))
    with pytest.raises(
        RunError, match=r"llama on piqa: an option has \d+ tokens, and the model reads 3;.*longer context"
    ):
        list(evaluate(subjects, asked))


def test_the_table_shows_short_names_where_they_differ() -> None:
    assert _short(["a/x", "b/y"], lambda name: name[-1]) == {"a/x": "x", "b/y": "y"}
    assert _short(["a/x", "b/x"], lambda name: name[-1]) == {"a/x": "a/x", "b/x": "b/x"}
