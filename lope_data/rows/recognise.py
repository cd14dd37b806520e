"""Which columns hold the text, the label or the messages of a shape: as somebody said, or by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lope_common.errors import shown, suggest
from lope_data.errors import SourceError
from lope_data.rows.layout import Names
from lope_data.rows.shapes import SHAPES, Shape

_LAYOUTS: tuple[tuple[str, Mapping[str, tuple[str, ...]]], ...] = (
    ("instruction", {"instruction": ("instruction",), "input": ("input", "context"), "output": ("output", "response")}),
    ("instruction", {"instruction": ("question",), "input": ("input", "context"), "output": ("answer", "response")}),
    ("multiple_choice", {"question": ("question",), "choices": ("choices", "options"), "answer": ("answer",)}),
    ("classification", {"text": ("text", "sentence", "content"), "label": ("label", "category", "target")}),
    ("classification", {"text": ("text", "sentence", "content"), "label": ("labels",)}),
    ("chat", {"messages": ("messages", "conversations", "conversation")}),
    ("prompt_completion", {"prompt": ("prompt",), "completion": ("completion", "response")}),
    ("text", {"text": ("text", "content", "sentence")}),
)
"""Shape -> column -> the names that it goes by, in any case: Dolly's, GSM8K's, ShareGPT's, those of GLUE. An entry is
never changed, only added: a version's id does not say by which its source was read.
"""


def recognised(
    names: Sequence[str], shape: str | None, where: str, given: Mapping[str, Names], ids: str | None = None
) -> dict[str, dict[str, Names]]:
    """Shape -> what it has -> the column that holds it; empty where the columns fit no shape.

    Args:
        names: of the source's columns.
        shape: the only one that comes into question, if any.
        given: what a shape has -> columns, as somebody said.
        ids: the column of ids, if there is one.

    Raises:
        SourceError: a column that is not there, or is given twice; the names fit several shapes, or two columns could
            be one of a shape's.
    """
    if ids is not None:
        _taken(names, where, {"id": ids})
    taken = _taken(names, where, given)
    free = [name for name in names if name not in taken and name not in given]
    rest = [name for name in free if name != ids]
    candidates = [one for one in SHAPES.values() if shape in (None, one.name)]
    found = {
        one.name: {column: given.get(column, column) for column in one.kinds if column in given or column in free}
        for one in candidates
        if set(one.required) <= {*given, *free} and _may_be(one, shape, rest, given)
    }
    wider = {name for name in found if any(_wider(found[other], found[name]) for other in found)}
    return {name: has for name, has in found.items() if name not in wider} or _by_other_names(
        free, rest, candidates, where, given
    )


def _wider(other: Mapping[str, Names], mine: Mapping[str, Names]) -> bool:
    return set(mine.items()) < set(other.items())


def _may_be(one: Shape, shape: str | None, rest: Sequence[str], given: Mapping[str, Names]) -> bool:
    """Whether a shape that is recognised only alone is so, or was asked for."""
    return not one.alone or shape == one.name or set(given) == set(one.required) or (not given and len(rest) == 1)


def _taken(names: Sequence[str], where: str, given: Mapping[str, Names]) -> set[str]:
    """The columns that were given."""
    taken: dict[str, str] = {}
    for column, named in given.items():
        for name in (named,) if isinstance(named, str) else named:
            if name not in names:
                raise SourceError(
                    f"{where}: no column {name!r}, which [columns] or --columns names{suggest(name, names)}"
                )
            if name in taken:
                raise SourceError(f"{where}: {name!r} is named as {taken[name]} and as {column}; it can be one of them")
            taken[name] = column
    return set(taken)


def _by_other_names(
    free: Sequence[str], rest: Sequence[str], candidates: Sequence[Shape], where: str, given: Mapping[str, Names]
) -> dict[str, dict[str, Names]]:
    """The one shape that the columns fit by the other names of what it has."""
    fits: list[tuple[str, dict[str, list[Names]]]] = []
    by_name = {one.name: one for one in candidates}
    for name, layout in _LAYOUTS:
        if (one := by_name.get(name)) is None or (one.alone and (given or len(rest) > 1)):
            continue
        found: dict[str, list[Names]] = {
            column: [given[column]] if column in given else [*_called(free, column, layout.get(column, (column,)))]
            for column in one.kinds
        }
        if all(found[column] for column in one.required):
            fits.append((name, {column: called for column, called in found.items() if called}))
    taken = [{called[0] for called in found.values()} for _, found in fits]
    # Of question and answer, where there are choices too, only the whole.
    fits = [fit for fit, mine in zip(fits, taken, strict=True) if not any(mine < others for others in taken)]
    if len(fits) > 1:
        said = "; or ".join(f"{name}, with {_as_pairs(found)}" for name, found in fits)
        raise SourceError(f"{where}: its columns fit {said}: say which with --columns, or `shape` in a recipe")
    for name, several in fits:
        for column, called in several.items():
            if len(called) > 1:
                both = " and ".join(map(repr, called))
                todo = f"say which: --columns {column}={called[0]}"
                raise SourceError(f"{where}: {both} could each be the {column} of {name}; {todo}")
        return {name: {column: called[0] for column, called in several.items()}}
    return {}


_NAMED = 50  # columns in a message


def _column(name: str) -> str:
    """A column's name, in quotes where it would not be seen to be what it is."""
    return name if name.isprintable() and name == name.strip() and 0 < len(name) < 60 else shown(name)


def no_shape(
    names: Sequence[str], shape: str | None, where: str, roles: Sequence[str], given: Mapping[str, Names]
) -> SourceError:
    """What to say of columns that fit no shape: the nearest one, and the option that maps what it lacks.

    Args:
        given: what a shape has -> columns, as somebody said.
        roles: some of those in a column `role`, where rows are single messages.
    """
    if roles:
        said = ", ".join(shown(role) for role in roles)
        return SourceError(
            f"{where}: each row is one message of a conversation (role: {said}), and a row must be a whole one; gather "
            "the messages of each conversation in one row, as messages = [{role, content}, ...]"
        )
    candidates = [SHAPES[shape]] if shape else list(SHAPES.values())
    have = {*names, *given}
    nearest = max(candidates, key=lambda one: (len(set(one.required) & have), one.target in have, not one.alone))
    missing = [column for column in nearest.required if column not in have]
    wanted = "; ".join(f"{one.name}: {', '.join(one.required)}" for one in candidates)
    lacks = " and ".join(map(repr, missing))
    have_not = f"which lacks {lacks}" if missing else "but what is named does not go together"
    columns = ", ".join(map(_column, names[:_NAMED])) + (f" and {len(names) - _NAMED} more" * (len(names) > _NAMED))
    option = ",".join([*(_option(column, named) for column, named in given.items()), *(f"{m}=COLUMN" for m in missing)])
    plain = (
        ", or --columns text=text to read its text alone"
        if nearest.name == "classification" and "text" in names
        else ""
    )
    return SourceError(
        f"{where}: columns {columns or '(none)'} fit no shape ({wanted}). Nearest is {nearest.name}, {have_not}: "
        f"rename the columns, or say which they are, --columns {option}{plain}"
    )


def _option(column: str, named: Names) -> str:
    return ",".join(f"{column}={name}" for name in ((named,) if isinstance(named, str) else named))


def _called(names: Sequence[str], column: str, known: Sequence[str]) -> list[str]:
    """The columns that could be this one, of these names; one of its own name, in whatever case, before others. Its own
    name counts also where it is not one of them: two columns cannot have it.
    """
    own = [name for name in names if name == column] or [name for name in names if name.casefold() == column]
    others = [name for name in names if name.casefold() in known]
    return own if own and column in known else [*others, *own] if others else []


def _as_pairs(found: Mapping[str, Sequence[Names]]) -> str:
    return ", ".join(_option(column, called[0]) for column, called in found.items())
