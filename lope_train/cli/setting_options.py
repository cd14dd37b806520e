"""Options made from the fields of TrainSettings, so that a new setting is written down once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from enum import EnumType
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import typer
from pydantic.fields import FieldInfo
from rich.markup import escape

from lope_common.cli import path
from lope_train.settings.recipes import SHORT
from lope_train.settings.settings import TrainSettings

CommandT = TypeVar("CommandT", bound=Callable[..., None])

_METAVARS = {"data": "NAME[@VERSION]", "held_out": "NAME[@VERSION]", "target_modules": "NAME"}


def flag(setting: str) -> str:
    """The option of a setting: `--lr` of `learning_rate`."""
    return f"--{SHORT.get(setting, setting).replace('_', '-')}"


def setting_options(names: Iterable[str] = tuple(TrainSettings.model_fields)) -> Callable[[CommandT], CommandT]:
    """Gives a command, in place of its `**typed`, the options of these settings; None is what was not typed."""
    wanted = set(names)

    def give(command: CommandT) -> CommandT:
        own = [
            parameter
            for parameter in inspect.signature(command, eval_str=True).parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        made = [parameter for parameter in _parameters() if parameter.name in wanted]
        parameters = [_keyword(parameter) for parameter in (*made, *own)]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return give


def typed_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were typed, by name; a repeatable option is a tuple."""
    given = {name: value for name, value in values.items() if value not in (None, [], ())}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def _keyword(parameter: inspect.Parameter) -> inspect.Parameter:
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)


def _parameters() -> list[inspect.Parameter]:
    """One a field, in the fields' order. A panel begins at the field that names it."""
    made, panel = [], None
    for name, field in TrainSettings.model_fields.items():
        if isinstance(field.json_schema_extra, dict):
            panel = str(field.json_schema_extra["panel"])
        kind, choices = _type(field.annotation)
        option = typer.Option(
            f"{flag(name)}/--no-{flag(name)[2:]}" if kind is bool else flag(name),
            help=_help(field, choices, repeatable=kind == list[str]),
            metavar=_METAVARS.get(name) or ("WORD" if choices else None),
            rich_help_panel=panel,
            parser=path if kind is Path else None,
            show_default=False,
        )
        annotation = Annotated[kind | None, option]  # type: ignore[valid-type]  # typer reads it
        made.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation))
    return made


def _type(annotation: Any) -> tuple[Any, tuple[str, ...]]:
    """What the command line reads for a field, and the words to choose from; TrainSettings checks the rest."""
    options = [part for part in get_args(annotation) if part is not NoneType]
    if NoneType in get_args(annotation):
        (annotation,) = options
    if get_origin(annotation) is Literal:
        return str, get_args(annotation)
    if isinstance(annotation, EnumType):
        return str, tuple(annotation)
    if get_origin(annotation) is tuple:
        return list[str], _type(get_args(annotation)[0])[1]
    if annotation not in (str, int, float, bool, Path):
        raise TypeError(f"no option can be made for a setting of type {annotation}")
    return annotation, ()


def _help(field: FieldInfo, choices: tuple[str, ...], repeatable: bool) -> str:
    said = f"{', '.join(choices[:-1])} or {choices[-1]}." if choices else ""
    text = escape(" ".join(filter(None, (said, field.description, "Repeat for several." if repeatable else ""))))
    if field.is_required() or field.default is None or field.default == ():
        return text
    value = str(field.default).lower() if isinstance(field.default, bool) else field.default
    return f"{text} [dim]{escape(f'[default: {value}]')}[/dim]"
