"""Edits undone in a text that later edits went over, and how the two sides are shown."""

from __future__ import annotations

import random
from typing import Any

import pytest

from lope_data.report.pieces import before_and_after
from lope_data.report.sample_rows import undone


def test_edits_on_edits_are_undone() -> None:
    draw = random.Random(8)  # noqa: S311
    for _ in range(500):
        clean = text = "".join(draw.choice("aé👍 ") for _ in range(draw.randrange(12)))
        edits = []
        for step in range(4):
            cuts = sorted(draw.randrange(len(text) + 1) for _ in range(2 * draw.randrange(4)))
            after = ["".join(draw.choice("xyß") for _ in range(draw.randrange(3))) for _ in cuts[::2]]
            for low, high, new in zip(cuts[::2], cuts[1::2], after, strict=True):
                edits.append(_edit(str(step), len(text[:low].encode()), text[low:high], new))
            for low, high, new in reversed(list(zip(cuts[::2], cuts[1::2], after, strict=True))):
                text = text[:low] + new + text[high:]
        pieces = undone(text, edits)
        assert "".join(kept + before for kept, before, _ in pieces) == clean
        assert "".join(kept + after for kept, _, after in pieces) == text


def _edit(step: str, start: int, before: str, after: str) -> dict[str, Any]:
    return {"step": step, "op": "x", "path": "text", "start": start, "before": before, "after": after}


@pytest.mark.parametrize(
    "edits",
    [
        [_edit("a", 0, "x", "no")],
        [_edit("a", 40, "x", "")],
        [_edit("a", -1, "x", "")],
        [_edit("a", 2, "", "c"), _edit("a", 0, "", "a")],
    ],
)
def test_edits_of_another_text_are_refused(edits: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match="is not at byte"):
        undone("abc", edits)


def test_what_is_long_is_cut_and_white_space_is_seen() -> None:
    long = "word " * 1000
    clean, noisy = before_and_after([(long, "", ""), ("", " ", "\t"), (long, "", ""), ("", "", "x" * 1000)])
    assert [kind for kind, _ in clean] == ["cut", "kept", "del", "kept", "cut", "kept"]
    assert clean[0] == ("cut", "… 4,880 characters …")
    assert clean[2] == ("del", "·")
    assert noisy[2] == ("ins", "⇥\t")
    assert noisy[-2:] == [("ins", "x" * 700), ("cut", "… 300 characters more")]
    assert sum(len(text) for _, text in clean) < 700
    clean, noisy = before_and_after([("", "It is 12 of them.\nYes", "It is 13 of them.\nYes")])
    assert clean == [("kept", "It is "), ("del", "12"), ("kept", " of them.\nYes")]
    assert noisy == [("kept", "It is "), ("ins", "13"), ("kept", " of them.\nYes")]
    assert before_and_after([("", "a a a", "a a")]) == ([("kept", "a a"), ("del", "·a")], [("kept", "a a")])
    assert before_and_after([("", "\u00a0\u200d", "\u202e\n")])[1] == [("ins", "⟨U+202E⟩⏎\n")]
    many = [piece for _ in range(100) for piece in (("k", "", ""), ("", "a", "b"))]
    assert before_and_after(many)[0][-1] == ("cut", "… 40 more edits …")
