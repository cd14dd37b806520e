"""What noise must leave alone: protected patterns, short words, and how much of a row may change at most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
import re2
from pydantic import Field, field_validator, model_validator

from lope_common.errors import shown, suggest
from lope_data.models import Strict
from lope_data.text.buffers import Mask
from lope_data.text.cells import Cells
from lope_data.text.draws import I64, ranges

# RE2's syntax: no look-around, and each search takes linear time. The patterns of a name are searched for one by one:
# one that never closes then ends its search once, and not again behind each match of another.
PATTERNS: dict[str, tuple[str, ...]] = {
    "code": (r"(?s)```.*?```", r"(?s)~~~.*?~~~", r"`[^`\n]+`"),
    "email": (r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",),
    "math": (
        r"(?s)\$\$.+?\$\$",
        r"(?s)\\\[.+?\\\]",
        r"(?s)\\\(.+?\\\)",
        r"\$[^\s$](?:[^$\n]*[^\s$])?\$",
        r"\\[A-Za-z]+(?:\{[^{}\n]*\})*",
    ),
    "number": (r"[+-]?\d+(?:[.,:/]\d+)*(?:[eE][+-]?\d+)?%?",),
    "template": (
        r"(?s)\{\{.*?\}\}",
        r"(?s)\{%.*?%\}",
        r"\{[A-Za-z_]\w*\}",
        r"<\|[^|\n]*\|>",
        r"\[/?INST\]",
        r"</?[a-zA-Z_][\w-]*>",
        r"%\(\w+\)s",
    ),
    "url": (r"(?i)\bhttps?://[^\s<>\"]+", r"(?i)\bftp://[^\s<>\"]+", r"(?i)\bwww\.[^\s<>\"]+"),
}


class Protect(Strict):
    """A pattern that no noise touches: `name` one of the built-in ones, or `pattern` in RE2's syntax."""

    name: str | None = None
    pattern: str | None = None

    @field_validator("name")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None and value not in PATTERNS:
            raise ValueError(f"unknown pattern {shown(value)}{suggest(value, PATTERNS)}")
        return value

    @model_validator(mode="after")
    def _check(self) -> Protect:
        if (self.name is None) == (self.pattern is None):
            raise ValueError("needs either a name or a pattern")
        try:
            empty = any(_compiled(expression).search(b"") is not None for expression in self.expressions)
        except re2.error as error:
            reason = error.args[0].decode() if isinstance(error.args[0], bytes) else error
            raise ValueError(f"not a pattern of RE2's syntax, {shown(self.pattern)}: {reason}") from error
        if empty:
            raise ValueError(f"the pattern {shown(self.pattern)} matches the empty text, and so everywhere")
        return self

    @property
    def expressions(self) -> tuple[str, ...]:
        """The patterns that this stands for."""
        return PATTERNS[self.name] if self.name else (str(self.pattern),)


class Constraints(Strict):
    """Limits for every text op.

    Attributes:
        min_word_length: words with fewer characters are left alone.
        max_modification: a ceiling for a row: the shares of its units that the ops of a version change, added up.
    """

    min_word_length: Annotated[int, Field(ge=1, le=1000, strict=True)] = 1
    max_modification: Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False, strict=True)] = 1.0


_NO_CONSTRAINTS = Constraints()


@dataclass(frozen=True)
class Guard:
    """The protected patterns and constraints of a recipe."""

    protect: tuple[Protect, ...] = ()
    constraints: Constraints = _NO_CONSTRAINTS

    @cached_property
    def about(self) -> str:
        """A phrase that follows what an op needs, empty where nothing is guarded."""
        parts = []
        if self.protect:
            parts.append("outside protected text")
        if self.constraints.min_word_length > 1:
            parts.append(f"in words of {self.constraints.min_word_length} characters or more")
        if self.constraints.max_modification < 1:
            parts.append(f"under the ceiling of {self.constraints.max_modification:g}")
        return "".join(f", {part}" for part in parts)

    def bar(self, cells: Cells, protected: Mask | None = None) -> Cells:
        """The cells with the bytes marked that no edit may touch.

        Args:
            protected: what `find` gave of these cells, carried through the edits since.
        """
        barred = self.find(cells) if protected is None else protected
        if self.constraints.min_word_length > 1:
            short = _short_words(cells, self.constraints.min_word_length)
            barred = short if barred is None else barred | short
        return cells if barred is None else replace(cells, barred=barred)

    def find(self, cells: Cells) -> Mask | None:
        """The bytes that the patterns protect, or None where there is no pattern."""
        if not self.protect:
            return None
        found = np.zeros(len(cells.data), np.bool_)
        for start, end in self._matches(cells):
            found[start:end] = True
        return found

    def _matches(self, cells: Cells) -> Iterator[tuple[int, int]]:
        """What the patterns match in each cell, and the byte on either side: an insertion there would join it."""
        data, bounds = cells.data.tobytes(), cells.bounds.tolist()
        for expression in (found for protect in self.protect for found in protect.expressions):
            search = _compiled(expression).finditer
            for low, high in pairwise(bounds):
                for match in search(data[low:high]):
                    start, end = match.span()
                    if start < end:
                        yield low + max(start - 1, 0), low + min(end + 1, high - low)

    def share(self, spent: Any) -> Any:
        """The share of its units that each row may still change, or None without a ceiling."""
        ceiling = self.constraints.max_modification
        return None if ceiling == 1 else ceiling - spent


@cache
def _compiled(expression: str) -> Any:
    options = re2.Options()
    options.never_capture = True  # only the whole match counts; thousands of groups would each cost time
    options.log_errors = False
    return re2.compile(expression, options)


def _short_words(cells: Cells, least: int) -> Mask:
    """The bytes of words with fewer characters than `least`."""
    words = cells.words
    length = cells.numbers(words.end) - cells.numbers(words.start)
    short = np.flatnonzero(length < least)
    start: I64 = words.start[short]
    size = words.end[short] - start
    mask = np.zeros(len(cells.data), np.bool_)
    mask[np.repeat(start, size) + ranges(size)] = True
    return mask
