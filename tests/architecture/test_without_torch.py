"""Without torch and its like every help works, and what needs them says so in one line before it writes anything."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from lope_train.libraries import NEEDS

ROOT = Path(__file__).parents[2]
HIDDEN = ("accelerate", "gguf", "lm_eval", "peft", "safetensors", "torch", "transformers")
TRAIN, PIPELINES = "lope_train.cli.run", "pipelines.cli"
COMMANDS = import_module(TRAIN).app.registered_commands
VERBS = sorted(command.name or command.callback.__name__ for command in COMMANDS)
TYPED = {  # what each verb is asked here; `items` has data to read
    "evaluate": ["runs/lope"],
    "export": ["runs/lope", "--out", "out"],
    "generate": ["runs/lope", "--prompt", "p"],
    "get-model": ["smollm2-135m", "--cache", "cache"],
    "items": ["piqa", "--data-dir", "data", "--out", "items.jsonl"],
    "params": ["--model", "m"],
    "score": ["--model", "m", "--data", "d"],
    "train": ["--data", "d", "--model", "m", "--out", "out"],
}

# A finder before the others: what is hidden is not found, by `import` or by `find_spec`, wherever it is installed.
HIDE = f"""
import sys
class Hiding:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in {HIDDEN!r} else self.finder.find_spec(name, path, target)
sys.meta_path[:] = map(Hiding, sys.meta_path)
"""

# Runs command lines in one process, from JSON on stdin to JSON on stdout: their exit codes and what they print.
RUN = """
import contextlib, importlib, io, json, pathlib, subprocess, traceback
subprocess.Popen = None  # what is refused has started nothing; from another process nothing would be hidden
said = []
for program, words in json.load(sys.stdin):
    main = importlib.import_module(program).main
    sys.argv = ["lope", *words]
    out, err, code = io.StringIO(), io.StringIO(), 0
    before = sorted(map(str, pathlib.Path().rglob("*")))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        except BaseException:
            code = traceback.format_exc()
    made = sorted({*map(str, pathlib.Path().rglob("*"))} - {*before})
    said.append({"code": code, "out": out.getvalue(), "err": err.getvalue(), "made": made})
print(json.dumps(said), file=sys.__stdout__)
"""


def python(code: str, folder: Path, typed: str = "") -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    command = [sys.executable, "-c", f"{HIDE}\n{code}"]
    done = subprocess.run(command, input=typed, capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], dict[str, Any]]:
    """What each verb and each help says, by the words typed after the program's module."""
    folder = tmp_path_factory.mktemp("here")
    (folder / "data" / "piqa").mkdir(parents=True)
    question = {"goal": "g", "sol1": "a", "sol2": "b"}
    (folder / "data" / "piqa" / "valid.jsonl").write_text(f"{json.dumps(question)}\n")
    (folder / "data" / "piqa" / "valid-labels.lst").write_text("1\n")
    typed = [[TRAIN, ["--help"]], [PIPELINES, ["--help"]], [PIPELINES, ["run", "--help"]]]
    typed += [[TRAIN, [verb, *words]] for verb in VERBS for words in (["--help"], TYPED[verb])]
    typed += [[PIPELINES, ["run", "demo"]], [PIPELINES, ["run", "paper/table1", "--data-dir", "data"]]]
    said = json.loads(python(RUN, folder, json.dumps(typed)).splitlines()[-1])
    return {(program, *words): one for (program, words), one in zip(typed, said, strict=True)}


def test_every_verb_is_tried() -> None:
    assert VERBS == sorted(TYPED) == sorted(NEEDS)


def test_what_is_needed_is_what_the_extras_install() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {name: {Requirement(text).name for text in of} for name, of in project["optional-dependencies"].items()}
    assert {module for modules in NEEDS.values() for module in modules} == extras["train"]
    studies = {module.replace("_", "-") for module in import_module("pipelines.steps.recipe").STUDIES_NEED}
    assert extras["eval"] < studies < extras["train"] | extras["eval"]


def test_every_help_works(ran: dict[tuple[str, ...], dict[str, Any]]) -> None:
    helps = {words: one for words, one in ran.items() if words[-1] == "--help"}
    assert len(helps) == len(VERBS) + 3
    for words, one in helps.items():
        assert (one["code"], one["err"]) == (0, ""), words
        assert "Usage" in one["out"]


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_works_or_says_what_it_needs(ran: dict[tuple[str, ...], dict[str, Any]], verb: str) -> None:
    one = ran[TRAIN, verb, *TYPED[verb]]
    if NEEDS[verb]:
        assert_refused(one, verb, NEEDS[verb])
    else:
        assert (one["code"], one["err"], one["made"]) == (0, "", ["items.jsonl"])


def assert_refused(one: dict[str, Any], name: str, modules: tuple[str, ...]) -> None:
    """One line with a requirement of each module, exit code 2, and nothing written."""
    assert (one["code"], one["out"], one["made"]) == (2, "", [])
    names = " and ".join(", ".join(sorted(modules)).rsplit(", ", 1)).replace("_", "-")
    wanted = " ".join(rf"'{module.replace('_', '-')}>=[\d.]+'" for module in sorted(modules))
    assert re.fullmatch(rf"error: {name} needs {names}, which are missing: pip install {wanted}\n", one["err"])


def test_the_demo_is_refused_before_its_first_step(ran: dict[tuple[str, ...], dict[str, Any]]) -> None:
    assert_refused(ran[PIPELINES, "run", "demo"], "demo", tuple(name for name in HIDDEN if name != "lm_eval"))


def test_a_study_is_refused_before_its_first_step(ran: dict[tuple[str, ...], dict[str, Any]]) -> None:
    needed = tuple(name for name in HIDDEN if name != "gguf")
    assert_refused(ran[PIPELINES, "run", "paper/table1", "--data-dir", "data"], "paper/table1", needed)


def test_in_python_the_package_is_imported_and_its_names_say_what_they_need(tmp_path: Path) -> None:
    code = """
import lope_train
assert lope_train.TrainSettings.model_fields
for name in lope_train.__all__:
    try:
        getattr(lope_train, name)
    except ImportError as error:
        assert isinstance(error, __import__("lope_train.errors").errors.LopeTrainError)
        print(error)
"""
    lines = python(code, tmp_path).splitlines()
    assert len(lines) == 8
    for line in lines:
        assert re.match(
            r"lope_train\.\w+ needs accelerate, peft, .* which are missing: pip install 'accelerate>=", line
        )
