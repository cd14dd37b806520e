"""The ops as users see them: `list_ops()` and `python -m lope_data ops`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import lope_data
from lope_data.noise.registry import LEVELS, all_ops

Cli = Callable[..., Any]

ALL = {
    **{
        f"char.{name}": True
        for name in ["insert", "delete", "substitute", "swap", "keyboard", "ocr", "case", "repeat", "homoglyph"]
    },
    **{
        f"word.{name}": True
        for name in ["shuffle", "replace", "delete", "repeat", "swap", "split", "merge", "misspell"]
    },
    "word.synonym": False,
    **{f"label.{name}": True for name in ["flip", "choice", "swap_response", "truncate_response", "near_miss_number"]},
    **{
        f"structure.{name}": True for name in ["truncate", "whitespace", "punctuation", "drop_field", "duplicate_field"]
    },
    "nlpaug": False,
}


def test_every_op_is_listed_and_documented() -> None:
    found = {op.name: op for op in lope_data.list_ops()}
    assert ALL.items() <= {name: op.in_default for name, op in found.items()}.items()
    joined = {name for name, op in found.items() if op.in_default}
    assert joined == {name for name in ALL if ALL[name]}, "an op that joins a level changes the ids of recipes"
    assert list(found) == sorted(found, key=lambda name: (LEVELS.index(name.partition(".")[0]), name))
    for op in found.values():
        assert len(op.summary) > 15, op.name
        assert op.summary[0].isupper(), op.name
        assert op.unit, op.name
        assert op.needs, op.name
        assert op.version >= 1
        assert all(parameter.about for parameter in op.parameters), op.name


def test_public_names_are_there_and_no_others() -> None:
    assert set(lope_data.__all__) == set(inspect.getclosurevars(lope_data.__getattr__).nonlocals["homes"])
    for name in lope_data.__all__:
        assert getattr(lope_data, name)
    with pytest.raises(AttributeError, match="no attribute 'corupt'"):
        lope_data.corupt  # noqa: B018


def test_the_table(lope_data: Cli) -> None:
    run = lope_data("ops")
    assert run.code == 0
    assert all(name in run.out for name in ALL)


@pytest.mark.parametrize("name", sorted(ALL))
def test_the_card_of_each_op(lope_data: Cli, name: str) -> None:
    run = lope_data("ops", name)
    assert run.code == 0, run.err
    for part in (name, "level", "needs", "example", f"python -m lope_data build --mix {name}=1"):
        assert part in run.out
    assert "noisy:" in run.out or "not here" in run.out  # WordNet may be missing
    assert ("noisy:" in run.out) or name == "word.synonym"
    for parameter in all_ops()[name].params.model_fields:
        assert parameter in run.out


def test_an_unknown_op_is_one_line(lope_data: Cli) -> None:
    run = lope_data("ops", "char.delte")
    assert run.code == 2
    own = "(an op of your own: --import FILE.py, or imports=)"
    assert run.err == f"error: unknown op 'char.delte'; did you mean 'char.delete'? {own}\n"
    assert run.out == ""


def test_an_op_that_the_example_has_nothing_for_says_so(lope_data: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"instruction": "no marks here", "input": "", "output": "none"}]
    monkeypatch.setattr("lope_data.report.op_card._EXAMPLES", {"text": rows})
    shown = lope_data("ops", "structure.punctuation")
    assert shown.code == 0
    assert "not here: the example lacks an ASCII punctuation mark" in " ".join(shown.out.split())
