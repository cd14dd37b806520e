"""Exports of whole versions: the very rows in every format, with what says what they are; whole or not at all."""

from __future__ import annotations

import decimal
import json
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lope_common.files import described
from lope_data.errors import StoreError
from lope_data.store import Version
from lope_data.transfer.exporting import export
from lope_data.transfer.row_text import from_json_lines, to_flat, to_json_lines


@pytest.fixture
def exported(tmp_path: Path, golden: Version) -> Callable[[str], Path]:
    """`exported("jsonl")`: the folder."""

    def make(kind: str) -> Path:
        export(golden, kind, tmp_path / kind, lambda *_: None)
        return tmp_path / kind

    return make


def test_parquet_jsonl_and_hf_hold_the_rows_and_all_that_says_what_they_are(
    exported: Callable[[str], Path], golden: Version, tmp_path: Path
) -> None:
    expected = golden.rows.to_pylist()
    for kind in ("parquet", "jsonl", "hf"):
        folder = exported(kind)
        assert (folder / "manifest.json").read_bytes() == (golden.folder / "manifest.json").read_bytes()
        for file in golden.manifest.files:
            if file.path.startswith("edits/"):
                assert described(folder, file.path) == file.plain
    assert pq.read_table(tmp_path / "parquet" / "rows.parquet").to_pylist() == expected
    lines = (tmp_path / "jsonl" / "rows.jsonl").read_text(encoding="utf-8").split("\n")
    assert [json.loads(line) for line in lines if line] == expected
    assert datasets.load_from_disk(str(tmp_path / "hf")).to_list() == expected
    for kind in ("parquet", "jsonl"):  # as the card says
        loaded = datasets.load_dataset(str(tmp_path / kind), split="train", cache_dir=str(tmp_path / "cache"))
        assert loaded.to_list() == expected


def test_csv_tells_null_from_no_text_and_keeps_text_exact(tmp_path: Path) -> None:
    rows = pa.table(
        {
            "text": ["", None, '=1+1, "quoted"\n\r\nand – more\t', "null"],
            "choices": [["a,b", None], [], None, ['"']],
            "made": [{"n": 1.5}, {"n": math.nan}, None, {"n": None}],
            "number": [1, None, 3, 4],
        }
    )
    flat = to_flat(rows)
    assert flat["choices"].to_pylist() == ['["a,b", null]', "[]", None, '["\\""]']
    assert flat["made"].to_pylist() == ['{"n": 1.5}', '{"n": "NaN"}', None, '{"n": null}']
    assert flat["text"].to_pylist() == rows["text"].to_pylist()


EVERY_TYPE = {
    "text": pa.array(["", None, 'a\u2028b\x00\n\\"', "ñ😀"], pa.large_string()),
    "whole": pa.array([2**63 - 1, None, -(2**63), 0]),
    "positive": pa.array([2**64 - 1, 0, None, 1], pa.uint64()),
    "real": pa.array([math.nan, math.inf, -0.0, None]),
    "half": pa.array([0.5, math.inf, None, 1.0], pa.float16()),
    "float": pa.array([0.1, -math.inf, None, 1e-30], pa.float32()),
    "flag": pa.array([True, False, None, True]),
    "nothing": pa.nulls(4),
    "day": pa.array([date(2020, 2, 29), None, date(1, 1, 1), date(9999, 12, 31)]),
    "moment": pa.array([datetime(2020, 1, 1, 1, 2, 3, 4), None, None, datetime(1900, 1, 1)], pa.timestamp("ns")),
    "zoned": pa.array([datetime(2020, 1, 1, tzinfo=UTC), None, None, None], pa.timestamp("ms", "Europe/Zurich")),
    "hour": pa.array([time(1, 2, 3, 4), None, None, time(0)], pa.time64("us")),
    "short": pa.array([time(1, 2, 3), None, None, time(0)], pa.time32("s")),
    "took": pa.array([timedelta(seconds=1.5), None, None, timedelta(days=-1)], pa.duration("ns")),
    "price": pa.array([decimal.Decimal("1.10"), None, decimal.Decimal("-99999.99"), None], pa.decimal128(7, 2)),
    "nested": pa.array(
        [[{"r": 1.5, "d": date(2020, 1, 1)}, None], [], None, [{"r": math.nan, "d": None}]],
        pa.large_list(pa.struct([("r", pa.float64()), ("d", pa.date32())])),
    ),
}


@pytest.mark.parametrize("column", EVERY_TYPE)
def test_json_lines_give_every_type_back(column: str) -> None:
    rows = pa.table({column: EVERY_TYPE[column], "other": [1, 2, 3, 4]})
    data = to_json_lines(rows)
    for line in data.decode().split("\n")[:-1]:
        json.loads(line, parse_constant=pytest.fail)
    back = from_json_lines(data.split(b"\n")[:-1], rows.schema, 1)
    assert back.schema.equals(rows.schema)
    assert repr(back.to_pylist()) == repr(rows.to_pylist())  # of NaN and -0.0 only the repr can tell
    again: Any = to_json_lines(back)
    assert again == data


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "line 8"),
        (b"[]", "line 8 has not the columns a, b"),
        (b'{"a": 1}', "line 8 has not the columns a, b"),
        (b'{"a": 1, "b": 2, "c": 3}', "line 8 has not the columns a, b"),
        (b'{"a": "x", "b": 2}', "lines 7 to 8"),
        (b'{"a": 1, "b": 2' + b"0" * 400 + b"}", "lines 7 to 8"),
        (b'{"a": 1, "b": ' + b"[" * 100_000, "line 8"),
        (b"\xff", "line 8"),
    ],
)
def test_a_line_that_is_no_row_is_named(line: bytes, said: str) -> None:
    schema = pa.schema([("a", pa.int64()), ("b", pa.float32())])
    with pytest.raises(ValueError, match=said):
        from_json_lines([b'{"a": 1, "b": 2.5}', line], schema, 7)


def test_what_is_there_is_not_overwritten(golden: Version, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    for name in ("out", "gone"):
        with pytest.raises(StoreError, match="exists; remove it"):
            export(golden, "jsonl", tmp_path / name, lambda *_: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gone", "out"]


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "hf"])
def test_what_fails_leaves_nothing(golden: Version, tmp_path: Path, kind: str) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    if kind != "hf":
        with pytest.raises(KeyboardInterrupt):
            export(golden, kind, tmp_path / "out", stop)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        export(golden, kind, tmp_path / "file" / "out", lambda *_: None)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_version_that_was_changed_is_not_sent_out(noisy: Callable[..., Version], tmp_path: Path) -> None:
    version = noisy(ratio=0.1)
    path = version.folder / version.manifest.files[-2].path
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(StoreError, match="is not the file that its manifest lists"):
        export(version, "parquet", tmp_path / "out", lambda *_: None)
    path.unlink()
    (tmp_path / "elsewhere").write_bytes(data)
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="is a link"):
        export(version, "parquet", tmp_path / "out", lambda *_: None)


def test_a_version_has_no_csv(golden: Version, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not exported to csv, which does not tell types; --to parquet, jsonl, hf"):
        export(golden, "csv", tmp_path / "out", lambda *_: None)
    assert not [*tmp_path.iterdir()]


def test_the_command_line(lope_data: Callable[..., Any], tmp_path: Path, golden: Version) -> None:
    store = golden.folder.parents[1]
    done = lope_data("export", "golden", "--as", "version", "--to", "jsonl", "--store", store)
    folder = f"golden-{golden.manifest.version}-jsonl"
    assert (done.code, done.out.splitlines()[-1]) == (0, folder)
    assert (tmp_path / folder / "rows.jsonl").is_file()
    assert lope_data("export", "golden", "--as", "version", "--out", "p.csv", "--store", store).code == 0
    assert (tmp_path / "p.csv" / "rows.parquet").is_file()
    for wrong, said in (
        (("--as", "version", "--to", "jsonl"), "exists; remove it"),
        (("--as", "version", "--to", "csv"), "which does not tell types"),
        (("--as", "version", "--lope-columns"), "--lope-columns is for rows alone"),
        (("--to", "xlsx"), "xlsx"),
        (("--as", "sharegbt"), "did you mean 'sharegpt'"),
    ):
        assert said in lope_data("export", "golden", *wrong, "--store", store).refusal
