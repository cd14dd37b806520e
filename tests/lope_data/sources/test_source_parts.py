"""Sources whose parts differ, are broken, or say something of each other."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lope_data as library
from lope_data.errors import SourceError
from lope_data.sources import Reading, chunks, open_source, plain_json
from tests.lope_data.conftest import Run


def read(path: Path, **reading: Any) -> pa.Table:
    return open_source(str(path), Reading(**reading)).read()


def test_no_row_is_lost_among_many_that_are_broken(tmp_path: Path) -> None:
    lines = [f'{{"text": "t{i}"}}' if i % 2 else "{broken" for i in range(5000)]
    (tmp_path / "r.jsonl").write_text("\n".join(lines))
    version = library.ingest(tmp_path / "r.jsonl", {"source": {"skip_broken": 2500}}, store=tmp_path / "store")
    assert (version.manifest.rows, len(version.manifest.plain["skipped"])) == (2500, 2500)
    with pytest.raises(SourceError, match=r"line 4999: .*; 2499 before it were skipped already"):
        library.ingest(tmp_path / "r.jsonl", {"source": {"skip_broken": 2499}}, store=tmp_path / "store")


def test_lines_that_are_no_text_are_broken_where_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_bytes(b'{"text": "a"}\n{"text": "caf\xe9"}\n{"text": "b"}\n')
    with pytest.raises(SourceError, match="line 2, byte 27 of the text: 0xe9 is not utf-8; name the file's encoding"):
        read(tmp_path / "r.jsonl")
    assert read(tmp_path / "r.jsonl", skip_broken=1)["text"].to_pylist() == ["a", "b"]


def test_our_own_column_is_refused_by_the_fast_reader_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_json, "LEAST", 1)
    (tmp_path / "r.jsonl").write_text('{"text": "a", "lope_keys": "mine"}\n' * 3)
    with pytest.raises(SourceError, match="column 'lope_keys' has a name that versions use"):
        read(tmp_path / "r.jsonl")


def test_white_space_before_an_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "SIZE", 8)
    for before in ("", " " * 30, "\ufeff", "\n" * 9 + "\t"):
        (tmp_path / "r.json").write_text(before + '[{"text": "a"}, {"text": "b"}]\n\n', encoding="utf-8")
        assert read(tmp_path / "r.json")["text"].to_pylist() == ["a", "b"]


def test_an_unbalanced_quote_in_an_array_is_named_by_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "SIZE", 64)
    rows = [f'{{"text": "row {i}"}}' for i in range(50)]
    rows[2] = '{"text": "row 2}'
    (tmp_path / "r.json").write_text("[\n" + ",\n".join(rows) + "\n]")
    with pytest.raises(SourceError, match=r"r.json, line [45]: not valid JSON"):
        read(tmp_path / "r.json")


@pytest.mark.parametrize("kind", ["parquet", "table"])
def test_dictionaries_that_differ_from_part_to_part(tmp_path: Path, kind: str) -> None:
    pieces = [pa.array([f"c{i}-{j}" for j in range(100)]).dictionary_encode() for i in range(5)]
    pieces = [pa.DictionaryArray.from_arrays(one.indices.cast(pa.int8()), one.dictionary) for one in pieces]
    tables = [pa.table({"text": [f"t{i}"] * 100, "label": piece}) for i, piece in enumerate(pieces)]
    whole = pa.concat_tables(tables)
    if kind == "parquet":
        with pq.ParquetWriter(tmp_path / "r.parquet", tables[0].schema) as writer:
            for table in tables:
                writer.write_table(table)
    version = library.ingest(whole if kind == "table" else tmp_path / "r.parquet", store=tmp_path / "store")
    assert version.rows["label"].to_pylist() == [f"c{i}-{j}" for i in range(5) for j in range(100)]


def test_an_arrow_stream_that_is_cut_at_a_batch(tmp_path: Path) -> None:
    table = pa.table({"text": [f"t{i}" for i in range(1000)]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        for low in range(0, 1000, 100):
            writer.write_table(table.slice(low, 100))
            if low == 500:
                size = sink.tell()
    data = sink.getvalue().to_pybytes()
    (tmp_path / "r.arrow").write_bytes(data)
    assert len(read(tmp_path / "r.arrow")) == 1000
    (tmp_path / "r.arrow").write_bytes(data[:size])
    with pytest.raises(SourceError, match="cut short"):
        read(tmp_path / "r.arrow")


def test_many_rows_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"text": null}\n' * 1500)
    with pytest.raises(SourceError, match="row 0: 'text' is null"):
        library.ingest(tmp_path / "r.jsonl", store=tmp_path / "store")


@pytest.mark.parametrize("asked", [{}, {"limit": 900}, {"columns": {"id": "id"}}, {"workers": 1, "shard_rows": 7}])
def test_a_row_is_called_by_its_number_in_the_source(tmp_path: Path, asked: dict[str, Any]) -> None:
    rows: list[dict[str, Any]] = [{"text": f"t{i}", "label": "x", "id": 999 - i} for i in range(1000)]
    for bad in range(480, 620):  # some of which any sample has
        rows[bad]["text"] = None
    (tmp_path / "r.json").write_text(json.dumps(rows))
    with pytest.raises(SourceError, match=r"row (\d+): 'text' is null") as error:
        library.ingest(tmp_path / "r.json", store=tmp_path / "store", **asked)
    number = int(str(error.value).partition("row ")[2].partition(":")[0])
    assert rows[number]["text"] is None


def test_what_is_said_does_not_hang_on_who_is_faster(tmp_path: Path) -> None:
    data = gzip.compress(b'{"text": "a"}\n{broken\n' + b'{"text": "b"}\n' * 200_000)
    (tmp_path / "r.jsonl.gz").write_bytes(data[:-40])
    for workers in (1, 4):
        with pytest.raises(SourceError, match="line 2: not valid JSON"):
            library.ingest(tmp_path / "r.jsonl.gz", store=tmp_path / "store", workers=workers)


def test_json_that_others_change_is_marked_whichever_rows_are_kept(tmp_path: Path) -> None:
    rows = [{"text": f"t{i}", "n": 2**70 if i == 50 else [i]} for i in range(100)]
    (tmp_path / "r.json").write_text(json.dumps(rows))
    kept = library.ingest(tmp_path / "r.json", columns={"text": "text"}, limit=3, store=tmp_path / "store")
    assert kept.layout.raw == ("n",)


def test_a_folder_whose_files_have_other_columns(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f/a.csv").write_text("text,label\na,x\n")
    (tmp_path / "f/b.csv").write_text("text,lable\nb,y\n")
    with pytest.raises(SourceError, match=r"b.csv: has the columns 'text', 'lable', where .*a.csv has 'text', 'label'"):
        read(tmp_path / "f")


def test_rows_that_were_skipped_in_a_folder_name_their_file(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    for name in ("a", "b"):
        (tmp_path / f"f/{name}.jsonl").write_text('{"text": "x"}\nbroken\n')
    version = library.ingest(tmp_path / "f", {"source": {"skip_broken": 2}}, store=tmp_path / "store")
    assert [(one["file"], one["line"]) for one in version.manifest.plain["skipped"]] == [("a.jsonl", 2), ("b.jsonl", 2)]


def test_a_file_that_is_something_else_inside(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_bytes(gzip.compress(b"text,label\na,x\n"))
    with pytest.raises(SourceError, match="it is gzip inside; give it the suffix of what it is"):
        read(tmp_path / "r.csv")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ingest", ""), "an empty name"),
        (("build", "--delimiter", ";"), "--delimiter says how a source is read, and none is"),
        (("build", "--from", "sample", "--no-header"), "--no-header says how a source is read, and none is"),
        (("ingest", "sample", "--delimiter", ";"), "the embedded sample; leave out delimiter, which is for files"),
        (("preview", "rows.jsonl"), "'rows.jsonl' is data, and no recipe; name it as the source, --source"),
    ],
)
def test_what_does_not_go_together(lope_data: Callable[..., Run], words: tuple[str, ...], message: str) -> None:
    assert message in lope_data(*words).refusal


@pytest.mark.parametrize("begin", ["BZh", "PAR1", "ARROW1"])
def test_a_text_that_begins_as_other_files_do(tmp_path: Path, begin: str) -> None:
    (tmp_path / "r.csv").write_text(f"{begin},text\nx,a\n")
    assert read(tmp_path / "r.csv").column_names == [begin, "text"]
