"""The guide to a new op: its code runs as it stands, and holds what every op must."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import lope_data
from lope_data.noise import TextOp, all_ops, get_op

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/guides/new_op.md").read_text(encoding="utf-8"), re.DOTALL)


def imported(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def op(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TextOp]:
    """The guide's op, registered, and gone afterwards."""
    before = all_ops()
    monkeypatch.setattr("lope_data.noise.registry._ops", dict(before))
    (tmp_path / "shout.py").write_text(BLOCKS[0])
    imported("guide_shout", tmp_path / "shout.py")
    (name,) = all_ops().keys() - before.keys()
    found = get_op(name)
    assert isinstance(found, TextOp)
    yield found
    monkeypatch.undo()
    all_ops.cache_clear()


def test_the_op_holds_what_every_op_must(op: TextOp) -> None:
    every = imported("every_op", ROOT / "tests/lope_data/noise/test_every_op.py")
    every.test_changes_every_row_and_replays_both_ways(op)
    every.test_rows_do_not_depend_on_their_neighbours(op)
    every.test_realised_level_is_the_expected_one(op, 0.1)
    every.test_every_place_is_hit(op)


def test_the_example_runs(op: TextOp) -> None:
    assert op.name in {info.name for info in lope_data.list_ops()}
    assert op.name in BLOCKS[1]
    (noisy,) = lope_data.corrupt(["say it again, quietly"], op.name, level=0.5)
    assert noisy != "say it again, quietly"
    assert noisy.lower() == "say it again, quietly"


def test_all_its_steps_are_there() -> None:
    text = (ROOT / "docs/guides/new_op.md").read_text(encoding="utf-8")
    assert re.findall(r"^(\d+)\.", text, re.MULTILINE) == [str(i) for i in range(1, 11)]
    for path in re.findall(r"`((?:tests|lope_data)/[\w/]+\.py)`", text):
        assert (ROOT / path).is_file()
