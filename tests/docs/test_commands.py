"""The documents are true: their commands exist and take these options, and the files that they name are there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "benchmarks/README.md", "docs/guides/wrong_rows.md")
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS}
APPS = {"lope_data": "lope_data.cli.run", "lope_train": "lope_train.cli.run", "pipelines": "pipelines.cli"}


def commands(*documents: str) -> Iterator[str]:
    for document in documents or DOCUMENTS:
        for block in re.findall(r"```console\n(.*?)```", TEXTS[document], re.DOTALL):
            lines = (line[2:].partition("  #")[0] for line in block.splitlines() if line.startswith("$ "))
            yield from (command.strip() for line in lines for command in line.split(" && "))


def modules_run() -> Iterator[tuple[str, list[str]]]:
    """What follows `-m` in each command: a module and its words."""
    for command in commands():
        if " -m " in command:
            module, *words = shlex.split(command.partition(" -m ")[2])
            yield module, words


@pytest.mark.parametrize(("module", "words"), [(module, words) for module, words in modules_run() if module in APPS])
def test_commands_are_taken_by_their_command_lines(module: str, words: list[str]) -> None:
    """Parses each command without running it: every option and argument must exist and have the right type."""
    app: Any = import_module(APPS[module]).app
    group = typer.main.get_command(app)
    name, subcommand, rest = group.resolve_command(group.make_context(module, words, resilient_parsing=True), words)  # type: ignore[attr-defined]
    assert subcommand.make_context(name, list(rest)).params


@pytest.mark.parametrize("module", sorted({module for module, _ in modules_run()} - set(APPS)))
def test_modules_that_are_run_exist(module: str) -> None:
    assert find_spec(module) is not None


@pytest.mark.parametrize("command", [command for command in commands() if command.startswith("make ")])
def test_make_targets_exist(command: str) -> None:
    assert f"\n{command.split()[1]}:" in (ROOT / "Makefile").read_text()


def files_named() -> Iterator[tuple[str, str]]:
    """The document and what it names: links, files of tests, paths in backticks and in commands; NAME is any name."""
    for document, text in TEXTS.items():
        links = [str(Path(document).parent / link) for link in re.findall(r"\]\(([\w/.]+)\)", text)]
        quoted = re.findall(r"`((?:lope_data|lope_train|pipelines|benchmarks|tests|docs|\.ci)/[\w/.-]*\w)`", text)
        typed = [word for command in commands(document) for word in command.split() if word.startswith("tests/")]
        yield from ((document, path) for path in [*links, *quoted, *typed] if "NAME" not in path)


@pytest.mark.parametrize(("document", "path"), sorted(set(files_named())))
def test_files_named_are_there(document: str, path: str) -> None:
    there = ROOT / path
    assert there.is_file() if there.suffix else there.exists()
