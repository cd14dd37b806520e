"""Spans and splices over arbitrary Unicode, against the plain definitions."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pyarrow as pa
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from lope_data.text.buffers import binary
from lope_data.text.cells import Cells
from lope_data.text.edits import Edits, splice

PIECES = [
    "a",
    "b",
    " ",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "é",
    "e\u0301",
    "\u0301",
    "\u200d",
    "👨\u200d👩\u200d👧",
    "🇩🇪",
    "🇫",
    "日本",
]
PIECES += ["ا", "가", "ᄀ", "ᅡ", "ᆨ", "\0", "\u00a0", "\u3000", "\u2028", "\u0085", "\u1680", "!", "𝒳", "क्षि"]
texts = st.lists(st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(max_size=12), max_size=8)


def cells_of(values: list[str], width: int = 1) -> Cells:
    return Cells.of(pa.array(values, pa.string()), np.arange(0, len(values) + 1, width))


def spanned(cells: Cells, kind: str) -> list[str]:
    spans = getattr(cells, kind)
    return [piece.decode() for piece in cells.text(spans.start, spans.end).to_pylist()]


@given(texts)
def test_graphemes_are_those_of_uax29(values: list[str]) -> None:
    cells = cells_of(values)
    assert spanned(cells, "graphemes") == [part for value in values for part in regex.findall(r"\X", value)]
    assert cells.graphemes.count.tolist() == [len(regex.findall(r"\X", value)) for value in values]


def words_of(value: str) -> list[str]:
    """Runs of graphemes that are not all white space."""
    marks = [("x" if regex.search(r"\P{White_Space}", part) else " ", part) for part in regex.findall(r"\X", value)]
    return ["".join(part for _, part in run) for mark, run in groupby(marks, lambda pair: pair[0]) if mark == "x"]


@given(texts)
def test_words_are_runs_between_white_space(values: list[str]) -> None:
    cells = cells_of(values)
    assert spanned(cells, "words") == [word for value in values for word in words_of(value)]
    assert cells.words.count.tolist() == [len(words_of(value)) for value in values]


@given(texts)
def test_rows_of_several_cells_share_no_span(values: list[str]) -> None:
    values = values[: len(values) // 2 * 2]
    cells = cells_of(values, 2)
    for kind in ("graphemes", "words"):
        assert spanned(cells, kind) == spanned(cells_of(values), kind)
    assert cells.rows == len(values) // 2


def test_nulls_and_slices_read_as_their_own_text() -> None:
    cells = Cells.of(pa.array(["skipped", None, "ab", ""])[1:], np.array([0, 3]))
    assert bytes(cells.data) == b"ab"
    assert cells.bounds.tolist() == [0, 0, 2, 2]


@given(st.lists(st.text(max_size=20), min_size=1, max_size=6), st.data())
def test_splice_is_the_plain_replacement(values: list[str], data: st.DataObject) -> None:
    cells = cells_of(values)
    drawn, expected = [], []
    for cell, value in enumerate(values):
        raw = value.encode()
        cuts = sorted(data.draw(st.lists(st.integers(0, len(value)), max_size=6, unique=True)))
        offsets = [len(value[:cut].encode()) for cut in cuts]
        out, at = b"", 0
        for start, end in zip(offsets[::2], offsets[1::2], strict=False):
            after = data.draw(st.text(max_size=3)).encode()
            drawn.append((cell, int(cells.bounds[cell]) + start, int(cells.bounds[cell]) + end, after))
            out += raw[at:start] + after
            at = end
        expected.append((out + raw[at:]).decode())
    cell, start, end, after = (list(column) for column in zip(*drawn, strict=True)) if drawn else ([], [], [], [])
    sizes = np.cumsum([0, *map(len, after)])
    where = np.array(cell, np.int64)
    edits = Edits(where, where, np.array(start, np.int64), np.array(end, np.int64), binary(sizes, b"".join(after)))
    assert splice(cells, edits).to_pylist() == expected


@given(st.text(st.sampled_from("🇩🇪a\u0301\u200d 👩"), max_size=8), st.integers(30, 140), st.text(max_size=4))
def test_long_runs_of_flags_are_cut_where_they_pair_up(before: str, flags: int, after: str) -> None:
    text = before + "🇩" * flags + after
    cells = Cells.of(pa.array([text]))
    units = cells.graphemes
    spans = zip(units.start.tolist(), units.end.tolist(), strict=True)
    assert [text.encode()[low:high].decode() for low, high in spans] == regex.findall(r"\X", text)


@pytest.mark.timeout(60)  # hours, where each flag is counted from the first
def test_a_text_of_flags_is_no_trap() -> None:
    assert Cells.of(pa.array(["🇩" * 100_001])).graphemes.count.tolist() == [50_001]
