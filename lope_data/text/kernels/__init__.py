"""The loops that run once for each byte or edit, compiled by Numba: draws, splices, spans, words, deals.

Each does in one pass what takes ten or more in NumPy, which is what sets the speed here (docs/results.md). They are
compiled when they are first used on a machine (some seconds) and kept beside their modules, as `.pyc` files are, or
where NUMBA_CACHE_DIR says. Importing Numba takes longer than finding a version that exists, so a kernel's module is
imported with its first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lope_common.progress import Notice
from lope_data.text.kernels.loading import load, telling, without_scipy

if TYPE_CHECKING:
    from lope_data.text.kernels.compiling import words_of
    from lope_data.text.kernels.dealing import dealt
    from lope_data.text.kernels.draws import distinct, draws_below, text_keys, variants
    from lope_data.text.kernels.joining import add_sizes, put_cells
    from lope_data.text.kernels.looking import HAS, UNSURE, heads, numbers, two_words
    from lope_data.text.kernels.neighbours import count_pairs, exchanged, find_pairs, unequal_neighbours
    from lope_data.text.kernels.scanning import PADDING, scanned, top_level
    from lope_data.text.kernels.spans import grapheme_edges, grapheme_numbers, marked, marked_in, of_points, plain, runs
    from lope_data.text.kernels.splicing import gathered, moved, spliced
    from lope_data.text.kernels.words import trimmed, word_numbers, word_table

__all__ = [
    "HAS",
    "PADDING",
    "UNSURE",
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
    "heads",
    "marked",
    "marked_in",
    "moved",
    "numbers",
    "of_points",
    "plain",
    "prepare",
    "prepare_reading",
    "put_cells",
    "runs",
    "scanned",
    "spliced",
    "telling",
    "text_keys",
    "top_level",
    "trimmed",
    "two_words",
    "unequal_neighbours",
    "variants",
    "without_scipy",
    "word_numbers",
    "word_table",
    "words_of",
]

_HOMES = {
    "compiling": ("words_of",),
    "dealing": ("dealt",),
    "draws": ("distinct", "draws_below", "text_keys", "variants"),
    "joining": ("add_sizes", "put_cells"),
    "looking": ("HAS", "UNSURE", "heads", "numbers", "two_words"),
    "neighbours": ("count_pairs", "exchanged", "find_pairs", "unequal_neighbours"),
    "scanning": ("PADDING", "scanned", "top_level"),
    "spans": ("grapheme_edges", "grapheme_numbers", "marked", "marked_in", "of_points", "plain", "runs"),
    "splicing": ("gathered", "moved", "spliced"),
    "words": ("trimmed", "word_numbers", "word_table"),
}


_OF_READING = ("joining", "scanning")  # large sources, for which alone they are loaded


def prepare(notice: Notice) -> None:
    """Loads the kernels of noise now; `notice` is called before they are compiled."""
    with telling(notice):
        for module in _HOMES:
            if module not in _OF_READING:
                load(module)


def prepare_reading() -> None:
    """Loads those now that large sources are read with."""
    for module in _OF_READING:
        load(module)


def __getattr__(name: str) -> Any:
    module = next((module for module, kernels in _HOMES.items() if name in kernels), None)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = vars(load(module))
    globals().update({kernel: found[kernel] for kernel in _HOMES[module]})
    return globals()[name]
