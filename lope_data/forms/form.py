"""What a form is, and what it makes a row of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


class Misfit(Exception):  # noqa: N818  # no error yet: misfits are counted
    """A row that a form cannot hold. The message says why, to go after the row's id; `todo` says what holds it, where
    that is not what the form says.
    """

    def __init__(self, why: str, todo: str = "") -> None:
        super().__init__(why)
        self.todo = todo


@dataclass(frozen=True)
class Row:
    """A row as plain Python values.

    Attributes:
        has: what its shape has -> the value, None where the row or the source has none: `label` is a text, `answer` the
            number of a choice, `choices` a list; all else is as the source has it.
        columns: which of these the source has columns for.
    """

    shape: str
    has: Mapping[str, Any]
    columns: frozenset[str]


@dataclass(frozen=True)
class Form:
    """A form.

    Attributes:
        name: what it is asked for by.
        about: what a row is in it, for help.
        keys: the names that it may give a row, in order.
        takes: shape -> what of it goes into these; the source's other columns stay beside them. A shape that is not
            here has no such form. None: the source's own form, which takes nothing and converts nothing.
        convert: the values of these names for a row of such a shape. Raises Misfit.
        instead: what holds the rows that it cannot, for messages.
    """

    name: str
    about: str
    keys: tuple[str, ...] = ()
    takes: Mapping[str, tuple[str, ...]] | None = None
    convert: Callable[[Row], dict[str, Any]] = field(default=lambda _: {})
    instead: str = "--as source holds every row"

    @property
    def is_source(self) -> bool:
        return self.takes is None
