"""Noise on characters that depends on what they look like: OCR errors, homoglyphs, case, repetition."""

from __future__ import annotations

from functools import cache

import numpy as np
import regex

from lope_data.noise.data.characters import Characters, Variants, utf8
from lope_data.noise.data.confusables import HOMOGLYPHS, homoglyph_bytes
from lope_data.noise.data.tables import ocr_file, ocr_table
from lope_data.noise.op import Hits, Params
from lope_data.noise.registry import text_op
from lope_data.text.buffers import binary
from lope_data.text.cells import Cells
from lope_data.text.edits import Edits
from lope_data.text.spans import Spans


@cache
def _misread() -> Variants:
    return Variants(ocr_table())


@cache
def _alike() -> Variants:
    return Variants(HOMOGLYPHS)


def _misreadable(cells: Cells, params: Params) -> Spans:  # noqa: ARG001
    return _misread().units(cells)


@text_op(
    "char.ocr",
    version=1,
    unit="character",
    units=_misreadable,
    table=lambda _: ocr_file(),
    needs="a character that the table of OCR errors knows",
    local=True,
)
def misread(hits: Hits, params: Params) -> Edits:  # noqa: ARG001
    """Replaces a character by one that optical character recognition takes it for (nlpaug's table)

    A unit is a character of the table, in either direction: ASCII letters and digits that look alike, and @ and &.
    The level is the share of these that is replaced; every other character is left alone.
    """
    return hits.replace(_misread().draw(hits, "variant"))


def _with_homoglyph(cells: Cells, params: Params) -> Spans:  # noqa: ARG001
    return _alike().units(cells)


@text_op(
    "char.homoglyph",
    version=1,
    unit="letter",
    units=_with_homoglyph,
    table=lambda _: homoglyph_bytes(),
    needs="a Latin letter that another letter looks the same as",
    local=True,
)
def homoglyph(hits: Hits, params: Params) -> Edits:  # noqa: ARG001
    """Replaces a Latin letter by a Cyrillic or Greek one that looks the same

    A unit is an ASCII letter that the table of confusables knows, standing without a combining mark. The level is the
    share of these that is replaced; every other character is left alone.
    """
    return hits.replace(_alike().draw(hits, "variant"))


def _has_two_cases(character: str) -> bool:
    swapped = character.swapcase()
    return len(character) == len(swapped) == 1 and swapped != character and swapped.swapcase() == character


_CASED = Characters(_has_two_cases)


def _cased(cells: Cells, params: Params) -> Spans:  # noqa: ARG001
    return _CASED.units(cells)


@text_op("char.case", version=1, unit="letter", units=_cased, needs="a letter with two cases", local=True)
def case(hits: Hits, params: Params) -> Edits:  # noqa: ARG001
    """Switches the case of a letter

    A unit is a letter of one code point whose other case is one code point too and switches back to it. The level is
    the share of these that is switched; letters such as ß and the dotless i, and letters with combining marks, are
    left alone.
    """
    if hits.cells.ascii:
        return hits.replace(binary(np.arange(len(hits.row) + 1), hits.cells.data[hits.start] ^ np.uint8(0x20)))
    letters = hits.text().dictionary_encode()
    swapped = utf8("".join(letter.decode().swapcase() for letter in letters.dictionary.to_pylist()))
    return hits.replace(swapped.take(letters.indices))


def _stays_apart(character: str) -> bool:
    """Whether it is no white space and its copy is a character of its own."""
    white = regex.fullmatch(r"\p{White_Space}+", character)
    return white is None and len(regex.findall(r"\X", character * 2)) == 2


_REPEATABLE = Characters(_stays_apart)


def _repeatable(cells: Cells, params: Params) -> Spans:  # noqa: ARG001
    return _REPEATABLE.units(cells)


@text_op("char.repeat", version=1, unit="character", units=_repeatable, needs="a character to type twice", local=True)
def repeat(hits: Hits, params: Params) -> Edits:  # noqa: ARG001
    """Types a character twice

    A unit is a character that is no white space. The level is the share of these that gets a copy beside it. Left
    alone are those that a copy would merge with: half flags, conjoining jamo, marks that nothing carries.
    """
    return Edits(hits.row, hits.cell, hits.start, hits.start, hits.text())
