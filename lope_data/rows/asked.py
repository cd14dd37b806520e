"""What a row asks, as a digest: whether a row of one table stands in another one too, whatever its target is."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection

import pyarrow as pa
import xxhash

from lope_data.rows.fields import inputs_of, targets_of

ASKED = pa.binary(16)
"""The type of a digest."""
_CHOICES = "multiple_choice"


def asked_digests(table: pa.Table) -> pa.Array:
    """128 bits of each row: the XXH3-128 hash of its input texts, and of its choices; null where it asks nothing.

    The input texts, those that text noise goes to, are joined in their order; so it does not matter whether a prompt
    stands in one column or in two. Choices count, in any order: many questions of an exam differ in them alone. Texts
    are equal as a canonical caseless match has it (Unicode 16, D145), with any white space for any other.

    Args:
        table: of any shapes; it carries its layout.
    """
    inputs = inputs_of(table)
    pieces: list[list[str]] = [[] for _ in range(len(table))]
    for row, text in zip(inputs.row.tolist(), inputs.values.to_pylist(), strict=True):
        pieces[row].append(text)
    asked = [folded(" ".join(texts)) for texts in pieces]
    targets = targets_of(table, "choice")
    for row, choices in zip(targets.places.tolist(), targets.table["choices"].to_pylist(), strict=True):
        if asked[row]:
            asked[row] = "\n".join([asked[row], *sorted(folded(choice or "") for choice in choices or ())])
    return pa.array([xxhash.xxh3_128_digest(text.encode()) if text else None for text in asked], ASKED)


def folded(text: str) -> str:
    """The text without what a caseless match ignores, and with single spaces."""
    if text.isascii():
        return " ".join(text.lower().split())
    folds = unicodedata.normalize("NFD", text).casefold()
    return " ".join(unicodedata.normalize("NFD", folds).split())


def comparable(shapes: Collection[str], others: Collection[str]) -> bool:
    """Whether a row of one of these shapes can ask what a row of one of the others does: only if both have choices,
    or both have none.
    """
    return bool({shape == _CHOICES for shape in shapes} & {shape == _CHOICES for shape in others})
