"""The loops that run once for each byte or edit, compiled by Numba: draws, splices, spans, words, deals.

Each does in one pass what takes ten or more in NumPy, which is what sets the speed here (docs/results.md). They are
compiled when they are first used on a machine (some seconds) and kept beside their modules, as `.pyc` files are.
Importing Numba takes longer than finding a version that exists, so a kernel's module is imported with its first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lope_data.text.kernels.compiling import words_of
    from lope_data.text.kernels.dealing import dealt
    from lope_data.text.kernels.draws import distinct, draws_below, text_keys, variants
    from lope_data.text.kernels.joining import add_sizes, put_cells
    from lope_data.text.kernels.neighbours import count_pairs, exchanged, find_pairs, unequal_neighbours
    from lope_data.text.kernels.scanning import PADDING, scanned, top_level
    from lope_data.text.kernels.spans import grapheme_edges, grapheme_numbers, marked, marked_in, of_points, plain, runs
    from lope_data.text.kernels.splicing import gathered, moved, spliced
    from lope_data.text.kernels.words import trimmed, word_numbers, word_table

__all__ = [
    "PADDING",
    "add_sizes",
    "count_pairs",
    "dealt",
    "distinct",
    "draws_below",
    "exchanged",
    "find_pairs",
    "gathered",
    "grapheme_edges",
    "grapheme_numbers",
    "marked",
    "marked_in",
    "moved",
    "of_points",
    "plain",
    "put_cells",
    "runs",
    "scanned",
    "spliced",
    "text_keys",
    "top_level",
    "trimmed",
    "unequal_neighbours",
    "variants",
    "word_numbers",
    "word_table",
    "words_of",
]

_MODULES = ("compiling", "dealing", "draws", "joining", "neighbours", "scanning", "spans", "splicing", "words")


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in _MODULES:
            found = vars(importlib.import_module(f"lope_data.text.kernels.{module}"))
            globals().update({kernel: found[kernel] for kernel in __all__ if kernel in found})
    try:
        return globals()[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
