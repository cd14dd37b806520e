"""Noise on words: runs of characters between white space (paper Sec. 3.2.1: WOS; ablation: WR)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_data.cells import Cells, Spans
from lope_data.edits import Edits
from lope_data.noise.tables import vocabulary, vocabulary_file
from lope_data.registry import Hits, Params, text_op
from lope_data.rng import I64


def _words(cells: Cells, params: Params) -> Spans:  # noqa: ARG001
    return cells.words


def _words_that_differ(cells: Cells, params: Params) -> Spans:  # noqa: ARG001
    """The words of rows that hold two different ones."""
    words = cells.words
    row = np.repeat(np.arange(cells.rows), words.count)
    leader = words.first[row]
    text = cells.text(words.start, words.end)
    unlike = np.asarray(pc.not_equal(text, text.take(pa.array(leader))))
    mixed = np.bincount(row[unlike], minlength=cells.rows) > 0
    return words.select(mixed[row])


@text_op("word.shuffle", version=1, unit="word", units=_words_that_differ, least=2, needs="two words that differ")
def shuffle(hits: Hits, params: Params) -> Edits:  # noqa: ARG001
    """Moves words to each other's places, in one cycle a row (WOS)."""
    row, index = hits.row, _with_a_difference(hits)
    place = index - hits.units.first[row]
    order = np.lexsort((hits.draw.bits("order", row, place), row))
    last = np.append(row[1:] != row[:-1], True)
    successor = np.where(last, np.searchsorted(row, row), np.arange(len(row)) + 1)  # in its row; the last wraps
    source = np.empty_like(index)
    source[order] = order[successor]
    start, end = hits.units.start[index], hits.units.end[index]
    words = hits.cells.text(start, end).take(pa.array(source))
    return Edits(row, hits.cells.cell_of(start), start, end, words, pa.array(place[source]).cast(pa.string()))


def _with_a_difference(hits: Hits) -> I64:
    """The hits' words; where a row drew only equal ones, the last gives way to the row's first word that differs."""
    index, units, row = hits.index.copy(), hits.units, hits.row
    text = hits.text()
    unlike = np.asarray(pc.not_equal(text, text.take(pa.array(np.searchsorted(row, row)))))
    mixed = np.bincount(row[unlike], minlength=hits.cells.rows) > 0
    for same in np.unique(row[~mixed[row]]).tolist():
        low, high = units.first[same], units.first[same + 1]
        words = hits.cells.text(units.start[low:high], units.end[low:high]).to_pylist()
        mine = np.flatnonzero(row == same)
        word = words[index[mine[0]] - low]
        index[mine[-1]] = low + next(i for i, other in enumerate(words) if other != word)
    return np.sort(index)


@text_op("word.replace", version=1, unit="word", units=_words, table=lambda _: vocabulary_file(), needs="a word")
def replace(hits: Hits, params: Params) -> Edits:  # noqa: ARG001
    """Replaces a word by a random English word (WR; words of nlpaug's spelling table)."""
    words = vocabulary()
    drawn = hits.below(len(words), "word")
    same = np.asarray(pc.equal(words.take(pa.array(drawn)), hits.text()))
    drawn = np.where(same, (drawn + 1) % len(words), drawn)
    return hits.replace(words.take(pa.array(drawn)))


@text_op("word.delete", version=1, unit="word", units=_words, keep=1, needs="two words")
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
    return Edits(hits.row, cell[index], start, end, hits.nothing())
