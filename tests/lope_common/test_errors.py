"""Hints for misspelt names, and values fit for a message."""

from __future__ import annotations

from lope_common.errors import did_you_mean, near, shown, suggest

METHODS = ["lope", "hydralora", "lora", "adalora"]


def test_the_nearest_name_is_suggested() -> None:
    assert suggest("hydralor", METHODS) == did_you_mean("hydralor", METHODS) == "; did you mean 'hydralora'?"
    assert suggest("LoRA", METHODS) == "; did you mean 'lora'?"  # case does not count
    assert near("q_prj", ["q_proj", "v_proj", "mlp"], most=3) == ["q_proj", "v_proj"]


def test_else_the_known_names_are_listed() -> None:
    assert suggest("zzz", METHODS) == "; known: adalora, hydralora, lope, lora"
    assert did_you_mean("zzz", METHODS) == ""
    assert suggest("zzz", []) == "; there are none here"


def test_a_value_for_a_message_is_short_whatever_it_is() -> None:
    assert shown("a\nb") == r"'a\nb'"
    assert len(shown("x" * 10_000)) == 61
    assert shown(10**10_000) == "int"
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    assert shown(nested) == "list"


def test_a_value_is_shown_on_one_line_whatever_its_repr_does() -> None:
    class Table:
        def __repr__(self) -> str:
            return "a\n  b"

    class Broken:
        def __repr__(self) -> str:
            raise KeyError

    assert shown(Table()) == "a b"
    assert shown(Broken()) == "Broken"
    assert shown(["a  b", "c\n"]) == "['a  b', 'c\\n']"
