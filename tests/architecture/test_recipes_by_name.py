"""The recipes that come with LoPE, by name and from any folder, in all programs."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DATA: Any = import_module("lope_data.recipe.recipe").RECIPES
TRAIN: Any = import_module("lope_train.settings.recipes").RECIPES
PIPELINES: Any = import_module("pipelines.steps.recipe").RECIPES
MAINS = {"lope_data": "lope_data.cli.run", "lope_train": "lope_train.cli.run", "pipelines": "pipelines.cli"}
TAKES = {  # a command that takes a recipe: what it takes, and a name in which two letters changed places
    "lope_data build --limit 40 --recipe": (DATA, "hynosie"),
    "lope_data ingest sample --recipe": (DATA, "itesm"),
    "lope_data preview": (DATA, "hynosie"),
    "lope_train train --recipe": (TRAIN, "ablations/no-hynosie"),
    "pipelines run": (PIPELINES, "paper/tabel1"),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "1000")
    monkeypatch.delenv("LOPE_STORE", raising=False)
    return tmp_path


def refused(command: str, recipe: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that it says before anything is written."""
    program, *words = command.split()
    before = sorted(Path.cwd().rglob("*"))
    monkeypatch.setattr(sys, "argv", [program, *words, recipe])
    with pytest.raises(SystemExit) as ended:
        import_module(MAINS[program]).main()
    out, err = capsys.readouterr()
    assert ended.value.code == 2
    assert not out
    assert err.count("\n") == 1
    assert sorted(Path.cwd().rglob("*")) == before
    return err


def test_every_recipe_of_the_repository_has_a_name() -> None:
    files = {path for one in (DATA, TRAIN, PIPELINES) for path in one.packaged().values()}
    assert {*(ROOT / "pipelines").rglob("*.toml")} - files == {ROOT / "pipelines" / "paper" / "scales.toml"}
    assert {"hynoise", "items", "pairwise"} == {*DATA.packaged()}
    assert {"lope", "ablations/no-hynoise"} <= {*TRAIN.packaged()}
    assert {"demo", "paper/table1"} <= {*PIPELINES.packaged()}


@pytest.mark.parametrize("command", TAKES)
def test_a_misspelt_name_gets_the_nearest(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipes, misspelt = TAKES[command]
    line = refused(command, misspelt, monkeypatch, capsys)
    assert line.startswith(f"error: no {recipes.kind} {misspelt!r}, by name or as a file (NAME.toml); did you mean '")
    assert line.split("'")[-2] in recipes.packaged()


@pytest.mark.parametrize("command", TAKES)
def test_a_name_that_is_a_file_too_is_refused(
    command: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipes, _ = TAKES[command]
    for name in recipes.packaged():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("x = 1\n")
        assert f"write ./{name} for the file" in refused(command, name, monkeypatch, capsys)
        assert f"{name}: " in refused(command, f"./{name}", monkeypatch, capsys), "it is read, and is no recipe"


@pytest.mark.parametrize("command", TAKES)
def test_a_path_that_is_not_there(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "nowhere.toml" in refused(command, "nowhere.toml", monkeypatch, capsys)
    assert "nowhere/x.toml" in refused(command, "nowhere/x.toml", monkeypatch, capsys)


def test_what_is_wrong_is_said_of_the_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused("lope_data build --ratio 3 --recipe", "hynoise", monkeypatch, capsys)
    assert line.startswith("error: hynoise with the options: steps[0].ratio: ")


def test_a_folder_of_the_user_is_never_taken_for_ours(here: Path) -> None:
    """Though `python -m` puts the current folder first on the path."""
    for name in ("__init__.py", "data/hynoise.toml", "train/lope.toml"):
        (here / "pipelines" / name).parent.mkdir(parents=True, exist_ok=True)
        (here / "pipelines" / name).write_text("")
    (here / "pipelines" / "data" / "hynoise.toml").write_text("mine = true\n")
    (here / "pipelines" / "data" / "mine.toml").write_text("")
    command = [sys.executable, "-m", "lope_data", "build", "--limit", "40", "--recipe"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([*command, "hynoise"], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert (here / "lope-store" / "sample-40-hynoise" / "refs" / "latest").is_file()
    done = subprocess.run([*command, "mine"], capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert "no recipe 'mine'" in done.stderr
