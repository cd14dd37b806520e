"""Curated versions of many rows: made part after part, in little memory, resumed when killed, and read back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import lope_data as library
from lope_common.progress import silent
from lope_data.builds.curation import derived
from lope_data.builds.replay import replay
from lope_data.errors import StoreError
from lope_data.store import Version, verify_version

ROWS = 9000  # of several blocks, the last one shorter
MIXED = [
    {"text": f"text {n}", "label": "abc"[n % 3]} if n % 4 else {"instruction": f"say {n}", "output": f"it is {n}"}
    for n in range(ROWS)
]


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOPE_STORE", str(tmp_path / "lope-store"))
    return tmp_path / "lope-store"


def lists(source: Version, dropped: range, relabelled: range) -> dict[str, Any]:
    rows = source.rows.select(["lope_row_id", "lope_shape"]).to_pylist()
    new = {"classification": "a", "instruction": "nothing"}
    return {
        "drop": [{"row_id": rows[n]["lope_row_id"]} for n in dropped],
        "relabel": [
            {"row_id": rows[n]["lope_row_id"], "target": new[rows[n]["lope_shape"]]}
            for n in relabelled
            if n not in dropped
        ],
    }


@pytest.mark.parametrize(
    ("dropped", "relabelled"),
    [
        (range(0, ROWS, 7), range(0, ROWS, 5)),
        (range(1990, 6010), range(6010, 6020)),  # whole blocks
        (range(3, ROWS), range(3)),  # all but the first
        (range(ROWS - 1), range(ROWS - 1, ROWS)),  # all but the last
    ],
    ids=["here and there", "a stretch", "the first stay", "the last stays"],
)
@pytest.mark.parametrize("shard_rows", [None, 1700])
def test_the_rows_are_those_that_a_loop_over_them_gives(
    dropped: range, relabelled: range, shard_rows: int | None
) -> None:
    source = library.ingest(MIXED, name="some")
    made = library.curate(source, **lists(source, dropped, relabelled), shard_rows=shard_rows, workers=2)
    wanted = []
    for number, row in enumerate(source.rows.to_pylist()):
        if number in dropped:
            continue
        if number in relabelled:
            row |= {"label": "a"} if row["lope_shape"] == "classification" else {"output": "nothing"}
        wanted.append(row)
    assert made.rows.to_pylist() == wanted
    assert verify_version(made.folder, silent)[1] == []
    assert replay(made, "", 2, silent) == []


def test_what_is_held_is_a_part_of_the_rows() -> None:
    rows = [{"text": f"{n} {'word ' * 800}", "label": "ab"[n % 2]} for n in range(12_000)]  # 48 MB
    source = library.ingest(rows, name="long")
    asked = lists(source, range(0, 12_000, 100), range(0))
    before = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(before)
    pa.set_memory_pool(pool)
    try:
        made = library.curate(source, drop=asked["drop"], workers=1)
        assert replay(made, "", 1, silent) == []
    finally:
        pa.set_memory_pool(before)
    assert source.rows.nbytes > 48e6
    assert pool.max_memory() < 40e6


def test_a_killed_one_resumes(own_store: Path, tmp_path: Path) -> None:
    source = library.ingest(MIXED, name="some")
    asked = lists(source, range(0, ROWS, 7), range(0))["drop"]
    whole = library.curate(source, drop=asked, shard_rows=20, store=own_store)
    (own_store / "some-curated").rename(tmp_path / "undisturbed")
    path = tmp_path / "list.csv"
    path.write_text("row_id\n" + "".join(f"{row['row_id']}\n" for row in asked))
    command = [sys.executable, "-m", "lope_data", "build", "--from", "some", "--drop", str(path)]
    command += ["--workers", "1", "--shard-rows", "20"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)

    killed = start()
    while not list(own_store.glob("some-curated/.*/notes/*3.json")) and killed.poll() is None:
        time.sleep(0.001)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert not list(own_store.glob("some-curated/*/manifest.json"))
    resumed = start()
    said = resumed.communicate(timeout=60)[1]
    assert resumed.returncode == 0, said
    assert "resuming some-curated: " in said
    made = library.open("some-curated")
    assert made.manifest == whole.manifest
    assert verify_version(made.folder, silent)[1] == []


def test_a_version_is_not_derived_of_one_with_other_rows() -> None:
    source = library.ingest(MIXED[:40], name="some")
    made = library.curate(source, drop=lists(source, range(3), range(0))["drop"])
    for others in (MIXED[5:45], [*MIXED[3:40]][::-1]):  # some are not there; all are, in another order
        other = library.ingest(others, name="other")
        with pytest.raises(StoreError, match=f"{made.ref}: its rows are not rows of {other.ref}, in order"):
            derived(made, other)
