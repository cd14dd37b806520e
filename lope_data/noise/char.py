"""Noise on characters, which here are graphemes: what a reader sees as one (paper Sec. 3.2.1: NCI, CD)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import regex
from pydantic import Field, field_validator

from lope_data.cells import Cells, Spans, binary, gather, offsets_and_data
from lope_data.edits import Edits
from lope_data.noise.tables import keyboard, keyboard_file
from lope_data.registry import Hits, Params, text_op


def _graphemes(cells: Cells, params: Params) -> Spans:  # noqa: ARG001
    return cells.graphemes


class AlphabetParams(Params):
    """Where new characters come from."""

    alphabet: str = Field("abcdefghijklmnopqrstuvwxyz", description="the characters to draw from")

    @field_validator("alphabet")
    @classmethod
    def _stands_alone(cls, value: str) -> str:
        if not value or not all(regex.fullmatch(r"[^\p{M}\p{C}\p{Regional_Indicator}]", char) for char in value):
            raise ValueError("must hold one or more characters, each of which stands alone")
        return value


@text_op(
    "char.insert",
    version=1,
    unit="character",
    units=_graphemes,
    params=AlphabetParams,
    needs="a character to insert before",
)
def insert(hits: Hits, params: AlphabetParams) -> Edits:
    """Inserts a noise character before a character (NCI)."""
    alphabet = pa.array([char.encode() for char in params.alphabet], pa.large_binary())
    letters = alphabet.take(pa.array(hits.below(len(alphabet), "letter")))
    return Edits(hits.row, hits.cells.cell_of(hits.start), hits.start, hits.start, letters)


@text_op("char.delete", version=1, unit="character", units=_graphemes, keep=1, needs="two characters")
def delete(hits: Hits, params: Params) -> Edits:  # noqa: ARG001
    """Deletes a character (CD); the last one stays."""
    return hits.replace(hits.nothing())


def _unequal_neighbours(cells: Cells, params: Params) -> Spans:  # noqa: ARG001
    """Pairs of neighbouring characters which differ, in one cell."""
    units = cells.graphemes
    start, middle, end = units.start[:-1], units.end[:-1], units.end[1:]
    differs = cells.cell_of(start) == cells.cell_of(middle)
    first, second = middle - start, end - middle
    single = (first == 1) & (second == 1)
    differs &= ~single | (cells.data[start] != cells.data[np.minimum(middle, len(cells.data) - 1)])
    wide = np.flatnonzero((first == second) & ~single)
    if len(wide):
        left = gather(cells.data, start[wide], middle[wide])
        differs[wide] &= np.asarray(pc.not_equal(left, gather(cells.data, middle[wide], end[wide])))
    index = np.flatnonzero(differs)
    return Spans(np.searchsorted(index, units.first), start[index], end[index])


@text_op(
    "char.swap",
    version=1,
    unit="character",
    units=_unequal_neighbours,
    per_hit=2,
    pick="apart",
    counted=_graphemes,
    needs="two neighbouring characters that differ",
)
def swap(hits: Hits, params: Params) -> Edits:  # noqa: ARG001
    """Swaps two neighbouring characters."""
    units = hits.cells.graphemes
    middle = hits.start + 1 if hits.cells.ascii else units.end[np.searchsorted(units.start, hits.start)]
    halves = gather(
        hits.cells.data,
        np.stack((middle, hits.start), 1).ravel(),
        np.stack((hits.end, middle), 1).ravel(),
    )
    offsets, data = offsets_and_data(halves)
    return hits.replace(binary(offsets[::2], data))


def _keys(cells: Cells, params: Params) -> Spans:  # noqa: ARG001
    units = cells.graphemes
    count, _ = keyboard()
    if cells.ascii:
        return units.select(count[cells.data] > 0)
    return units.select((units.end - units.start == 1) & (count[cells.data[units.start]] > 0))


@text_op(
    "char.keyboard",
    version=1,
    unit="key",
    units=_keys,
    table=lambda _: keyboard_file(),
    needs="a character that the English keyboard types",
)
def mistype(hits: Hits, params: Params) -> Edits:  # noqa: ARG001
    """Replaces a character by one beside it on the keyboard (nlpaug's table)."""
    count, near = keyboard()
    key = hits.cells.data[hits.start]
    typed = near[key, hits.below(count[key], "key")]
    return hits.replace(binary(np.arange(len(key) + 1), typed))
