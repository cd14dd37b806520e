"""CSV and TSV: fields, quotes, delimiters, headers, blocks, and the line of what is wrong."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lope_data.errors import SourceError
from lope_data.sources import Reading, open_source, text
from lope_data.sources.formats import delimited
from lope_data.sources.formats.delimited import read_delimited
from lope_data.sources.records import whole_text


def read(path: Path, content: str | bytes, **reading: Any) -> list[dict[str, Any]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(open_source(str(path), Reading(**reading)).read().to_pylist())


@pytest.fixture(params=[20, 1 << 22])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Bytes that become a table."""
    for module, name in ((delimited, "_BLOCK"), (delimited, "_HEAD"), (text, "_BLOCK")):
        monkeypatch.setattr(module, name, request.param)
    return int(request.param)


@pytest.mark.parametrize("block", [16, 1 << 20])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_csv_fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str, block: int) -> None:
    monkeypatch.setattr(text, "_BLOCK", block)
    lines = ["text,label,", '"a, ""b""",007,', "", '"two', 'lines",,1e3', "NULL,é,NaN"]
    assert read(tmp_path / "r.csv", ends.join(lines)) == [
        {"text": 'a, "b"', "label": "007", "": ""},
        {"text": f"two{ends}lines", "label": "", "": "1e3"},
        {"text": "NULL", "label": "é", "": "NaN"},
    ]


def test_a_field_of_many_megabytes(tmp_path: Path) -> None:
    long = "line\n" * 2_000_000
    assert read(tmp_path / "r.csv", f'text,label\n"{long}",x\n') == [{"text": long, "label": "x"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('a,b\n1,"x\ny"\n\n2\n', "line 5: 1 field, where the header has 2"),
        ("a,b\n1,2\n1,2,3\n", "line 3: 3 fields, where the header has 2"),
        ('a,b\n1,"x\n2,y\n3,z\n', "line 2: a quote opens and never closes"),
        ('a,b\n1,x\n2,"y', "line 3: a quote opens and never closes"),
        ('"a,b\n1,x\n', "line 1: a quote opens and never closes"),
        ("a,a\n1,2\n", "has two columns 'a'; rename one"),
        (
            b"a,b\n1,x\n2,caf\xe9\n",
            "line 3, byte 13 of the text: 0xe9 is not utf-8; name the file's encoding, as in --encoding cp1252",
        ),
        ("\n\n", "r.csv: no line holds anything"),
        (b"", "the file is empty"),
    ],
)
def test_bad_csv(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(SourceError, match=re.escape(message)):
        read(tmp_path / "r.csv", content)


QUOTED = 'text\tlabel\n"I said hello\ta\nshe replied no\tb\nthen "he left\ta\nall good"\tb\n'


def test_a_quote_that_swallows_rows_of_a_tsv_is_named(tmp_path: Path) -> None:
    (tmp_path / "q.tsv").write_text(QUOTED)
    with pytest.raises(SourceError, match=r"line 2: a quote opens, and the field runs to line 4 .*--quoting none"):
        open_source(str(tmp_path / "q.tsv")).read()
    texts = open_source(str(tmp_path / "q.tsv"), Reading(quoting="none")).read()["text"].to_pylist()
    assert texts == ['"I said hello', "she replied no", 'then "he left', 'all good"']
    assert len(open_source(str(tmp_path / "q.tsv"), Reading(quoting="minimal")).read()) == 2


@pytest.mark.parametrize("text", ['a\tb\n"one\ttext"\tx\n', 'a\tb\n"two\nlines"\tx\n'])
def test_quotes_of_a_tsv_that_hold_no_rows_are_quotes(tmp_path: Path, text: str) -> None:
    (tmp_path / "q.tsv").write_text(text)
    assert len(open_source(str(tmp_path / "q.tsv")).read()) == 1


def test_without_quotes_rows_are_lines(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text('a,b\n"one,x\ntwo,y,z\n')
    with pytest.raises(SourceError, match=r"q.csv, line 3: 3 fields, where the header has 2"):
        open_source(str(tmp_path / "q.csv"), Reading(quoting="none")).read()


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet", "rows.txt"])
def test_quoting_is_for_csv_and_tsv(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"text": "a"}')
    with pytest.raises(SourceError, match=r"quoting is for .csv and .tsv files"):
        open_source(str(tmp_path / name), Reading(quoting="none"))


def test_quoting_is_typed_and_replayed(tmp_path: Path, lope_data: Callable[..., Any]) -> None:
    (tmp_path / "q.tsv").write_text(QUOTED)
    assert lope_data("ingest", "q.tsv", "--quoting", "none", "--json").json["rows"] == 4
    assert lope_data("verify", "q", "--replay").code == 0
    assert (
        "source.quoting: must be 'minimal' or 'none', not 'all'" in lope_data("ingest", "q.tsv", "--quoting", "all").err
    )


SEVERAL = "several characters; say which: --delimiter ',' or --delimiter ';'"


@pytest.mark.parametrize("name", ["r.csv", "r.tsv"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, name: str, delimiter: str) -> None:
    lines = [["text", "label"], ["Hallo Welt da", "gut"], ["", "schlecht"]]
    content = "\n".join(map(delimiter.join, lines))
    rows = [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]
    assert read(tmp_path / name, content) == rows
    assert read(tmp_path / name, content, delimiter=delimiter) == rows


def test_a_text_may_hold_other_delimiters(tmp_path: Path) -> None:
    rows = [{"text": "Hallo, Welt da", "label": "gut"}, {"text": "Bis; bald, du", "label": "schlecht"}]
    assert read(tmp_path / "r.csv", 'text;label\nHallo, Welt da;gut\n"Bis; bald, du";schlecht\n') == rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b;c\n1,2;3\n", SEVERAL),
        ("a;b|c\n1;2|3\n", "several characters; say which: --delimiter ',' or --delimiter ';' or --delimiter '|'"),
        ("note; title\nfirst\nsecond; x\n", "one column, 'note; title', or several between ';', which do not fit"),
        ("note; title\nfirst\n", "say which: --delimiter ';' or --delimiter ','"),
        ("text\na, b\nc, d\n", "line 2: 2 fields, where the header has 1; if a line is one text, --delimiter tab"),
        ("text;label\none;x\ntwo;y;z\n", "or several between ';', which do not fit all rows"),
    ],
)
def test_a_doubtful_delimiter_is_asked_for(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(SourceError, match=re.escape(message)):
        read(tmp_path / "r.csv", content)


def test_a_delimiter_that_is_set_is_not_doubted(tmp_path: Path) -> None:
    assert read(tmp_path / "r.csv", "a,b;c\n1,2;3\n", delimiter=";") == [{"a,b": "1,2", "c": "3"}]
    assert read(tmp_path / "r.csv", "a;b\n1;2\n", delimiter=",") == [{"a;b": "1;2"}]
    assert read(tmp_path / "r.csv", "text\na, b\n", delimiter="tab") == [{"text": "a, b"}]
    with pytest.raises(SourceError, match=r"line 2: 3 fields, where the header has 2;"):
        read(tmp_path / "r.csv", "a^b\n1^2^3\n", delimiter="^")
    assert Reading(delimiter="tab") == Reading(delimiter="\\t") == Reading(delimiter="\t")


def test_one_column(tmp_path: Path) -> None:
    assert read(tmp_path / "r.csv", 'text\none\n\n"two, three"\n""\n') == [
        {"text": "one"},
        {"text": "two, three"},
        {"text": ""},
    ]
    assert read(tmp_path / "r.csv", 'text\n"two\nlines"\n') == [{"text": "two\nlines"}]


def test_without_a_header(tmp_path: Path, block: int) -> None:
    rows = [{"column_0": "a word", "column_1": "x"}, {"column_0": "a, b", "column_1": "y"}]
    assert read(tmp_path / "r.csv", '\na word,x\n"a, b",y\n', header=False) == rows
    with pytest.raises(SourceError, match=r"line 2: 1 field, where the first row has 2"):
        read(tmp_path / "r.csv", "a word,x\nb\n", header=False)
    with pytest.raises(SourceError, match=re.escape(SEVERAL)):  # fewer lines say so than with a header
        read(tmp_path / "r.csv", "a word;x\nb;y\n", header=False)
    with pytest.raises(
        SourceError, match=r"two columns 'x'; rename one; if line 2 is a row and no header, --no-header"
    ):
        read(tmp_path / "r.csv", "\nx,x\na,b\n")


def refused(line: int, reason: str) -> None:
    raise SourceError(f"line {line}: {reason}")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_tables_have_one_schema_whatever_the_blocks(tmp_path: Path, block: int, end: str) -> None:
    rows = [[f'number {i}, "it" 5" {"x" * (i % 40)}', "" if i % 3 else "two\r\nlines"] for i in range(60)]
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([["text", "label"], *rows])
    path = tmp_path / "r.csv"
    path.write_bytes((file.getvalue() + 'plain 5" disk,x').encode())
    tables = list(read_delimited(path, Reading(), ",", refused))
    assert len(tables) > 5 or block > 20
    assert len({str(table.schema) for table in tables}) == 1
    assert [list(row.values()) for table in tables for row in table.to_pylist()] == [*rows, ['plain 5" disk', "x"]]


def test_a_header_alone_makes_one_empty_table(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("text,label\n")
    (table,) = read_delimited(tmp_path / "r.csv", Reading(), ",", refused)
    assert (table.column_names, len(table)) == (["text", "label"], 0)


def test_rows_are_not_all_read_before_the_first_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "_BLOCK", 20)
    monkeypatch.setattr(delimited, "_HEAD", 20)
    monkeypatch.setattr(text, "_BLOCK", 20)
    (tmp_path / "r.csv").write_text("text,label\n" + "a word,x\n" * 50 + "broken\n")
    tables = read_delimited(tmp_path / "r.csv", Reading(), ",", refused)
    assert len(next(tables)) < 10
    with pytest.raises(SourceError, match="line 52: 1 field, where the header has 2"):
        list(tables)


def test_a_row_without_an_end_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("_BLOCK", 20), ("_HEAD", 20), ("_LONGEST", 1000)):
        monkeypatch.setattr(delimited, name, size)
    monkeypatch.setattr(text, "_BLOCK", 20)
    with pytest.raises(SourceError, match=r"line 3: a row that does not end in 0 MiB; a quote may never close"):
        read(tmp_path / "r.csv", 'a,b\n1,2\n1,"' + "some text\n" * 500)


BROKEN = 'a,b\n1,x\n\n"two\nlines",y,z\n3,"more\r\nlines"\n4\n"5",v\n'


def test_broken_rows_are_told_by_their_lines(tmp_path: Path, block: int) -> None:
    (tmp_path / "r.csv").write_bytes(BROKEN.encode())
    told: list[tuple[int, str]] = []
    tables = read_delimited(tmp_path / "r.csv", Reading(), ",", lambda line, reason: told.append((line, reason)))
    assert [tuple(row.values()) for table in tables for row in table.to_pylist()] == [
        ("1", "x"),
        ("3", "more\r\nlines"),
        ("5", "v"),
    ]
    assert told == [(4, "3 fields, where the header has 2"), (8, "1 field, where the header has 2")]


def test_broken_rows_may_become_too_many(tmp_path: Path) -> None:
    def broken(line: int, reason: str) -> None:
        raise SourceError(f"line {line}: {reason}")

    (tmp_path / "r.csv").write_bytes(BROKEN.encode())
    with pytest.raises(SourceError, match="line 4: 3 fields"):
        list(read_delimited(tmp_path / "r.csv", Reading(), ",", broken))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('a;b\n"I said;1\nall good";2\n', "line 2: a quote opens, and the field runs to line 3 over what looks like"),
        ('a|b\nx|1\n"I said|1\nno|2\nall good"|2\n', "line 3: a quote opens, and the field runs to line 5 over"),
        (
            'a\tb\n"two\nlines"\tx\n' + "x\ty\n" * 16 + '"I said\t1\nall good"\t2\n',
            "line 20: a quote opens, and the field runs to line 21 over",
        ),
        ('a,b\n"I said,1\nand "he left,2\n', "line 2: a quote opens, and the field runs to line 3 over"),
        ('a,b\n"Hello," she said,1\n', "line 2: text follows a quote that closes; if quotes are text here, --quoting"),
        ('a,b\n""Hello"" she said,1\n', "line 2: text follows a quote that closes"),
        ('a\tb\nx\ty\n"Star Wars" is good\t1\n', "line 3: text follows a quote that closes"),
    ],
)
def test_a_quote_that_may_be_text_is_named(tmp_path: Path, block: int, content: str, message: str) -> None:
    with pytest.raises(SourceError, match=re.escape(message)):
        read(tmp_path / "r.csv", content)
    assert read(tmp_path / "r.csv", content, quoting="minimal")


@pytest.mark.parametrize(
    "content",
    [
        'a,b\n"Dear Sir, I\nam yours",x\n',  # as texts are written
        'a,b\n"Dear Sir,\nI am yours",x\n',
        'a,b\n"one,2\nthree",x\n"four\nfive",y\n',  # no row is `four`
        'a,b\n"one ""two"",2\nthree",x\n',
        'a,b\n5" disk,x\n3",y\n',
        'a,b\n"",""\n"""x""","y"""\n',
    ],
)
def test_quotes_as_a_csv_has_them(tmp_path: Path, block: int, content: str) -> None:
    rows = list(csv.reader(io.StringIO(content, newline="")))[1:]
    assert [list(row.values()) for row in read(tmp_path / "r.csv", content)] == rows


@pytest.mark.parametrize(
    ("name", "reading", "message"),
    [
        ("r.jsonl", {"delimiter": ";"}, "delimiter is for .csv and .tsv files"),
        ("r.txt", {"header": False}, "header is for .csv"),
        ("r.csv", {"delimiter": ";", "pattern": "(?P<text>.*)"}, "delimiter is for .csv and .tsv files"),
        ("r.parquet", {"delimiter": ";"}, "delimiter is for .csv and .tsv files"),
    ],
)
def test_what_is_said_of_another_kind_of_file(tmp_path: Path, name: str, reading: dict[str, Any], message: str) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(SourceError, match=re.escape(message)):
        open_source(str(tmp_path / name), Reading(**reading))


def test_delimiters_and_headers_are_typed_and_replayed(tmp_path: Path, lope_data: Callable[..., Any]) -> None:
    (tmp_path / "r.csv").write_text("one text^x\nanother^y\na third text^x\n")
    args = ("--delimiter", "^", "--no-header", "--columns", "text=column_0,label=column_1")
    assert lope_data("ingest", "r.csv", *args, "--json").json["rows"] == 3
    assert lope_data("verify", "r", "--replay").code == 0
    assert lope_data("build", "--source", "r.csv", "--ratio", "0.5", *args, "--json").json["rows"] == 3
    assert lope_data("preview", "--source", "r.csv", "--ratio", "0.5", *args).code == 0
    assert "source.delimiter: must be one ASCII character" in lope_data("ingest", "r.csv", "--delimiter", "::").refusal


@pytest.mark.parametrize("size", [4, 5, 6, 7, 8, 30])
def test_lines_are_counted_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    for module, name in ((delimited, "_BLOCK"), (delimited, "_HEAD"), (text, "_BLOCK")):
        monkeypatch.setattr(module, name, size)
    with pytest.raises(SourceError, match=r"r.csv, line 8: 1 field, where the header has 2"):
        read(tmp_path / "r.csv", 'a,b\r\n1,2\r\n"two\r\nlines",x\r\n\r\n"a\rb",y\r\nbroken\r\n', quoting="minimal")


@pytest.mark.parametrize(
    ("block", "whole"),
    [
        (b'a,"b ""c"" d"\n"""e""",""\nf', b'a,"b ""c"" d"\n"""e""",""\n'),
        (b'a,"b\nc"\nd,"e\nf', b'a,"b\nc"\n'),
        (b"a,b\rc,d\r", b"a,b\r"),
        (b'a,"b"\rc,d\r', b'a,"b"\r'),
    ],
)
def test_where_records_end_is_known_by_counting_quotes(block: bytes, whole: bytes) -> None:
    assert whole_text(block, ",", quoted=True, final=False) == len(whole)
    assert whole_text(whole, ",", quoted=True, final=True) == len(whole)


@pytest.mark.parametrize("block", [b'a "b" c\n', b'"a" b\n', b'"a,"b\n', b'""a\n', b'a"\n', b'"a\n'])
def test_quotes_out_of_place_are_not_counted(block: bytes) -> None:
    assert whole_text(block, ",", quoted=True, final=True) is None


CELL = st.text(st.sampled_from('ab ,;\t|"\né'), max_size=8)


@settings(
    max_examples=150, derandomize=True, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(CELL, min_size=n, max_size=n), min_size=1, max_size=6)),
    st.sampled_from(",;\t|"),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.booleans(),
)
def test_rows_come_back_or_are_refused(
    tmp_path: Path, rows: list[list[str]], delimiter: str, quoting: Any, named: bool
) -> None:
    names = [f"name {i}" for i in range(len(rows[0]))]
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, quoting=quoting).writerows([names, *rows])
    try:
        found = read(tmp_path / "r.csv", file.getvalue(), **({"delimiter": delimiter} if named else {}))
    except SourceError:
        return
    assert found == [dict(zip(names, row, strict=True)) for row in rows]
