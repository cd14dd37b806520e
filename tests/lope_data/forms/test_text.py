"""Text: what is one text; nothing is joined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.lope_data.forms.rows import CHOICE, INSTRUCTION, LABELLED, PAIR, TALK, TEXT


def test_rows(converted: Callable[..., Any]) -> None:
    assert converted("text", [TEXT]) == [TEXT]
    assert converted("text", [LABELLED]) == [LABELLED]
    assert converted("text", [{"label": 1, "sentence": "a b"}]) == [{"text": "a b", "label": 1}]


@pytest.mark.parametrize("row", [INSTRUCTION, CHOICE, PAIR, TALK])
def test_what_it_cannot_hold(row: dict[str, Any], refused: Callable[..., str]) -> None:
    assert "rows have no such form; they can be source, " in refused("text", [row])
