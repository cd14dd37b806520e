"""Texts in pieces: what is kept, taken out and put in, between two texts by words and inside them, or by edits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import regex
from rapidfuzz.distance import Levenshtein

from lope_common.shown import changed, neutral

Piece = tuple[str, str, str]
"""(kept, taken out, put in): kept text has empty others, a change has no kept text."""

Run = tuple[str, str]
"""(kind, text): kind is `kept`, `del`, `ins`, or `cut` for a note on what is left out."""

_AROUND = 120  # characters shown on each side of an edit
_CHANGE = 700  # characters shown of one
_CHANGES = 60  # edits shown of one text

_WORD = regex.compile(r"\w+(?:\p{M}|\w)*|\X")
_GRAPHEME = regex.compile(r"\X")
_CELLS = 25_000_000  # of the table of an alignment; what needs more is not aligned
_ALIKE = 0.35  # share of a text that must stay for its changes to be worth distinguishing
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


def before_and_after(pieces: Sequence[Piece]) -> tuple[list[Run], list[Run]]:
    """A changed text before and after, with its edits marked and long stretches without edits cut."""
    clean: list[Run] = []
    noisy: list[Run] = []
    changes = 0
    for i, (kept, before, after) in enumerate(pieces):
        if kept:
            for run in _around(kept, first=i == 0, last=i == len(pieces) - 1):
                clean.append(run)
                noisy.append(run)
            continue
        if changes == _CHANGES:
            left = sum(not kept for kept, _, _ in pieces[i:])
            rest: Run = ("cut", f"… {left:,} more edits …")
            return [*clean, rest], [*noisy, rest]
        changes += 1
        start, end = _same(before, after)
        inner = before[start : len(before) - end], after[start : len(after) - end]
        signs = changed(inner[0][:_CHANGE], inner[1][:_CHANGE], lines=True)
        for side, kind, text, mine, seen in zip(
            (clean, noisy), ("del", "ins"), (before, after), inner, signs, strict=True
        ):
            side += _around(text[:start], first=i == 0, last=False) if start else ()
            side += _change(kind, seen, len(mine) - _CHANGE)
            side += _around(text[len(text) - end :], first=False, last=i == len(pieces) - 1) if end else ()
    return clean, noisy


def _same(before: str, after: str) -> tuple[int, int]:
    """How many characters before and after have in common at the start and at the end, in whole words: of a response of
    which a number was changed all but that number.
    """
    start = _common(before, after)
    end = _common(before[start:][::-1], after[start:][::-1])
    while start and not (_parts(before, start) and _parts(after, start)):
        start -= 1
    while end and not (_parts(before, len(before) - end) and _parts(after, len(after) - end)):
        end -= 1
    return start, end


def _common(one: str, other: str) -> int:
    """How many characters are the same at the start."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def _parts(text: str, place: int) -> bool:
    """Whether a word ends or begins at the place, or the text does."""
    return place in (0, len(text)) or text[place - 1].isspace() or text[place].isspace()


def _around(kept: str, *, first: bool, last: bool) -> Iterator[Run]:
    head, tail = 0 if first else _AROUND, 0 if last else _AROUND
    left_out = len(kept) - head - tail
    if left_out <= _AROUND:
        yield "kept", neutral(kept)
        return
    if head:
        yield "kept", neutral(kept[:head])
    yield "cut", f"… {left_out:,} characters …"
    if tail:
        yield "kept", neutral(kept[-tail:])


def _change(kind: str, seen: str, more: int) -> Iterator[Run]:
    if seen:
        yield kind, seen
    if more > 0:
        yield "cut", f"… {more:,} characters more"
