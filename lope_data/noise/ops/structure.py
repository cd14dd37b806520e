"""Noise on the structure of a row: its end, its white space, its punctuation, its fields."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import regex

from lope_data.noise.data.characters import Characters, other_than, utf8
from lope_data.noise.op import Hits, Params
from lope_data.noise.registry import text_op
from lope_data.text.buffers import binary, offsets_and_data
from lope_data.text.cells import Cells
from lope_data.text.edits import Edits
from lope_data.text.spans import Spans


def _tail(cells: Cells, params: Params) -> Spans:  # noqa: ARG001
    """The words of each row after its last barred byte."""
    words = cells.words
    if cells.barred is None or not cells.barred.any():
        return words
    barred = np.concatenate(([-1], np.flatnonzero(cells.barred)))
    last = barred[np.searchsorted(barred, cells.bounds[cells.row_bounds[1:]]) - 1]  # of this row or one before
    return words.select(words.start > np.repeat(last, words.count))


@text_op("structure.truncate", version=1, unit="word", units=_tail, keep=1, pick="last", needs="two words at its end")
def truncate(hits: Hits, params: Params) -> Edits:  # noqa: ARG001
    """Cuts off the end of a row's text

    A unit is a word; of text with protected parts, a word after the last of them. The level is the share of these that
    is cut, always the last ones, each with the white space before it. The first unit stays, as does white space after
    the last word.
    """
    words = hits.cells.words
    index = np.searchsorted(words.start, hits.start)
    start = np.maximum(hits.cells.bounds[hits.cell], np.concatenate((np.zeros(1, np.int64), words.end))[index])
    if hits.cells.barred is not None:  # white space that touches protected text stays
        barred = np.concatenate(([0], np.cumsum(hits.cells.barred)))
        start = np.where(barred[start] == barred[hits.start], start, hits.start)
    return Edits(hits.row, hits.cell, start, hits.end, hits.nothing())


@cache
def _white() -> pa.Array:
    """What white space may become."""
    return pa.array([b" ", b"  ", b"\t", b"\n", "\u00a0".encode()], pa.large_binary())


# What joins a space on one of its sides: a mark after a line break, a prepended sign before one.
_CLINGING = Characters(lambda character: len(regex.findall(r"\X", f" {character} ")) != 3)


def _gaps(cells: Cells, params: Params) -> Spans:  # noqa: ARG001
    """The runs of white space between two words of one cell."""
    words = cells.words
    if not len(words.start):
        return words
    cell = cells.cell_of(words.start)
    inner = np.append(cell[1:] == cell[:-1], False)
    start, end = words.end, np.append(words.start[1:], len(cells.data))
    if not cells.ascii:
        clinging = _CLINGING.units(cells)
        if len(clinging.start):
            inner &= ~np.isin(start, clinging.end) & ~np.isin(end, clinging.start)
    return Spans(words.first, start, end).select(inner)


@text_op(
    "structure.whitespace",
    version=1,
    unit="gap",
    units=_gaps,
    needs="white space between two words of one field",
    local=True,
)
def whitespace(hits: Hits, params: Params) -> Edits:  # noqa: ARG001
    """Replaces the white space between two words by other white space

    A unit is a run of white space between two words of one field. The level is the share of these that becomes a
    space, two spaces, a tab, a line break or a no-break space, whichever it was not. White space that begins or ends a
    field is left alone, and no words are joined.
    """
    return hits.replace(other_than(hits, _white(), "white"))


_PUNCTUATION = Characters(lambda character: regex.fullmatch(r"[\p{P}&&\p{ASCII}]", character, regex.V1) is not None)
_MARKS = utf8(".,;:!?-")


def _punctuation(cells: Cells, params: Params) -> Spans:  # noqa: ARG001
    return _PUNCTUATION.units(cells)


@text_op(
    "structure.punctuation",
    version=1,
    unit="punctuation mark",
    units=_punctuation,
    needs="an ASCII punctuation mark",
    local=True,
)
def punctuation(hits: Hits, params: Params) -> Edits:  # noqa: ARG001
    """Deletes a punctuation mark or replaces it by another one

    A unit is an ASCII punctuation mark (not a symbol such as + or $). The level is the share of these that is changed:
    half are deleted, half become one of . , ; : ! ? - instead. A mark that begins a field is only replaced, so that no
    field is left empty.
    """
    stays = (hits.below(2, "stays") > 0) | (hits.start == hits.cells.bounds[hits.cell])
    _, marks = offsets_and_data(other_than(hits, _MARKS, "mark"))
    sizes = np.concatenate(([0], np.cumsum(stays)))
    return Edits(hits.row, hits.cell, hits.start, hits.end, binary(sizes, marks[stays]))


def _fields(cells: Cells, params: Params) -> Spans:  # noqa: ARG001
    """The cells that hold a word."""
    words = cells.words.start
    said = np.flatnonzero(np.diff(np.searchsorted(words, cells.bounds)))
    return Spans(np.searchsorted(said, cells.row_bounds), cells.bounds[said], cells.bounds[said + 1])


@text_op("structure.drop_field", version=1, unit="field", units=_fields, keep=1, needs="two input fields with text")
def drop_field(hits: Hits, params: Params) -> Edits:  # noqa: ARG001
    """Empties an input field of a row; one stays

    A unit is an input field (of a chat, a user's message) that holds more than white space. The level is the share of
    these that is emptied; a field with protected text is left alone.
    """
    return hits.replace(hits.nothing())


@text_op("structure.duplicate_field", version=1, unit="field", units=_fields, needs="an input field with text")
def duplicate_field(hits: Hits, params: Params) -> Edits:  # noqa: ARG001
    """Says an input field twice, on separate lines

    A unit is an input field (of a chat, a user's message) that holds more than white space. The level is the share of
    these that is said twice, with a line break between; a field with protected text is left alone.
    """
    nothing, line = (pa.scalar(part, pa.large_binary()) for part in (b"", b"\n"))
    again = pc.binary_join_element_wise(hits.text(), nothing, line)
    return Edits(hits.row, hits.cell, hits.start, hits.start, again)
