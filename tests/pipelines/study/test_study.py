"""A whole study on a tiny model: it trains, evaluates, shows a page, does nothing twice, and says what failed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli import main

ROOT = Path(__file__).parents[3]
RECIPE = """
title = "Tiny <b>study</b>"
about = "labels, flipped"
reference = "hydralora-2"

[source]
file = "train.txt"
pattern = '(?P<label>[A-Z]+):\\S+ (?P<text>.+)'
without = "test"

[[conditions]]
id = "flip"
label = "half flipped"
nois = { ratio = 0.5, mix = "label.flip=1" }
x = 50

[[arms]]
id = "lope"
label = "LoPE"
train = { method = "lope", inference = "compensated" }

[[arms]]
id = "hydralora-2"
label = "HydraLoRA"
train = { method = "hydralora", num_experts = 3, epochs = 2 }

[evaluation]
inference = ["unmasked"]

[evaluation.test]
file = "test.txt"
pattern = '(?P<label>[A-Z]+):\\S+ (?P<text>.+)'

[[plots]]
kind = "bars"
title = "Accuracy"

[scales.tiny]
rows = 8
questions = 4
seeds = 2
train = { batch_size = 4, max_length = 512 }
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for name, rows in (("train", 12), ("test", 6)):
        lines = [f"{'AB'[i % 2]}:x sentence number {i} of {name}\n" for i in range(rows)]
        lines += ["A:x a sentence of both\n"]
        (tmp_path / "data" / f"{name}.txt").write_text("".join(lines))
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return tmp_path


def run(place: Path, *args: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "pipelines", "run", "tiny.toml", "--data-dir", "data", "--scale", "tiny", *args]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(words, cwd=place, capture_output=True, text=True, env=environment, check=False)


def test_a_study_runs_once_and_shows_what_it_found(place: Path, tiny_model: Path) -> None:
    first = run(place, "--model", str(tiny_model), "--jobs", "2")
    assert first.returncode == 0, first.stdout + first.stderr
    (page,) = (place / "runs" / "tiny").glob("tiny-tiny-*.html")
    text = page.read_text(encoding="utf-8")
    assert "Tiny &lt;b&gt;study&lt;/b&gt;" in text
    assert "label.flip" in text
    assert "<svg" in text
    answers = [json.loads(path.read_text()) for path in (place / "runs" / "tiny" / "results").glob("evaluate-*.json")]
    assert len(answers) == 5  # two arms with two seeds, and the base model
    assert {len(one["result"]["sets"][0]["ids"]) for one in answers} == {4}
    read = [json.loads(path.read_text()) for path in (place / "runs" / "tiny" / "results").glob("ingest-*.json")]
    assert sorted(one["result"]["without"] is not None for one in read) == [False, True]
    assert [one["result"]["without"]["rows"] for one in read if one["result"]["without"]] == [1]
    runs = {path: path.stat().st_mtime_ns for path in place.rglob("run.json")}
    assert len(runs) == 4
    seeds = {json.loads(path.read_text())["settings"]["seed"] for path in runs}
    assert seeds == {614, 615}

    recorded = ("--record", "record.jsonl")
    written = run(place, "--model", str(tiny_model), *recorded)
    assert written.returncode == 0, written.stderr
    record = (place / "record.jsonl").read_text()
    assert len(record.splitlines()) == 5  # a set of questions, and the four runs
    assert str(place) not in record

    elsewhere = run(place, "--model", str(tiny_model), *recorded, "--out", "elsewhere")
    assert elsewhere.returncode == 0, elsewhere.stderr
    assert not [*place.glob("elsewhere/runs/*")]
    assert (place / "record.jsonl").read_text() == record
    (again,) = (place / "elsewhere").glob("tiny-tiny-*.html")
    assert re.findall(r"[\d.]+ \[[\d., ]+\]", again.read_text()) == re.findall(r"[\d.]+ \[[\d., ]+\]", text)

    second = run(place, "--model", str(tiny_model))
    assert second.returncode == 0, second.stderr
    lines = [line for line in second.stdout.splitlines() if re.match(r"\d+/\d+ ", line)]
    assert lines
    assert all("  kept" in line or " ingest " in line for line in lines), second.stdout
    assert {path: path.stat().st_mtime_ns for path in place.rglob("run.json")} == runs


def refusal(
    place: Path, args: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """What `run` says on stderr, in one line, where it refuses and leaves nothing behind."""
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "argv", ["pipelines", "run", *args])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert not (place / "runs").exists()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


@pytest.mark.slow
def test_what_fails_is_on_the_page_and_in_the_exit_code(place: Path, tiny_model: Path) -> None:
    recipe = place / "tiny.toml"
    train = 'hydralora", num_experts = 3, epochs = 2'
    recipe.write_text(recipe.read_text().replace(train, train + ', target_modules = ["nowhere_proj"]'))
    done = run(place, "--model", str(tiny_model), "--seeds", "1")
    assert done.returncode == 1
    assert "steps failed or could not run" in done.stderr
    assert "Traceback" not in done.stderr
    (page,) = (place / "runs" / "tiny").glob("tiny-tiny-*.html")
    text = page.read_text(encoding="utf-8")
    assert "nowhere_proj" in text
    assert "failed" in text


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--scale", "smal"), "no scale 'smal'; did you mean 'small'?"),
        (("--data-dir", "elsewhere"), "no folder elsewhere: --data-dir names the one that holds train.txt"),
        (("--questions", "0"), "--questions is 0; it must be at least 1"),
        (("--arms", "lop"), "the study has no arm 'lop'; did you mean 'lope'?"),
    ],
)
def test_bad_input_ends_before_anything_runs(
    place: Path,
    args: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = ("tiny.toml", "--data-dir", "data", "--scale", "tiny")
    assert message in refusal(place, (*study, *args), monkeypatch, capsys)


def test_a_task_without_data_is_found_before_anything_is_trained(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = place / "tiny.toml"
    recipe.write_text(recipe.read_text().replace("[evaluation]", '[evaluation]\ntasks = ["piqa"]'))
    study = ("tiny.toml", "--data-dir", "data", "--scale", "tiny")
    assert "piqa/valid.jsonl: no such file" in refusal(place, study, monkeypatch, capsys)


def test_options_of_studies_are_refused_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refusal(tmp_path, ("demo", "--seeds", "3"), monkeypatch, capsys)
    assert "--seeds is for studies; demo is a list of steps" in told
