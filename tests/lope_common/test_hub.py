"""Ids of the hub."""

from __future__ import annotations

import pytest

from lope_common.errors import LopeError
from lope_common.hub import check_push, is_model_id


@pytest.mark.parametrize("hub_id", ["noisy", "a/b/c", "../x", "a/..", "a/b--c", "a b/c", "a/" + "x" * 97, "", "a/b\n"])
def test_what_is_no_hub_id(hub_id: str) -> None:
    with pytest.raises(LopeError, match="is no hub id"):
        check_push(hub_id, LopeError)


def test_what_can_be_a_model() -> None:
    assert all(map(is_model_id, ("gpt2", "HuggingFaceTB/SmolLM2-135M")))
    assert not any(map(is_model_id, ("", "a/b/c", "/a", "a/", ".a", "a b", "a\n")))
