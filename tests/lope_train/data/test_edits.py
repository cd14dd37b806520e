"""The ops of each row: of a chain of versions, of the golden records, and of files that cannot be read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lope_train.data import Version, parent, resolve
from lope_train.data.edits import level_of, ops_by_row
from lope_train.errors import VersionError

STORE = Path(__file__).parents[2] / "golden" / "store"
GOLDEN = STORE / "golden" / "3c5e80312d1d3abd"


def test_a_row_has_the_ops_of_its_whole_chain(tiny_store: Path) -> None:
    noisy = resolve("tiny-noisy", tiny_store)
    found = ops_by_row(noisy, tiny_store)
    assert found == {row["lope_row_id"]: tuple(row["lope_ops"]) for row in noisy.dataset() if row["lope_ops"]}
    assert ops_by_row(parent(noisy, tiny_store), tiny_store) == {}


def test_the_golden_records_are_those_of_its_rows() -> None:
    version = resolve(str(GOLDEN))
    found = ops_by_row(version, STORE)
    own = {row["lope_row_id"]: row["lope_ops"] for row in version.dataset()}
    assert all(set(own[row]) <= set(ops) for row, ops in found.items())
    assert {row for row, ops in own.items() if ops} <= found.keys()
    assert {level_of(op) for ops in found.values() for op in ops} == {"char", "word", "label"}


def test_of_two_noisy_versions_the_older_one_s_ops_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Version] = []
    for number, ops in enumerate((["char.b", "char.a", "char.b"], ["word.c", "char.a"])):
        folder = tmp_path / str(number)
        (folder / "edits").mkdir(parents=True)
        pq.write_table(pa.table({"row_id": ["r"] * len(ops), "op": ops}), folder / "edits" / "0.parquet")
        made.append(Version(folder, {"kind": "build", "parents": [{}] * (number + 1)}))
    older, newer = made
    monkeypatch.setattr("lope_train.data.edits.parent", lambda one, _: {newer.path: older}[one.path])
    assert ops_by_row(newer) == {"r": ("char.b", "char.a", "word.c")}


def test_records_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(GOLDEN, tmp_path / "copy"))
    version = Version(copy, {"kind": "ingest", "parents": []})
    next((copy / "edits").glob("*.parquet")).write_bytes(b"no parquet")
    with pytest.raises(VersionError, match=r"edit records cannot be read: .*; build the version again"):
        ops_by_row(version)
