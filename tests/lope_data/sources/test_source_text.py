"""Plain text: lines by a pattern, and what may be said of how text is read."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lope_data.errors import LopeDataError, SourceError
from lope_data.recipe import Recipe, load_recipe, validated
from lope_data.sources import Reading, open_source

TREC = r"(?P<label>\w+):(?P<fine>\S+) (?P<text>.*)"


def read(path: Path, content: str | bytes, **reading: Any) -> list[dict[str, Any]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(open_source(str(path), Reading(**reading)).read().to_pylist())


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
        ({"delimiter": "::"}, "source.delimiter: must be one ASCII character, no quote and no line end, or tab"),
        ({"delimiter": '"'}, "source.delimiter: must be one ASCII character"),
        ({"delimiter": ""}, "source.delimiter: must be one ASCII character"),
        ({"delimiter": "¦"}, "source.delimiter: must be one ASCII character"),
        ({"header": "no"}, "source.header: must be true or false"),
        ({"patern": "x"}, "source.patern: unknown key 'patern'; did you mean 'pattern'?"),
    ],
)
def test_bad_readings(reading: dict[str, Any], message: str) -> None:
    with pytest.raises(LopeDataError, match=re.escape(message)):
        validated(Recipe, {"source": reading}, "recipe")


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
    assert "name the file's encoding, as in --encoding cp1252" in lope_data(*args, "--pattern", TREC).err
    assert "plain text needs a --pattern" in lope_data(*args).err
    other = lope_data(*args, "--encoding", "latin-1", "--pattern", TREC.replace("fine", "coarse"))
    assert other.json["parent"] != said.json["parent"]


def test_a_file_that_is_no_text_is_not_advised_to_be_read_as_text(tmp_path: Path) -> None:
    (tmp_path / "rows.pkl").write_bytes(pickle.dumps([{"text": "a"}]))
    with pytest.raises(SourceError, match=r"rows.pkl: no text, and of a kind that is not read; save its rows as one"):
        open_source(str(tmp_path / "rows.pkl"))
    (tmp_path / "rows.log").write_text("a line")
    with pytest.raises(SourceError, match="plain text needs a --pattern"):
        open_source(str(tmp_path / "rows.log"))
