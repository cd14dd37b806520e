"""Texts of a dataset made fit to be seen: nothing that reorders or hides them, edits marked, what is long cut short."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lope_data.report.side_by_side import Piece

Run = tuple[str, str]
"""(kind, text): kind is `kept`, `del`, `ins`, or `cut` for a note on what is left out."""

_BIDI = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_BREAKS = (0x85, 0x2028, 0x2029)
_NEUTRAL: dict[int, str] = (
    {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\n\t"}
    | {0x7F: "␡"}
    | {code: f"⟨U+{code:04X}⟩" for code in (*range(0x80, 0xA0), *_BIDI, *_BREAKS)}
)
_HIDDEN = (0xA0, 0xAD, 0x1680, *range(0x2000, 0x200C), 0x202F, 0x205F, 0x2060, 0x3000, 0xFEFF)  # spaces, zero widths
_JOINERS = {code: f"⟨U+{code:04X}⟩" for code in (0x200C, 0x200D)}  # seen in what they join, unless they are alone
_EDITED = _NEUTRAL | {code: f"⟨U+{code:04X}⟩" for code in _HIDDEN} | {9: "⇥\t", 10: "⏎\n", 13: "␍"}

_AROUND = 120  # characters shown on each side of an edit
_CHANGE = 700  # characters shown of one
_CHANGES = 60  # edits shown of one text


def neutral(text: str) -> str:
    """The text with control and bidirectional characters as signs; line breaks and tabs stay."""
    return text.translate(_NEUTRAL)


def edited(text: str) -> str:
    """What an edit took or put there: neutral, and white space that could not be seen as signs too."""
    inner = text.strip(" ")
    if not inner:
        return "·" * len(text)
    left = len(text) - len(text.lstrip(" "))
    shown = inner.translate(_EDITED)
    if all(ord(char) in _JOINERS for char in inner):
        shown = inner.translate(_JOINERS)
    return "·" * left + shown + "·" * (len(text) - left - len(inner))


def brief(text: str, most: int) -> str:
    """The text, or as much of it and an ellipsis."""
    return text if len(text) <= most else text[:most] + "…"


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
        for side, kind, text in ((clean, "del", before), (noisy, "ins", after)):
            last = len(text) - end
            side += _around(text[:start], first=i == 0, last=False) if start else ()
            side += _change(kind, text[start:last])
            side += _around(text[last:], first=False, last=i == len(pieces) - 1) if end else ()
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


def _change(kind: str, text: str) -> Iterator[Run]:
    if not text:
        return
    yield kind, edited(text[:_CHANGE])
    if len(text) > _CHANGE:
        yield "cut", f"… {len(text) - _CHANGE:,} characters more"
