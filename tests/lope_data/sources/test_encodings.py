"""Encodings of text files: set, said by a byte-order mark, or named where bytes are in another one."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lope_data.errors import SourceError
from lope_data.sources import Reading, open_source, text


def read(path: Path, content: bytes, **reading: Any) -> list[dict[str, Any]]:
    path.write_bytes(content)
    return list(open_source(str(path), Reading(**reading)).read().to_pylist())


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


ROW = {"text": "naïve 日本", "label": "x"}
FILES = {
    "r.csv": "text,label\nnaïve 日本,x\n",
    "r.tsv": "text\tlabel\nnaïve 日本\tx\n",
    "r.jsonl": json.dumps(ROW, ensure_ascii=False) + "\n",
    "r.json": json.dumps([ROW], ensure_ascii=False),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("codec", "mark"),
    [
        ("utf-16-le", b"\xff\xfe"),
        ("utf-16-be", b"\xfe\xff"),
        ("utf-32-le", b"\xff\xfe\0\0"),
        ("utf-32-be", b"\0\0\xfe\xff"),
        ("utf-8", b"\xef\xbb\xbf"),
    ],
)
def test_a_byte_order_mark_says_the_encoding(tmp_path: Path, name: str, codec: str, mark: bytes) -> None:
    content = mark + FILES[name].encode(codec)
    assert read(tmp_path / name, content) == [ROW]
    assert read(tmp_path / f"{name}.gz", gzip.compress(content)) == [ROW]
    assert read(tmp_path / name, content, encoding=codec) == [ROW]


def test_a_mark_of_plain_text(tmp_path: Path) -> None:
    assert read(tmp_path / "r.txt", "naïve\n".encode("utf-16")) == [{"text": "naïve"}]
    assert read(tmp_path / "r.log", "naïve\n".encode("utf-16"), pattern="(?P<word>.*)") == [{"word": "naïve"}]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_two_bytes_a_character_without_a_mark(tmp_path: Path, name: str, codec: str) -> None:
    content = FILES[name].encode(codec)
    with pytest.raises(SourceError, match=rf"many NUL bytes, .* as in --encoding {codec}\)$"):
        read(tmp_path / name, content)
    assert read(tmp_path / name, content, encoding=codec) == [ROW]


@pytest.mark.parametrize(
    ("content", "said", "named"),
    [
        ("café “x”".encode("cp1252"), None, "cp1252"),
        (b"caf\xe9 \x81", None, "latin-1"),
        ("café".encode(), "ascii", "utf-8"),
        ("café".encode("utf-16"), "utf-8", "utf-16"),
        ("café and more".encode("utf-16-le"), "ascii", "utf-16-le"),
    ],
)
def test_the_encoding_that_bytes_may_be_in_is_named(
    tmp_path: Path, content: bytes, said: str | None, named: str
) -> None:
    with pytest.raises(SourceError, match=rf"line 1, byte \d+ of the text: .* as in --encoding {named}\)$"):
        read(tmp_path / "r.txt", content, **({} if said is None else {"encoding": said}))
    assert read(tmp_path / "r.txt", content, encoding=named)


def test_a_file_of_two_bytes_a_character_that_is_cut(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"is not utf-16, which the rest is; fix it"):
        read(tmp_path / "r.txt", "café".encode("utf-16") + b"x")


def test_a_nul_byte_of_a_csv_is_named_by_its_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=re.escape("r.csv, line 4: a NUL byte")):
        read(tmp_path / "r.csv", b'a,b\n"one\r\ntwo",x\nth\0ree,y\n')


def test_a_mark_is_no_part_of_what_a_version_is(tmp_path: Path, lope_data: Callable[..., Any]) -> None:
    (tmp_path / "r.csv").write_bytes("text,label\na word,x\nmore words,y\n".encode("utf-16"))
    assert "as in --encoding utf-16" in lope_data("ingest", "r.csv", "--encoding", "utf-8").refusal
    said = lope_data("ingest", "r.csv", "--json").json
    assert said["rows"] == 2
    assert "source" not in json.loads((Path(said["path"]) / "manifest.json").read_text())["recipe"]
    assert lope_data("verify", "r", "--replay").code == 0
