"""Noise on characters, which here are graphemes: what a reader sees as one (paper Sec. 3.2.1: NCI, CD)."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import regex
from pydantic import Field, field_validator

from lope_data.noise.data.characters import Variants, other_than, utf8
from lope_data.noise.data.tables import keyboard, keyboard_file
from lope_data.noise.op import Hits, Params
from lope_data.noise.pairs import exchanged, unequal_neighbours
from lope_data.noise.registry import text_op
from lope_data.text.cells import Cells
from lope_data.text.edits import Edits
from lope_data.text.spans import Spans


def _graphemes(cells: Cells, params: Params) -> Spans:  # noqa: ARG001
    return cells.graphemes


def _stands_alone(char: str) -> bool:
    """Whether it is a character of its own wherever it stands."""
    neighbours = ("a", "\uac00", "\u1100", "\U0001f469")
    alone = all(len(regex.findall(r"\X", f"{other}{char}{other}")) == 3 for other in neighbours)
    return alone and regex.fullmatch(r"[\p{C}\p{Regional_Indicator}]", char) is None


class AlphabetParams(Params):
    """Where new characters come from."""

    alphabet: str = Field("abcdefghijklmnopqrstuvwxyz", description="the characters to draw from")

    @field_validator("alphabet")
    @classmethod
    def _separate(cls, value: str) -> str:
        if not value or not all(map(_stands_alone, value)):
            raise ValueError("must hold one or more characters, each of which stands alone")
        return value


@text_op(
    "char.insert",
    version=1,
    unit="character",
    units=_graphemes,
    params=AlphabetParams,
    needs="a character to insert before",
    certain=True,
    local=True,
)
def insert(hits: Hits, params: AlphabetParams) -> Edits:
    """Inserts a noise character before a character (NCI)."""
    letters = _letters(params.alphabet).draw(hits, "letter")
    return Edits(hits.row, hits.cell, hits.start, hits.start, letters)


@text_op(
    "char.delete",
    version=1,
    unit="character",
    units=_graphemes,
    keep=1,
    needs="two characters",
    certain=True,
    local=True,
)
def delete(hits: Hits, params: Params) -> Edits:  # noqa: ARG001
    """Deletes a character (CD); the last one stays."""
    return hits.replace(hits.nothing())


def _unequal_neighbours(cells: Cells, params: Params) -> Spans:  # noqa: ARG001
    return unequal_neighbours(cells, cells.graphemes)


@text_op(
    "char.swap",
    version=1,
    unit="character",
    units=_unequal_neighbours,
    per_hit=2,
    pick="apart",
    counted=_graphemes,
    needs="two neighbouring characters that differ",
    certain=True,
    local=True,
)
def swap(hits: Hits, params: Params) -> Edits:  # noqa: ARG001
    """Swaps two neighbouring characters."""
    return exchanged(hits)


@cache
def _beside() -> Variants:
    return Variants(keyboard())


def _keys(cells: Cells, params: Params) -> Spans:  # noqa: ARG001
    return _beside().units(cells)


@text_op(
    "char.keyboard",
    version=1,
    unit="key",
    units=_keys,
    table=lambda _: keyboard_file(),
    needs="a character that the English keyboard types",
    certain=True,
    local=True,
)
def mistype(hits: Hits, params: Params) -> Edits:  # noqa: ARG001
    """Replaces a character by one beside it on the keyboard (nlpaug's table)."""
    return hits.replace(_beside().draw(hits, "key"))


def _replaceable(cells: Cells, params: AlphabetParams) -> Spans:
    """All characters, but for those that are the only one to draw."""
    units = cells.graphemes
    if len(set(params.alphabet)) > 1:
        return units
    only = pa.scalar(params.alphabet[0].encode(), pa.large_binary())
    return units.select(np.asarray(pc.not_equal(cells.text(units.start, units.end), only)))


@text_op(
    "char.substitute",
    version=1,
    unit="character",
    units=_replaceable,
    params=AlphabetParams,
    needs="a character to replace",
    certain=True,
    local=True,
)
def substitute(hits: Hits, params: AlphabetParams) -> Edits:
    """Replaces a character by another one of an alphabet.

    A unit is a character, white space too; if the alphabet is one letter, a character other than it. The level is the
    share of these that is replaced, never by itself; each other letter of the alphabet is equally likely.
    """
    alphabet = "".join(dict.fromkeys(params.alphabet))
    if not alphabet.isascii():
        return hits.replace(other_than(hits, utf8(alphabet), "letter"))
    return hits.replace(_others(alphabet).draw(hits, "letter"))  # the same by a table of bytes


@cache
def _letters(alphabet: str) -> Variants:
    """For every character the letters of the alphabet."""
    return Variants({}, alphabet)


@cache
def _others(alphabet: str) -> Variants:
    """For each character the letters of an ASCII alphabet that it is not."""
    return Variants({letter: alphabet.replace(letter, "") for letter in alphabet}, alphabet)
