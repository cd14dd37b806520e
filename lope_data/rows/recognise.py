"""Columns under other names: which column of a source is the text, the label or the messages of a shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lope_common.errors import shown
from lope_data.errors import SourceError
from lope_data.rows.shapes import SHAPES

_LAYOUTS: tuple[tuple[str, Mapping[str, tuple[str, ...]]], ...] = (
    ("instruction", {"instruction": ("instruction",), "input": ("input", "context"), "output": ("output", "response")}),
    ("instruction", {"instruction": ("question",), "input": ("input", "context"), "output": ("answer", "response")}),
    ("multiple_choice", {"question": ("question",), "choices": ("choices", "options"), "answer": ("answer",)}),
    ("classification", {"text": ("text", "sentence", "content"), "label": ("label", "category", "target")}),
    ("chat", {"messages": ("messages", "conversations", "conversation")}),
)
"""Shape -> column -> the names that it goes by, in any case: Dolly's, GSM8K's, ShareGPT's, those of GLUE. An entry is
never changed, only added: a version's id does not say by which its source was read.
"""


def recognised(names: Sequence[str], shape: str | None, where: str) -> dict[str, str]:
    """Of the columns that a shape has under another name here: canonical name -> name in the source.

    Empty where the names fit a shape as they are, or fit none.

    Args:
        names: of the source's columns, in which a recipe's `[columns]` are renamed already.
        shape: the only one that comes into question, if any.

    Raises:
        SourceError: the names fit several shapes, or two columns could be one of a shape's.
    """
    candidates = [name for name in SHAPES if shape in (None, name)]
    if any(set(SHAPES[name].required) <= set(names) for name in candidates):
        return {}
    fits: list[tuple[str, dict[str, list[str]]]] = []
    for name, layout in _LAYOUTS:
        found = {column: _called(names, column, known) for column, known in layout.items()}
        if name in candidates and all(found[column] for column in SHAPES[name].required):
            fits.append((name, {column: called for column, called in found.items() if called}))
    taken = [{called[0] for called in found.values()} for _, found in fits]
    # Of question and answer, where there are choices too, only the whole.
    fits = [fit for fit, mine in zip(fits, taken, strict=True) if not any(mine < others for others in taken)]
    if len(fits) > 1:
        said = "; or ".join(f"{name}, with {_as_pairs(found)}" for name, found in fits)
        raise SourceError(f"{where}: its columns fit {said}: say which with --columns, or `shape` in a recipe")
    for name, found in fits:
        for column, called in found.items():
            if len(called) > 1:
                several = " and ".join(map(repr, called))
                todo = f"say which: --columns {column}={called[0]}"
                raise SourceError(f"{where}: {several} could each be the {column} of {name}; {todo}")
        return {column: called[0] for column, called in found.items() if called[0] != column}
    return {}


def no_shape(
    names: Sequence[str], shape: str | None, where: str, roles: Sequence[str], given: Mapping[str, str]
) -> SourceError:
    """What to say of columns that fit no shape: the nearest one, and the option that maps what it lacks.

    Args:
        given: canonical name -> the source's, as somebody said.
        roles: some of those in a column `role`, where rows are single messages.
    """
    if roles:
        said = ", ".join(shown(role) for role in roles)
        return SourceError(
            f"{where}: each row is one message of a conversation (role: {said}), and a row must be a whole one; gather "
            "the messages of each conversation in one row, as messages = [{role, content}, ...]"
        )
    candidates = [SHAPES[shape]] if shape else list(SHAPES.values())
    nearest = max(candidates, key=lambda one: (len(set(one.required) & set(names)), one.target in names))
    missing = [column for column in nearest.required if column not in names]
    wanted = "; ".join(f"{one.name}: {', '.join(one.required)}" for one in candidates)
    lacks = " and ".join(map(repr, missing))
    option = ",".join([*(f"{column}={theirs}" for column, theirs in given.items()), *(f"{m}=COLUMN" for m in missing)])
    theirs = [given.get(name, name) for name in names]
    return SourceError(
        f"{where}: columns {', '.join(theirs) or '(none)'} fit no shape ({wanted}). Nearest is {nearest.name}, which "
        f"lacks {lacks}: rename the columns, or say which they are, --columns {option}"
    )


def _called(names: Sequence[str], column: str, known: Sequence[str]) -> list[str]:
    """The columns that could be this one, of these names; one of its own name, in whatever case, before others. Its own
    name counts also where it is not one of them: two columns cannot have it.
    """
    own = [name for name in names if name == column] or [name for name in names if name.casefold() == column]
    others = [name for name in names if name.casefold() in known]
    return own if own and column in known else [*others, *own] if others else []


def _as_pairs(found: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(f"{column}={called[0]}" for column, called in found.items())
