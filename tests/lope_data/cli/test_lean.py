"""A build on the command line starts without libraries that it does not use; whoever uses them has them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[3]
HEAVY = {"datasets", "huggingface_hub", "jinja2", "pandas", "polars", "scipy", "torch", "transformers"}
BUILD = "import sys\nsys.argv = {words!r}\nfrom lope_data.cli.run import main\nmain()\n"
LOADED = "print(*sys.modules)"
OP = '''
import numpy as np
import pyarrow as pa

from lope_data.noise import text_op


@text_op("word.frame", version=1, unit="word", units=lambda cells, params: cells.words, needs="a word")
def frame(hits, params):
    """Writes a word as a frame has it."""
    import pandas as pd

    words = pd.Series(hits.text().cast(pa.string()).to_pylist()).str.upper()
    words[0] = float("nan")
    column = pa.array(words).fill_null("NULL")  # of a list NaN would be no string
    return hits.replace(column.cast(pa.large_string()))
'''


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "sixty.jsonl"
    lines = ({"instruction": f"Name number {i} of the list.", "input": "", "output": f"It is {i}."} for i in range(60))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def run(code: str, *words: str | Path, folder: Path) -> str:
    lines = BUILD.format(words=["lope_data", *map(str, words)]) if words else ""
    process = subprocess.run(
        [sys.executable, "-c", lines + code],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.splitlines()[-1]


@pytest.mark.parametrize("verb", [("build", "--ratio", "0.2", "--source"), ("ingest",), ("preview", "--source")])
def test_a_small_build_loads_only_what_it_uses(verb: tuple[str, ...], rows: Path, tmp_path: Path) -> None:
    assert not HEAVY & set(run(LOADED, *verb, rows, folder=tmp_path).split())


def test_pyarrow_has_pandas_again_when_it_is_asked_for_a_frame(rows: Path, tmp_path: Path) -> None:
    code = "import pyarrow as pa\nprint(pa.table({'a': [1]}).to_pandas().a.sum(), pa.array([1]).to_pandas().sum())"
    assert run(code, "ingest", rows, folder=tmp_path) == "1 1"


def test_an_op_of_ones_own_has_pandas(rows: Path, tmp_path: Path) -> None:
    (tmp_path / "frame.py").write_text(OP)
    words = ("build", "--source", rows, "--ratio", "1", "--import", "frame.py", "--mix", "word.frame")
    assert "pandas" in run(LOADED, *words, folder=tmp_path)
    assert "NULL" in show_edits(tmp_path)


def test_an_op_of_an_installed_package_has_pandas(rows: Path, tmp_path: Path) -> None:
    (tmp_path / "acme_frames.py").write_text(OP)
    info = tmp_path / "acme_frames-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-frames\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lope_data.ops]\nword.frame = acme_frames\n")
    words = ("build", "--source", rows, "--ratio", "1", "--mix", "word.frame")
    assert "pandas" in run(LOADED, *words, folder=tmp_path)
    assert "NULL" in show_edits(tmp_path)


def show_edits(folder: Path) -> str:
    (edits,) = (folder / "lope-store" / "sixty-hynoise").glob("*/edits/*.parquet")
    return str(pq.read_table(edits)["after"].to_pylist())


def test_times_in_nanoseconds_are_read_as_ever(tmp_path: Path) -> None:
    times = pa.array([1, 1_577_836_800_000_000_001], pa.timestamp("ns"))
    pq.write_table(
        pa.table({"instruction": ["Name it."] * 2, "output": ["It."] * 2, "when": times}), tmp_path / "t.parquet"
    )
    code = "import lope_data\nprint(lope_data.open('t-hynoise').rows.to_pylist()[1]['when'])"
    made = run(code, "build", "--source", "t.parquet", "--ratio", "1", "--mix", "char", folder=tmp_path)
    assert made == "2020-01-01 00:00:00.000000001"
