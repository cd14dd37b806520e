"""The guide to an op of one's own, followed from an empty folder: its code runs as it stands, and does what it says."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import lope_data
from lope_data import cli
from lope_data.noise import TextOp, all_ops, get_op, import_ops

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/guides/new_op.md").read_text(encoding="utf-8")
OP, IN_PYTHON, LABEL_OP = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
COMMANDS = [line[2:].partition("  #")[0] for line in re.findall(r"^\$ .*$", GUIDE, re.MULTILINE)]


@pytest.fixture
def op(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TextOp]:
    """The guide's op, imported from an empty folder, and gone afterwards."""
    monkeypatch.setattr("lope_data.noise.registry._ops", dict(all_ops()))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shout.py").write_text(OP)
    import_ops("shout.py")
    found = get_op("word.shout")
    assert isinstance(found, TextOp)
    yield found
    monkeypatch.undo()
    all_ops.cache_clear()


def test_the_op_holds_what_every_op_must(op: TextOp) -> None:
    every = _imported("every_op", ROOT / "tests/lope_data/noise/test_every_op.py")
    every.test_changes_every_row_and_replays_both_ways(op)
    every.test_rows_do_not_depend_on_their_neighbours(op)
    every.test_realised_level_is_the_expected_one(op, 0.1)
    every.test_every_place_is_hit(op)


def test_its_commands_run_one_after_the_other(
    op: TextOp, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {shlex.split(command)[3] for command in COMMANDS} == {"ops", "preview", "build", "verify"}
    for command in COMMANDS:
        monkeypatch.setattr(sys, "argv", shlex.split(command)[2:])
        cli.main()
        assert op.name in capsys.readouterr().out or "verify" in command


def test_its_python_runs(op: TextOp) -> None:
    said: dict[str, object] = {}
    exec(IN_PYTHON, said)  # noqa: S102  # the guide's own text
    version = said["version"]
    assert isinstance(version, lope_data.Version)
    assert version.manifest.op_modules == {"word.shout": "shout.py"}
    (shown,) = re.findall(r"1\+[0-9a-f]+", IN_PYTHON)
    assert version.manifest.ops["word.shout"].startswith(shown)
    (noisy,) = lope_data.corrupt(["say it again, quietly"], op.name, level=0.5)
    assert noisy != "say it again, quietly"
    assert noisy.lower() == "say it again, quietly"


def test_its_label_op_runs(op: TextOp, tmp_path: Path) -> None:
    (tmp_path / "positive.py").write_text(LABEL_OP)
    (tmp_path / "rows.csv").write_text("text,label\none text,bad\nanother text,good\na third,bad\n")
    recipe = {"steps": [{"ratio": 0.6, "mix": "label.positive"}]}
    noisy = lope_data.build(recipe, source="rows.csv", imports="positive.py", store=tmp_path / "store")
    assert set(noisy.rows["label"].to_pylist()) == {"good"}
    assert noisy.manifest.touched == 2


def test_files_that_it_names_are_there() -> None:
    named = re.findall(r"`((?:tests|lope_data)/[\w/]+(?:\.py|/))`", GUIDE)
    linked = [link.partition("#")[0] for link in re.findall(r"\]\(\.\./\.\./([^)]+)\)", GUIDE)]
    assert len(named) >= 4
    assert all((ROOT / path).exists() for path in [*named, *linked])


def _imported(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
