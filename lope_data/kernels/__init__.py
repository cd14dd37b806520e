"""The loops that run once for each byte or edit, compiled by Numba: draws, splices, spans, words.

Each does in one pass what takes ten or more in NumPy, which is what sets the speed here (docs/results.md). They are
compiled when they are first imported on a machine (some seconds) and kept beside their modules, as `.pyc` files are.
"""

from lope_data.kernels.compiling import words_of
from lope_data.kernels.draws import distinct, draws_below, text_keys, variants
from lope_data.kernels.neighbours import count_pairs, exchanged, find_pairs, unequal_neighbours
from lope_data.kernels.spans import grapheme_edges, grapheme_numbers, marked, marked_in, of_points, plain, runs
from lope_data.kernels.splicing import gathered, moved, spliced
from lope_data.kernels.words import trimmed, word_numbers, word_table

__all__ = [
    "count_pairs",
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
    "runs",
    "spliced",
    "text_keys",
    "trimmed",
    "unequal_neighbours",
    "variants",
    "word_numbers",
    "word_table",
    "words_of",
]
