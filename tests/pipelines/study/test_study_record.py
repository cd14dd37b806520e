"""Finished runs as lines of JSON: read again as they were, torn by a kill, broken by hand, and of several sittings."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import PipelineError
from pipelines.study.cells import Cell
from pipelines.study.machine import commit_here
from pipelines.study.record import Record, Sitting, key_of

SITTING = Sitting("2026-11-27", "abc", "two cores")
CELL = Cell("tiny", "lora", "clean", 614)
ASKED = {"train": {"method": "lora"}, "rows": 8}
RUN: dict[str, Any] = {"model": "/somewhere/tiny", "method": "lora", "stages": [{"seconds": 5.0}]}
RUN["settings"] = {"model": "/somewhere/tiny", "out": "/somewhere/run", "store": "/somewhere", "seed": 614}
ANSWERS: dict[str, Any] = {
    "sets": [{"name": "test@0", "ids": ["a", "b"], "chance": 0.5, "rows": 2}],
    "results": [{"run": "/somewhere/run", "data": "test@0", "mode": "none", "right": "10"}],
}


def written(path: Path, *keys: str) -> Record:
    record = Record(path, SITTING)
    for key in keys:
        record.add(key, CELL, ASKED, RUN, ANSWERS, (5.0, 1.0))
    return record


def test_what_is_written_is_found_again_without_places(tmp_path: Path) -> None:
    path = tmp_path / "results" / "record.jsonl"
    written(path, "one")
    found = Record(path, Sitting("later", "def", "elsewhere")).find("one")
    assert found is not None
    assert found.run == {**RUN, "model": "tiny", "settings": {"model": "tiny", "seed": 614}}
    assert found.answers["sets"] == [{**ANSWERS["sets"][0], "set": found.answers["sets"][0]["set"]}]
    assert found.answers["results"] == [{"data": "test@0", "mode": "none", "right": "10"}]
    assert (found.seconds, found.sitting) == ((5.0, 1.0), SITTING)
    assert "/somewhere" not in path.read_text()
    assert Record(path, SITTING).find("two") is None
    assert Record(path).cells() == [("one", CELL, ASKED)]


def test_questions_stand_there_once(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    written(path, "one", "two")
    written(path, "three")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert ["set" in line and "key" not in line for line in lines] == [True, False, False, False]


def test_a_line_torn_by_a_kill_is_taken_away_with_the_next(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    written(path, "one", "two")
    os.truncate(path, path.stat().st_size - 20)
    record = Record(path, SITTING)
    assert record.find("one") is not None
    assert record.find("two") is None
    record.add("two", CELL, ASKED, RUN, ANSWERS, (5.0, 1.0))
    again = Record(path, SITTING)
    assert all(again.find(key) is not None for key in ("one", "two"))


@pytest.mark.parametrize("line", ["no json", "[]", '{"x": 1}', "7"])
def test_what_is_not_a_line_of_a_record_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    written(path, "one")
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(PipelineError, match=r"record.jsonl, line 3: is not a line of a record; remove it"):
        Record(path, SITTING)


@pytest.mark.parametrize("name", ["results", "sets", "seconds", "sitting", "run"])
def test_a_line_that_lacks_something_is_named_when_it_is_asked_for(name: str, tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    written(path, "one")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    del lines[1][name]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(PipelineError, match=f"the line of run one lacks '{name}'"):
        Record(path, SITTING).find("one")


def test_a_key_is_of_all_words() -> None:
    assert key_of(["ab", "c"]) != key_of(["a", "bc"])
    assert len(key_of(["a"])) == 16


def test_the_commit_is_of_the_code_and_not_of_where_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    before = commit_here()
    monkeypatch.chdir(tmp_path)
    assert commit_here() == before
