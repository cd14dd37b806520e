"""Rows that cannot be read are left out where that was asked for: as many as were allowed, and listed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lope_data as library
from lope_data.errors import SourceError
from tests.lope_data.conftest import Run

LINES = [
    '{"text": "one", "label": "x"}',
    "{",
    '{"text": "two", "label": "y"}',
    "",
    "[1]",
    '{"text": "six", "label": "x"}',
]


@pytest.fixture(params=["one chunk", "many"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with rows, of which two are broken, on the lines 2 and 5."""
    if request.param == "many":
        monkeypatch.setattr("lope_data.sources.chunks.SIZE", 30)
    (tmp_path / "rows.jsonl").write_text("\n".join(LINES), encoding="utf-8")
    return tmp_path


def test_json_lines(folder: Path, lope_data: Callable[..., Run]) -> None:
    refused = lope_data("ingest", folder / "rows.jsonl")
    assert "rows.jsonl, line 2: not valid JSON" in refused.refusal
    refused = lope_data("ingest", folder / "rows.jsonl", "--skip-broken", "1")
    assert "rows.jsonl, line 5: list, where an object is needed" in refused.refusal
    assert refused.refusal.endswith("fix it; 1 before it were skipped already")
    found = lope_data("ingest", folder / "rows.jsonl", "--skip-broken", "2", "--json")
    assert "2 broken rows skipped: line 2: not valid JSON" in found.err
    assert found.json["rows"] == 3
    version = library.open(found.json["path"])
    assert [(one["line"], one["row"]) for one in version.manifest.plain["skipped"]] == [(2, None), (5, None)]
    assert version.rows["text"].to_pylist() == ["one", "two", "six"]


def test_how_many_were_allowed_is_part_of_what_was_asked(folder: Path) -> None:
    made = [made_of(folder / "rows.jsonl", count, folder / "store") for count in (2, 3)]
    assert made[0].manifest.version != made[1].manifest.version
    assert made[0].manifest.content_digest == made[1].manifest.content_digest


def test_nothing_is_listed_where_nothing_is_broken(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(LINES[0], encoding="utf-8")
    assert "skipped" not in made_of(tmp_path / "rows.jsonl", 5, tmp_path / "store").manifest.plain


@pytest.mark.parametrize(
    ("name", "content", "places", "more"),
    [
        ("rows.csv", "text,label\na b,x\nc\nd,y,z\ne f,w\n", [(3, None), (4, None)], {}),
        (
            "rows.json",
            '[{"text": "a", "label": "x"}, 5, null, {"text": "a", "label": "y"}]',
            [(None, 1), (None, 2)],
            {},
        ),
        ("rows.log", "x: a b\nnothing\ny: c d\n", [(2, None)], {"pattern": r"(?P<label>\w): (?P<text>.*)"}),
    ],
)
def test_other_files(tmp_path: Path, name: str, content: str, places: list[Any], more: dict[str, Any]) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(SourceError, match="line" if places[0][0] else "row"):
        made_of(tmp_path / name, len(places) - 1, tmp_path / "store", **more)
    version = made_of(tmp_path / name, len(places), tmp_path / "store", **more)
    assert [(one["line"], one["row"]) for one in version.manifest.plain["skipped"]] == places
    assert version.manifest.rows == 2


def made_of(path: Path, allowed: int, store: Path, **more: Any) -> library.Version:
    return library.ingest(path, {"source": {"skip_broken": allowed, **more}}, store=store)
