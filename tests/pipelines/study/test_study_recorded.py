"""The page of a record: its numbers, what is missing, and what it sets aside rather than averages in."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import main
from pipelines.errors import PipelineError
from pipelines.page import write_markdown
from pipelines.steps import load
from pipelines.study.cells import Cell, asked_of
from pipelines.study.recipe import Scale, Study
from pipelines.study.record import Record, Sitting
from pipelines.study.recorded import from_record

ROOT = Path(__file__).parents[3]
RECIPE = """
title = "Which *method*"
about = "Labels, flipped."
reference = "plain"

[source]
file = "train.txt"

[[conditions]]
id = "flip"
label = "40 % flipped"
nois = { ratio = 0.4 }

[[arms]]
id = "plain"
label = "HydraLoRA"
train = { method = "hydralora", num_experts = 3 }

[[arms]]
id = "better"
label = "LoPE"
train = { method = "lope", inference = "compensated" }

[evaluation.test]
file = "test.txt"

[[plots]]
kind = "bars"
title = "Accuracy"
"""
SCALE = Scale(seeds=6, models=("m",), train={"batch_size": 4})
SEEDS = range(614, 620)
FIRST = Sitting("2026-11-01", "aaa", "two cores")
QUESTIONS = 200


def study_of(folder: Path, text: str = RECIPE) -> Study:
    (folder / "which.toml").write_text(text)
    recipe = load(str(folder / "which.toml"))
    assert isinstance(recipe, Study)
    return recipe


def record(
    path: Path, study: Study, right: int, arm: str = "plain", seeds: Iterable[int] = SEEDS, sitting: Sitting = FIRST
) -> None:
    """Runs of an arm that answer so many questions; which these are differs by arm and seed."""
    file = Record(path, sitting)
    for seed in seeds:
        marks = ["1"] * right + ["0"] * (QUESTIONS - right)
        shift = 7 * seed
        answers: dict[str, Any] = {
            "sets": [{"name": "test@0", "ids": [str(i) for i in range(QUESTIONS)], "chance": 0.5}],
            "results": [
                {"data": "test@0", "mode": mode, "right": "".join(marks[shift % 9 :] + marks[: shift % 9])}
                | {"task": "test.txt", "noise": 0.0}
                for mode in (["none"] if arm == "plain" else ["masked + compensated", "not masked"])
            ],
        }
        one = next(one for one in study.arms if one.id == arm)
        asked = asked_of(study, SCALE, one, study.conditions[0], seed)
        run = {
            "model": "m",
            "settings": asked["train"],
            "stages": [{"seconds": 50.0}],
            "libraries": {"torch": "2.13.0"},
        }
        cell = Cell("m", arm, "flip", seed)
        file.add(f"{arm}{seed}{sitting.commit}{right}", cell, asked, run, answers, (50.0, 10.0))


def page_of(folder: Path, study: Study) -> str:
    write_markdown(from_record(study, "which", "small", SCALE, folder / "which.jsonl", "COMMAND"), folder / "which.md")
    return (folder / "which.md").read_text(encoding="utf-8")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    study = study_of(tmp_path)
    record(tmp_path / "which.jsonl", study, 150)
    record(tmp_path / "which.jsonl", study, 180, "better")
    return tmp_path


def test_the_page_says_who_is_above_whom_and_what_it_could_have_seen(place: Path) -> None:
    text = page_of(place, study_of(place))
    first = text.split("\n\n")[1]
    assert first.startswith("**40 % flipped**: HydraLoRA is right on 75.0 %. Above it: LoPE (+15.0 points [")
    assert "could have been seen with power 0.8" in first
    (row,) = [line for line in text.splitlines() if line.startswith("| LoPE | masked + compensated | 6 | 90.0 |")]
    assert row.endswith("| significant, higher |")
    assert "| HydraLoRA |  | 6 | 75.0 | 75.0 to 75.0 |" in text
    assert "12 runs of 2026-11-01, commit aaa, on two cores" in text
    assert "0.2 hours of runs" in text
    assert "Not in these figures" not in text
    assert "# Which \\*method\\*" in text
    (figure,) = re.findall(r"!\[.*\]\((.*)\)", text)
    assert "<svg" in (place / figure).read_text(encoding="utf-8")


def test_a_missing_seed_is_named_and_the_rest_is_compared_by_the_seeds_of_both(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    record(tmp_path / "which.jsonl", study, 150)
    record(tmp_path / "which.jsonl", study, 180, "better", list(SEEDS)[:4])
    text = page_of(tmp_path, study)
    assert "Missing on 40 % flipped: 2 of 6 seeds of LoPE." in text
    assert "too few seeds to say: LoPE (+15.0 points" in text.lower().replace("lope", "LoPE")
    assert "cannot decide" in text


def test_runs_of_other_settings_are_set_aside_by_name(place: Path) -> None:
    """The recipe has changed since: not one number of these is in the table."""
    before = page_of(place, study_of(place))
    study = study_of(
        place, RECIPE.replace('inference = "compensated"', 'inference = "compensated", learning_rate = 1e-3')
    )
    record(place / "which.jsonl", study, 100, "better", [614])
    text = page_of(place, study)
    changed = "seed 615: it has train.learning_rate nothing, and the recipe asks for 0.001"
    assert f"m, better on flip, {changed}" in text.replace("\\_", "_")
    assert text.count("Set aside, as it is not what the recipe asks for") == 6
    assert "| LoPE | masked + compensated | 1 | 50.0 |" in text
    assert "| HydraLoRA |  | 6 | 75.0 |" in text
    again = study_of(place)
    assert "| LoPE | masked + compensated | 6 | 90.0 |" in page_of(place, again)
    assert "| LoPE | masked + compensated | 6 | 90.0 |" in before


def test_of_a_run_made_twice_the_later_counts_and_the_other_is_named(place: Path) -> None:
    record(place / "which.jsonl", study_of(place), 120, "better", [614], Sitting("2026-11-02", "aaa", "two cores"))
    text = page_of(place, study_of(place))
    assert text.count("Set aside") == 1
    assert "m, better on flip, seed 614: it was made again" in text
    assert "| LoPE | masked + compensated | 6 | 85.0 | 60.0 to 90.0 |" in text


def test_runs_of_other_code_are_told(place: Path) -> None:
    study = study_of(place, RECIPE + "\n[scales.small]\nseeds = 7\n")
    record(place / "which.jsonl", study, 180, "better", [620], Sitting("2026-11-02", "bbb+", "two cores"))
    text = page_of(place, study)
    assert "The runs are of 2 commits (aaa, bbb+), compared as if the code had not changed." in text
    assert "1 of these had changes that no commit has." in text
    assert "1 run of 2026-11-02, commit bbb+, on two cores" in text


def test_an_arm_that_the_recipe_lost_is_set_aside(place: Path) -> None:
    without = RECIPE.replace('id = "better"', 'id = "other"')
    text = page_of(place, study_of(place, without))
    assert text.count("the recipe has no such arm on such a condition") == 6
    assert "Missing on 40 % flipped: all seeds of LoPE." in text


def test_what_a_record_says_is_shown_and_does_nothing(place: Path) -> None:
    hostile = Sitting("2026-11-02", "<script>top.x=1</script>", "[two](javascript:1)\n# cores")
    record(place / "which.jsonl", study_of(place), 180, "better", [614], hostile)
    text = page_of(place, study_of(place))
    assert not re.search(r"(?<!\\)<script|(?<!\\)\]\(javascript", text)
    assert "\n# cores" not in text


def test_a_record_that_cannot_be_read_is_one_line(place: Path, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="no such record"):
        from_record(study_of(place), "which", "small", SCALE, tmp_path / "none.jsonl", "")
    lines = [json.loads(line) for line in (place / "which.jsonl").read_text().splitlines()]
    del lines[1]["results"][0]["task"]
    (place / "which.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(PipelineError, match="the line of m, plain on flip, seed 614 lacks 'task'"):
        from_record(study_of(place), "which", "small", SCALE, place / "which.jsonl", "")


def test_the_command_refuses_in_one_line(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refusal(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["pipelines", "results", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        said = capsys.readouterr()
        assert (said.out, said.err.count("\n")) == ("", 1)
        return said.err

    monkeypatch.chdir(place)
    scaled = RECIPE + '\n[scales.small]\nrows = 9\nseeds = 6\nmodels = ["m"]\n'
    study_of(place, scaled)
    none = refusal("which.toml", "--record", "which.jsonl")
    assert "set aside: m, plain on flip, seed 614: it has" in none
    assert not (place / "which.md").exists()
    assert "docs/results/which.jsonl: no such record" in refusal("which.toml")
    assert "demo is a list of steps; only studies have records" in refusal("demo")
