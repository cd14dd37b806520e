"""Words and what may stand in their place: found in a batch whatever their case, and put there in it."""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_data.buffers import binary, byte_class
from lope_data.cells import Cells
from lope_data.edits import Edits
from lope_data.registry import Hits
from lope_data.rng import I64
from lope_data.spans import Spans

_PUNCTUATION = bytes(chr(byte) in string.punctuation for byte in range(256))
_CORE = bytes(chr(byte) not in string.punctuation + "\t\n\v\f\r " for byte in range(256))


@dataclass(frozen=True)
class Lexicon:
    """Word i may become variants[first[i]:first[i + 1]]; words and variants are lower-case ASCII, large_binary."""

    words: pa.Array
    first: I64
    variants: pa.Array

    @classmethod
    def of(cls, entries: Mapping[str, Iterable[str]]) -> Lexicon:
        """From the variants of each word; the word itself is none, and words without any are left out."""
        kept = {word: sorted({*variants} - {word}) for word, variants in sorted(entries.items())}
        words = [word.encode() for word, variants in kept.items() if variants]
        first = np.cumsum([0, *(len(variants) for variants in kept.values() if variants)])
        flat = [variant.encode() for variants in kept.values() for variant in variants]
        return cls(pa.array(words, pa.large_binary()), first, pa.array(flat, pa.large_binary()))

    def units(self, cells: Cells) -> Spans:
        """The words of the batch that are in the lexicon, without the ASCII punctuation around them."""
        start, end = _cores(cells)
        edges = np.empty(2 * len(start) + 2, np.int64)  # what is between words is looked up too: cheaper than a copy
        edges[0], edges[-1] = 0, len(cells.data)
        edges[1:-1:2], edges[2:-1:2] = start, end
        found = np.asarray(pc.is_in(binary(edges, cells.data.tobytes().lower()), self.words))[1::2]
        return Spans(cells.words.first, start, end).select(found)

    def replace(self, hits: Hits) -> Edits:
        """Edits that put a drawn variant in each hit's place, in its case: lower, Capitalised or UPPER."""
        text = hits.text().cast(pa.large_string())
        entry = np.asarray(pc.index_in(pc.ascii_lower(text).cast(pa.large_binary()), self.words)).astype(np.int64)
        first, count = self.first[entry], np.diff(self.first)[entry]
        variant = self.variants.take(pa.array(first + hits.below(count, "variant"))).cast(pa.large_string())
        upper = pc.and_(pc.ascii_is_upper(text), pc.greater(pc.binary_length(text), 1))
        capital = pc.ascii_is_upper(pc.utf8_slice_codeunits(text, 0, 1))
        cased = pc.if_else(capital, pc.ascii_capitalize(variant), variant)
        cased = pc.if_else(upper, pc.ascii_upper(variant), cased)
        return hits.replace(cased.cast(pa.large_binary()))


def _cores(cells: Cells) -> tuple[I64, I64]:
    """Where each word begins and ends without the ASCII punctuation around it; nowhere if it is nothing else."""
    words, data = cells.words, cells.data
    start, end = words.start.copy(), words.end.copy()
    opened = np.flatnonzero(byte_class(data[start], _PUNCTUATION))
    closed = np.flatnonzero(byte_class(data[end - 1], _PUNCTUATION))
    inner = np.flatnonzero(byte_class(data, _CORE))
    begins = np.append(inner, len(data))[np.searchsorted(inner, start[opened])]
    start[opened] = np.minimum(begins, end[opened])
    ends = np.append(-1, inner)[np.searchsorted(inner, end[closed])] + 1
    end[closed] = np.maximum(ends, start[closed])
    return start, end
