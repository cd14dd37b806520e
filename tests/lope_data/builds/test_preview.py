"""`python -m lope_data preview`: what a build would do, without writing anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lope_data.builds.obtain import Options, build, ingest
from lope_data.builds.preview import preview
from lope_data.recipe import Recipe
from lope_data.rows import OPS, ROW_ID

Cli = Callable[..., Any]


def test_it_shows_pairs_and_writes_nothing(lope_data: Cli, tmp_path: Path) -> None:
    run = lope_data("preview", "-n", "7", "--ratio", "0.1")
    assert run.code == 0
    samples = run.out.count("clean:")
    assert 7 <= samples == run.out.count("noisy:")
    assert "240 of 2,400 rows would be touched; nothing was written" in run.out
    assert list(tmp_path.iterdir()) == []


def test_it_shows_what_a_build_does(options: Options) -> None:
    recipe = Recipe.model_validate({"steps": [{"ratio": 0.1}]})
    found = preview("sample", recipe)
    version = build(ingest("sample", Recipe(), None, options), recipe, None, options)
    built = {row[ROW_ID]: row for row in version.rows.to_pylist() if row[OPS]}
    assert {row[ROW_ID]: row for row in found.noisy.to_pylist()} == built
    assert found.edits.to_pylist() == version.edits.to_pylist()
    assert found.rows == 2400


def test_a_recipe_and_a_source(lope_data: Cli, tmp_path: Path) -> None:
    rows = [{"text": f"Write to user{i}@mail.example at once please", "label": "a"} for i in range(20)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    (tmp_path / "r.toml").write_text(
        "[[steps]]\nratio = 0.5\nlevel = 0.4\nmix = 'human'\n[[protect]]\nname = 'email'\n"
    )
    run = lope_data("preview", "r.toml", "--source", "rows.json", "-n", "3")
    assert run.code == 0
    assert run.out.count("@mail.example") == 6
    assert "10 of 20 rows would be touched" in run.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.toml", "rows.json"]


def test_hostile_text_cannot_steer_the_terminal(lope_data: Cli, tmp_path: Path) -> None:
    rows = [{"text": f"\u202ea \x1b[2J\x1b]0;owned\x07 [bold]b[/bold] \x9b31m {i}", "label": "x"} for i in range(4)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    run = lope_data("preview", "--source", "rows.json", "--mix", "char.insert", "--ratio", "1")
    assert run.code == 0
    assert "\x1b" not in run.out
    assert "\x07" not in run.out
    assert "\x9b" not in run.out
    assert "\u202e" not in run.out
    assert "bold" in run.out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--source", "missing.json"), "missing.json: no such file"),
        (("missing.toml",), "cannot read the recipe missing.toml"),
        (("--mix", "char.delte=1"), "did you mean 'char.delete'"),
        (("-n", "0"), "-n"),
        (("--ratio", "2"), "ratio"),
    ],
)
def test_bad_input_is_one_line(lope_data: Cli, args: tuple[str, ...], message: str) -> None:
    run = lope_data("preview", *args)
    assert run.code == 2
    assert message in run.err
    assert run.err.count("\n") == 1


def test_too_little_to_change_is_shown_all_the_same(lope_data: Cli, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps([{"text": "one two", "label": "a"}, {"text": "1", "label": "b"}]))
    run = lope_data("preview", "--source", "rows.json", "--mix", "word.swap", "--ratio", "1")
    assert run.code == 0
    assert "1 of 2 rows would be touched" in run.out
    assert "1 rows fewer than asked" in run.out
