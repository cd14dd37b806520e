"""Fixtures of the data half: a store, a runner for the command line, and rows of every shape."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas  # noqa: F401  # so that a verb run in this process leaves pyarrow's knowledge of it as it is
import pyarrow as pa
import pytest

from lope_data import cli
from lope_data.builds import Options, build, ingest
from lope_data.noise import all_ops
from lope_data.recipe import Recipe
from lope_data.rows import Columns, ingest_table
from lope_data.store import Store, Version


@dataclass(frozen=True)
class Run:
    """What a call of the command line left behind."""

    code: int
    out: str
    err: str

    @property
    def refusal(self) -> str:
        """The one line of a user's error."""
        assert (self.code, self.out) == (2, "")
        (line,) = self.err.splitlines()
        return line

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.out.strip().splitlines()[-1]))


@pytest.fixture
def lope_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Run]:
    """Runs `python -m lope_data ARGS` in this process, in a folder of its own, with the hub out of reach."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOPE_STORE", raising=False)

    def run(*args: str | Path) -> Run:
        monkeypatch.setattr(sys, "argv", ["lope_data", *map(str, args)])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Run(code, *capsys.readouterr())

    return run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def old_store(store: Store, tmp_path: Path) -> Store:
    """A store with the manifests of two versions of format 1, `rows` and `golden` on it; rows.jsonl is beside it."""
    old = Path(__file__).parent / "store" / "format_1"
    shutil.copytree(old / "store", store.root)
    shutil.copy(old / "rows.jsonl", tmp_path)
    return store


@pytest.fixture
def options(store: Store) -> Options:
    return Options(store, workers=1, shard_rows=1000)


@pytest.fixture
def sample(options: Options) -> Version:
    """The embedded sample, ingested."""
    return ingest("sample", Recipe(), None, options)


@pytest.fixture
def make_recipe() -> Callable[..., Recipe]:
    """A recipe of one step: `make_recipe(ratio=0.2, seed=1)`."""

    def make(seed: int = 614, **step: Any) -> Recipe:
        return Recipe.model_validate({"seed": seed, "steps": [step]})

    return make


@pytest.fixture
def noisy(sample: Version, options: Options, make_recipe: Callable[..., Recipe]) -> Callable[..., Version]:
    """Builds a version of the sample: `noisy(ratio=0.2)`."""

    def make(parent: Version = sample, name: str | None = None, **keys: Any) -> Version:
        return build(parent, make_recipe(**keys), name, options)

    return make


@pytest.fixture
def ingest_rows() -> Callable[..., pa.Table]:
    """Canonical rows from plain ones."""

    def make(rows: list[dict[str, Any]], shape: str | None = None, columns: Columns | None = None) -> pa.Table:
        names = list(dict.fromkeys(name for row in rows for name in row))
        table = pa.table({name: [row.get(name) for row in rows] for name in names})
        return ingest_table(table, "rows", shape, columns or Columns(), None, 0)

    return make


@pytest.fixture
def own_ops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Writes a file that registers `word.shout`, in the working directory: `own_ops("shout.py", edit="return 5")`.

    What is imported is forgotten afterwards.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lope_data.noise.registry._ops", dict(all_ops()))
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(name: str, /, **changed: str) -> str:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(SHOUT.format(**(PARTS | changed)))
        return name

    yield write
    monkeypatch.undo()
    all_ops.cache_clear()
    for module, held in list(sys.modules.items()):
        if str(getattr(held, "__file__", None)).startswith(str(tmp_path)) or module.partition(".")[0] == "acme":
            del sys.modules[module]


PARTS = {
    "top": "",
    "name": "word.shout",
    "more": "",
    "units": "return w",
    "edit": "return hits.replace(pc.utf8_upper(hits.text().cast(pa.large_string())))",
}
SHOUT = """import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_data.noise import Edits, Params, Spans, text_op
{top}

def units(cells, params):
    w = cells.words
    {units}


@text_op("{name}", version=1, unit="word", units=units, needs="a word"{more})
def shout(hits, params):
    \"\"\"Writes a word in capitals.\"\"\"
    {edit}
"""
