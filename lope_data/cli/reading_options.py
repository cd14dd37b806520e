"""The options of how files are read, which several verbs have; each is written down once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

import typer

from lope_data.errors import RecipeError

_FLAGS = {"header": "--no-header"}
Command = TypeVar("Command", bound=Callable[..., None])

_PANEL = "How files are read"


def _option(kind: Any, help_: str, *flag: str, **more: Any) -> Any:
    """An option that is None where it was not typed."""
    return Annotated[kind | None, typer.Option(*flag, help=help_, show_default=False, rich_help_panel=_PANEL, **more)]


_OPTIONS: Mapping[str, Any] = {
    "encoding": _option(str, "Of text files: latin-1, cp1252, ...; default: utf-8, or what a byte-order mark says."),
    "delimiter": _option(
        str,
        "Of csv and tsv files: what stands between columns; default: found in the first rows.",
        metavar="CHAR|tab",
    ),
    "header": _option(
        bool,
        "Of csv, tsv and xlsx files: the first row is one of them; columns are column_0, column_1, ...",
        "--no-header",
    ),
    "quoting": _option(
        str,
        "Of csv and tsv files: whether fields may stand in quotes, or quotes are text like any other.",
        metavar="minimal|none",
    ),
    "sheet": _option(str, "Of an xlsx file, where several sheets hold something.", metavar="NAME"),
    "pattern": _option(
        str,
        "Read plain text, a row a line: a pattern whose named groups are the columns, "
        r"'(?P<label>\S+) (?P<text>.*)'.",
    ),
    "skip_broken": _option(
        int,
        "Leave out up to N broken rows, which the manifest lists: lines that are no JSON, no object or no text, rows "
        "with more or fewer fields than columns, lines that no pattern fits. Default: none.",
        metavar="N",
        min=0,
    ),
}


def reading_options(command: Command) -> Command:
    """Gives a command these options in place of its `**typed`."""
    parameters = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(command, eval_str=True).parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for name, option in _OPTIONS.items()
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def one_split(without: str | None, *, each: bool) -> None:
    """Raises RecipeError: `--without` was typed for each split of a source, where the other version may be one."""
    if without is not None and each:
        raise RecipeError(
            "--without is for one split, and a test split may be the version that it names; read the one to train on, "
            "--split train"
        )


def typed_reading(typed: Mapping[str, Any], source: str | None) -> dict[str, Any]:
    """What was typed, as a recipe's `[source]` has it; None where nothing was.

    Raises:
        RecipeError: something was, and no source is read.
    """
    given = [_FLAGS.get(name, f"--{name.replace('_', '-')}") for name, value in typed.items() if value is not None]
    if given and source is None:
        raise RecipeError(f"{given[0]} says how a source is read, and none is; name one, --source, or leave it out")
    return {**typed, "header": False if typed["header"] else None}
