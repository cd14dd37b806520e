"""Two texts side by side: what is kept, what is taken out and what is put in, by words and inside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import regex
from rapidfuzz.distance import Levenshtein

Piece = tuple[str, str, str]
"""(kept, taken out, put in): kept text has empty others, a change has no kept text."""

_WORD = regex.compile(r"\w+(?:\p{M}|\w)*|\X")
_GRAPHEME = regex.compile(r"\X")
_CELLS = 25_000_000  # of the table of an alignment; what needs more is not aligned
_ALIKE = 0.35  # share of a text that must stay for its changes to be worth telling apart
_ALIKE_WORDS = 0.5  # the same for words inside it


def text_pieces(a: str, b: str) -> list[Piece]:
    """What makes b of a: joined, kept and taken out give a, kept and put in give b. Graphemes are not torn."""
    return list(_joined(_aligned(_WORD.findall(a), _WORD.findall(b), _ALIKE, refine=True)))


def _aligned(a: Sequence[str], b: Sequence[str], alike: float, *, refine: bool) -> list[Piece]:
    head = _equal_at_start(a, b)
    tail = _equal_at_start(a[head:][::-1], b[head:][::-1])
    inner = _changes(a[head : len(a) - tail], b[head : len(b) - tail], refine=refine)
    pieces = [("".join(a[:head]), "", ""), *inner, ("".join(a[len(a) - tail :]), "", "")]
    kept = sum(len(piece[0].strip()) for piece in pieces)
    before, after = "".join(a), "".join(b)
    if before != after and kept < alike * max(len(before), len(after)):
        return [("", before, after)]  # no more in common than by chance: easier to read apart
    return pieces


def _changes(a: Sequence[str], b: Sequence[str], *, refine: bool) -> Iterator[Piece]:
    if not a or not b or len(a) * len(b) > _CELLS:
        yield "", "".join(a), "".join(b)
        return
    for code in Levenshtein.opcodes(a, b):
        before, after = a[code.src_start : code.src_end], b[code.dest_start : code.dest_end]
        if code.tag == "equal":
            yield "".join(before), "", ""
        elif refine and code.tag == "replace":
            inside = _GRAPHEME.findall("".join(before)), _GRAPHEME.findall("".join(after))
            yield from _aligned(*inside, _ALIKE_WORDS, refine=False)
        else:
            yield "", "".join(before), "".join(after)


def _equal_at_start(a: Sequence[str], b: Sequence[str]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _joined(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Neighbouring pieces of a kind as one."""
    last: Piece = ("", "", "")
    for piece in pieces:
        if not any(piece):
            continue
        if any(last) and bool(last[0]) != bool(piece[0]):
            yield last
            last = piece
        else:
            last = (last[0] + piece[0], last[1] + piece[1], last[2] + piece[2])
    if any(last):
        yield last
