"""Noise on words: runs of characters between white space (paper Sec. 3.2.1: WOS; ablation: WR)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_data.noise.data.tables import vocabulary, vocabulary_file
from lope_data.noise.op import Hits, Params
from lope_data.noise.pairs import exchanged, unequal_neighbours
from lope_data.noise.registry import text_op
from lope_data.text.buffers import binary, offsets_and_data
from lope_data.text.cells import Cells
from lope_data.text.draws import I64, Draw, ranges, row_hashes
from lope_data.text.edits import Edits
from lope_data.text.spans import Spans


def _words(cells: Cells, params: Params) -> Spans:  # noqa: ARG001
    return cells.words


def _words_that_differ(cells: Cells, params: Params) -> Spans:  # noqa: ARG001
    """The words of rows that hold two different ones; one that may not be touched makes no difference."""
    words = cells.open(cells.words)
    row = np.repeat(np.arange(cells.rows), words.count)
    leader = words.first[row]
    text = cells.text(words.start, words.end)
    unlike = np.asarray(pc.not_equal(text, text.take(pa.array(leader))))
    mixed = np.bincount(row[unlike], minlength=cells.rows) > 0
    return words.select(mixed[row])


@text_op(
    "word.shuffle", version=3, unit="word", units=_words_that_differ, least=2, needs="two words that differ", local=True
)
def shuffle(hits: Hits, params: Params) -> Edits:  # noqa: ARG001
    """Moves words to each other's places (WOS).

    A unit is a word of a row that holds two different ones, in any of its texts; level is the share of words that move.
    White space stays. A word never moves to the place of an equal one, unless one word has more than half of the
    places that were drawn; a record's detail is the place of the word in its row, from 0, where the new one stood.
    """
    row, index = hits.row, _balanced(hits)
    place = index - hits.units.first[row]
    start, end = hits.units.starts(index), hits.units.ends(index)
    text = hits.cells.text(start, end)
    source = _source(hits.draw, row, place, text)
    return Edits(
        row,
        hits.cells.cell_of(start),
        start,
        end,
        text.take(pa.array(source)),
        pa.array(place[source]).cast(pa.string()),
    )


def _source(draw: Draw, row: I64, place: I64, text: pa.Array) -> I64:
    """For each drawn word, which of its row's takes its place.

    The words of a row are put in a keyed order with equal ones side by side, and each gives way to the one that stands
    as many places on as the most frequent word has: none to an equal one, unless one has more than half.
    """
    codes = text.dictionary_encode()
    code = np.asarray(codes.indices).astype(np.int64)
    group = draw.bits("group", row, row_hashes(codes.dictionary)[code].view(np.int64))
    order = np.lexsort((draw.bits("order", row, place), group, row))
    first = np.flatnonzero(np.append(True, (row[1:] != row[:-1]) | (code[order][1:] != code[order][:-1])))
    largest = np.zeros(int(row[-1]) + 1, np.int64)
    np.maximum.at(largest, row[first], np.diff(np.append(first, len(row))))
    low, count = np.searchsorted(row, row), np.bincount(row)[row]
    source = np.empty_like(order)
    source[order] = order[low + (np.arange(len(row)) - low + largest[row]) % count]
    return source


def _balanced(hits: Hits) -> I64:
    """The hits' words; where one word has more than half of a row's hits, its surplus, which could only take the place
    of equal ones, gives way to the row's other words: those drawn least often first, else any.
    """
    drawn, units, row = hits.index, hits.units, hits.row
    half = np.bincount(row, minlength=hits.cells.rows) // 2
    pair, count = np.unique(row * len(drawn) + _codes(hits.text()), return_counts=True)
    stuck = np.unique((pair // len(drawn))[count > half[pair // len(drawn)]])
    if not len(stuck):
        return drawn
    size = units.count[stuck]
    local = np.repeat(np.arange(len(stuck)), size)
    every = units.first[stuck][local] + ranges(size)
    code = _codes(hits.cells.text(units.starts(every), units.ends(every)))
    hit = np.isin(every, drawn)
    _, word = np.unique(local * len(every) + code, return_inverse=True)  # the words of each row, numbered
    often = np.bincount(word, hit).astype(np.int64)[word]
    most = np.zeros(len(stuck), np.int64)
    np.maximum.at(most, local, often)
    leads = often == most[local]  # of one word, as it has more than half
    random = hits.draw.bits("instead", stuck[local], every - units.first[stuck][local])
    spare = np.bincount(local[~leads & ~hit], minlength=len(stuck))
    wanted = np.minimum(most - half[stuck], spare)
    order = np.lexsort((random, often, hit | leads, local))
    comes = order[ranges(wanted) + np.repeat(np.cumsum(size) - size, wanted)]
    order = np.lexsort((random, ~(hit & leads), local))
    goes = order[ranges(wanted) + np.repeat(np.cumsum(size) - size, wanted)]
    return np.sort(np.concatenate((drawn[~np.isin(drawn, every[goes])], every[comes])))


def _codes(text: pa.Array) -> I64:
    """A number for each text, the same for equal ones."""
    return np.asarray(text.dictionary_encode().indices).astype(np.int64)


@text_op(
    "word.replace", version=1, unit="word", units=_words, table=lambda _: vocabulary_file(), needs="a word", local=True
)
def replace(hits: Hits, params: Params) -> Edits:  # noqa: ARG001
    """Replaces a word by a random English word (WR; words of nlpaug's spelling table)."""
    words = vocabulary()
    drawn = hits.below(len(words), "word")
    same = np.asarray(pc.equal(words.take(pa.array(drawn)), hits.text()))
    drawn = np.where(same, (drawn + 1) % len(words), drawn)
    return hits.replace(words.take(pa.array(drawn)))


@text_op("word.repeat", version=1, unit="word", units=_words, needs="a word", local=True)
def repeat(hits: Hits, params: Params) -> Edits:  # noqa: ARG001
    """Says a word twice.

    A unit is a word; level is the share of words that are repeated, once each. A space parts the two, whatever stands
    between the other words.
    """
    offsets, data = offsets_and_data(hits.text())
    after = binary(offsets + np.arange(len(offsets)), np.insert(data, offsets[1:], 0x20))
    return Edits(hits.row, hits.cell, hits.start, hits.start, after)


def _pairs(cells: Cells) -> tuple[Spans, I64]:
    """The white space between every two words of one cell, and which word stands before it."""
    words = cells.words
    cell = cells.cell_of(words.start)
    index = np.flatnonzero(cell[1:] == cell[:-1])
    return Spans(np.searchsorted(index, words.first), words.end[index], words.start[index + 1]), index


def _unequal_neighbours(cells: Cells, params: Params) -> Spans:  # noqa: ARG001
    return unequal_neighbours(cells, cells.words)


@text_op(
    "word.swap",
    version=1,
    unit="word",
    units=_unequal_neighbours,
    per_hit=2,
    pick="apart",
    counted=_words,
    needs="two neighbouring words that differ",
    certain=True,
    local=True,
)
def swap(hits: Hits, params: Params) -> Edits:  # noqa: ARG001
    """Swaps two neighbouring words.

    A unit is a word; level is the share of words that change places, two a swap. Words of different texts are no
    neighbours, equal ones are left alone, and so is the white space between the two.
    """
    return exchanged(hits)


def _divisible(cells: Cells, params: Params) -> Spans:  # noqa: ARG001
    """The words of two characters or more."""
    words = cells.words
    return words.select(cells.numbers(words.end) - cells.numbers(words.start) > 1)


@text_op(
    "word.split",
    version=1,
    unit="word of two characters or more",
    units=_divisible,
    needs="a word of two characters",
    local=True,
)
def split(hits: Hits, params: Params) -> Edits:  # noqa: ARG001
    """Puts a space inside a word, between two of its characters.

    A unit is a word of two characters or more; level is the share of these that are split, once each. Every place
    between two characters, which are graphemes, is equally likely.
    """
    low, high = hits.cells.numbers(hits.start), hits.cells.numbers(hits.end)
    cut = hits.cells.graphemes.starts(low + 1 + hits.below(high - low - 1, "cut"))
    space = binary(np.arange(len(cut) + 1), b" " * len(cut))
    return Edits(hits.row, hits.cell, cut, cut, space)


def _gaps(cells: Cells, params: Params) -> Spans:  # noqa: ARG001
    return _pairs(cells)[0]


@text_op("word.merge", version=1, unit="gap", units=_gaps, needs="two words in one text", local=True)
def merge(hits: Hits, params: Params) -> Edits:  # noqa: ARG001
    """Joins two neighbouring words: the white space between them goes.

    A unit is a gap, the white space between two words of one text; level is the share of gaps that are closed. White
    space before the first word and after the last is left alone.
    """
    return hits.replace(hits.nothing())


@text_op("word.delete", version=1, unit="word", units=_words, keep=1, needs="two words", local=True)
def delete(hits: Hits, params: Params) -> Edits:  # noqa: ARG001
    """Deletes a word with the white space that parts it from the next; one word stays."""
    words = hits.cells.words  # all of them: a barred word, too, is a neighbour
    index = np.searchsorted(words.start, hits.start)
    cell = hits.cells.cell_of(words.start)
    has_next = np.append(cell[1:] == cell[:-1], False)
    has_previous = np.append(False, has_next[:-1])
    # Deleted words that end a cell have no white space after them to take: they take what is before them instead.
    run = np.cumsum(np.append(True, (np.diff(index) != 1) | ~has_next[index[:-1]])) - 1
    run_end = np.append(np.flatnonzero(np.diff(run)), len(index) - 1)
    at_tail = ~has_next[index[run_end]][run]
    start = np.where(at_tail & has_previous[index], words.end[index - 1], words.start[index])
    following = words.start[np.minimum(index + 1, len(words.start) - 1)]
    end = np.where(at_tail | ~has_next[index], words.end[index], following)
    if hits.cells.barred is not None:  # white space that is protected, or next to what is, stays
        before = np.concatenate(([0], np.cumsum(hits.cells.barred)))
        start = np.where(before[start] == before[words.start[index]], start, words.start[index])
        end = np.where(before[end] == before[words.end[index]], end, words.end[index])
    return Edits(hits.row, cell[index], start, end, hits.nothing())
