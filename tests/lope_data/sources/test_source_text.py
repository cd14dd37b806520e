"""CSV, TSV and plain text: quotes, line breaks, encodings, patterns, and the line of what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lope_data.errors import LopeDataError, SourceError
from lope_data.recipe import Recipe, load_recipe, validated
from lope_data.sources import Reading, open_source, text

TREC = r"(?P<label>\w+):(?P<fine>\S+) (?P<text>.*)"


def read(path: Path, content: str | bytes, **reading: Any) -> list[dict[str, Any]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(open_source(str(path), Reading(**reading)).read().to_pylist())


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
            "line 3, byte 13 of the text: 0xe9 is not utf-8; name the file's encoding, as in --en",
        ),
        ("\n\n", "cannot be read as csv"),
    ],
)
def test_bad_csv(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(SourceError, match=re.escape(message)):
        read(tmp_path / "r.csv", content)


@pytest.mark.parametrize("block", [1, 3, 1 << 20])
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-8-sig", "utf-8", "shift_jis"])
def test_encodings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, block: int) -> None:
    monkeypatch.setattr(text, "_BLOCK", block)
    word = "日本" if encoding == "shift_jis" else "naïve"
    found = read(tmp_path / "r.tsv", f"text\tlabel\n{word}\tx\n".encode(encoding), encoding=encoding)
    assert found == [{"text": word, "label": "x"}]


@pytest.mark.parametrize("block", [2, 1 << 20])
def test_where_bytes_are_not_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(text, "_BLOCK", block)
    with pytest.raises(SourceError, match="line 2, byte 8 of the text: 0xff is not utf-8"):
        read(tmp_path / "r.txt", "é\nab é".encode() + b"\xff", pattern="(?P<text>.*)")
    with pytest.raises(SourceError, match="line 1, byte 3 of the text: 0x80 is not ascii"):
        read(tmp_path / "r.jsonl", b'{"a\x80": 1}', encoding="ascii")


def test_lines_by_a_pattern(tmp_path: Path) -> None:
    content = "DESC:manner How did it\nENTY:x caf\xe9 ?\r\n\nNUM:y 5".encode("latin-1")
    assert read(tmp_path / "TREC.train", content, encoding="latin-1", pattern=TREC) == [
        {"label": "DESC", "fine": "manner", "text": "How did it"},
        {"label": "ENTY", "fine": "x", "text": "café ?"},
        {"label": "NUM", "fine": "y", "text": "5"},
    ]
    with pytest.raises(SourceError, match="line 2: 'no label' does not match the pattern"):
        read(tmp_path / "TREC.train", "A:b c\nno label\n", pattern=TREC)
    with pytest.raises(SourceError, match=r"line 1: .* does not match"):  # whole, not some part of it
        read(tmp_path / "r.txt", "1 a 2", pattern=r"(?P<text>\d a)")


@pytest.mark.parametrize(
    ("reading", "message"),
    [
        ({"encoding": "latn-1"}, "source.encoding: unknown encoding 'latn-1'; did you mean 'latin-1'?"),
        ({"encoding": "rot13"}, "'rot13' is no encoding of text"),
        ({"encoding": "zlib"}, "'zlib' is no encoding of text"),
        ({"encoding": "a\0b"}, "unknown encoding"),
        ({"pattern": "(?P<text>.*"}, "source.pattern: not a pattern of RE2's syntax: missing )"),
        ({"pattern": r"(\w+) (?P<text>.*)"}, "source.pattern: every group must have a name"),
        ({"pattern": ".*"}, "source.pattern: every group must have a name"),
        ({"patern": "x"}, "source.patern: unknown key 'patern'; did you mean 'pattern'?"),
    ],
)
def test_bad_readings(reading: dict[str, str], message: str) -> None:
    with pytest.raises(LopeDataError, match=re.escape(message)):
        validated(Recipe, {"source": reading}, "recipe")


@pytest.mark.parametrize("name", ["r.parquet", "r.arrow"])
def test_what_is_not_text_has_no_encoding(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(SourceError, match="an encoding is for text files"):
        open_source(str(tmp_path / name), Reading(encoding="latin-1"))
    with pytest.raises(SourceError, match="a pattern reads the lines of a text file"):
        open_source(str(tmp_path / name), Reading(pattern="(?P<text>.*)"))


def test_names_of_one_encoding_are_one_version() -> None:
    assert Reading(encoding="Latin_1") == Reading(encoding="iso-8859-1")
    assert Reading(encoding="UTF8") == Reading(encoding="utf-8-sig") == Reading()


def test_typed_over_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("[source]\nencoding = 'cp1252'\npattern = '(?P<text>.*)'\n")
    recipe = load_recipe(path, {"encoding": "latin-1", "pattern": None})
    assert recipe.source == Reading(encoding="latin-1", pattern="(?P<text>.*)")


def test_from_the_command_line(lope_data: Callable[..., Any], tmp_path: Path) -> None:
    lines = [f"{'AB'[i % 2]}:x caf\xe9 number {i}" for i in range(20)]
    (tmp_path / "TREC.train").write_bytes("\n".join(lines).encode("latin-1"))
    args = ("build", "--source", "TREC.train", "--ratio", "0.5", "--json")
    said = lope_data(*args, "--encoding", "latin-1", "--pattern", TREC)
    assert said.code == 0, said.err
    assert said.json["rows"] == 20
    assert "name the file's encoding, as in --encoding latin-1" in lope_data(*args, "--pattern", TREC).err
    assert "plain text needs a --pattern" in lope_data(*args).err
    other = lope_data(*args, "--encoding", "latin-1", "--pattern", TREC.replace("fine", "coarse"))
    assert other.json["parent"] != said.json["parent"]


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


@pytest.mark.parametrize("text", ["text;label\nHallo, Welt da;gut\n", "text;label\nHallo;gut\n", "text\tlabel\na\tb\n"])
def test_another_separator_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "rows.csv").write_text(text)
    with pytest.raises(
        SourceError, match=r"one column, 'text.{1,2}label'; its columns seem to stand between .* with ','"
    ):
        open_source(str(tmp_path / "rows.csv")).read()
