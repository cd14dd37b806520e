"""The shape that all multiple-choice kinds share."""

from __future__ import annotations

from collections.abc import Iterable

from lope_data.sources.sample_data.draw import Draw, Row

CHOICES = 4


def choice_row(draw: Draw, question: str, right: str, wrong: Iterable[str]) -> Row:
    """The question with `right` at a keyed position among three of `wrong` (`right` and repeats are ignored)."""
    choices = draw.sample(sorted(set(wrong) - {right}), CHOICES - 1)
    answer = draw.below(CHOICES)
    choices.insert(answer, right)
    return {"question": question, "choices": choices, "answer": answer}
