"""Words and what may stand in their place: found in a batch whatever their case, and put there in it."""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_data.noise.op import Hits
from lope_data.text import kernels
from lope_data.text.buffers import Bytes, offsets_and_data
from lope_data.text.cells import Cells
from lope_data.text.draws import I64
from lope_data.text.edits import Edits
from lope_data.text.spans import Spans

_PUNCTUATION = np.array([chr(byte) in string.punctuation for byte in range(256)], np.uint8)


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
        words = cells.words
        start, end = kernels.trimmed(cells.data, words.start, words.end, _PUNCTUATION)
        return Spans(words.first, start, end).select(self._numbers(cells.data, start, end) >= 0)

    def _numbers(self, data: Bytes, start: I64, end: I64) -> I64:
        """The number of the word in each span, or -1."""
        offsets, words = offsets_and_data(self.words)
        return kernels.word_numbers(data, start, end, words, offsets, self._table)

    @cached_property
    def _table(self) -> I64:
        offsets, words = offsets_and_data(self.words)
        return kernels.word_table(words, offsets)

    def replace(self, hits: Hits) -> Edits:
        """Edits that put a drawn variant in each hit's place, in its case: lower, Capitalised or UPPER."""
        text = hits.text().cast(pa.large_string())
        entry = self._numbers(hits.cells.data, hits.start, hits.end)
        first, count = self.first[entry], np.diff(self.first)[entry]
        variant = self.variants.take(pa.array(first + hits.below(count, "variant"))).cast(pa.large_string())
        upper = pc.and_(pc.ascii_is_upper(text), pc.greater(pc.binary_length(text), 1))
        capital = pc.ascii_is_upper(pc.utf8_slice_codeunits(text, 0, 1))
        cased = pc.if_else(capital, pc.ascii_capitalize(variant), variant)
        cased = pc.if_else(upper, pc.ascii_upper(variant), cased)
        return hits.replace(cased.cast(pa.large_binary()))
