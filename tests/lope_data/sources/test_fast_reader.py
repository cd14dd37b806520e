"""The fast reader of JSON: what it takes is what the careful one gives, whatever the file and however it is cut."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.agreement.readers import agree, fuzzed, outcome
from lope_data.sources import chunks, plain_json

WHOLE = 1 << 26


@pytest.mark.parametrize("seed", range(0, 200, 10))
def test_fuzzed_files(tmp_path: Path, seed: int) -> None:
    """2,000 of them are read by `python -m benchmarks.agreement.readers`."""
    for number in range(seed, seed + 10):
        suffix, data = fuzzed(number)
        path = tmp_path / f"r{suffix}"
        path.write_bytes(data)
        assert agree(path, 64), number
        assert agree(path, WHOLE), number


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
@pytest.mark.parametrize(
    ("rows", "taken"),
    [
        ([{"a": "x", "b": ""}] * 3, True),
        ([{"a": 'é "\\/\b\f\n\r\t\u2028😀', "b": "中" * 40}] * 3, True),
        ([{"a": "x", "b": 1}] * 3, False),
        ([{"a": "x"}, {"a": None}], False),
        ([{"a": "x", "b": "y"}, {"b": "y", "a": "x"}], False),
        ([{"a": "x"}, {"a": "x", "b": "y"}], False),
        ([{'a"': "x"}], False),
        ([{}], False),
        ([{"a": "\ud800"}], False),
    ],
)
def test_what_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, rows: list[Any], *, taken: bool
) -> None:
    """Rows of texts under the same keys in the same order, escaped or not; all else it leaves."""
    seen = []
    scanned = plain_json._scanned

    def spied(*args: Any) -> Any:
        seen.append(found := scanned(*args))
        return found

    monkeypatch.setattr(plain_json, "_scanned", spied)
    for ascii_only in (True, False):
        text = (
            json.dumps(rows, ensure_ascii=ascii_only)
            if suffix == ".json"
            else "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows)
        )
        path = tmp_path / f"r{suffix}"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        found = outcome(path, 1, WHOLE)
        assert any(one is not None for one in seen) == taken
        if taken:
            assert not isinstance(found, str)
            assert found.to_pylist() == rows


@pytest.mark.parametrize(
    "ends", ["[", "[{", '[{"a"', '[{"a": "x"}', '[{"a": "x"},', '[{"a": "x"},]', '[{"a": "x"}}', "[1]]"]
)
@pytest.mark.parametrize("size", [4, WHOLE])
def test_an_array_that_ends_badly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str, size: int) -> None:
    monkeypatch.setattr(chunks, "SIZE", size)
    path = tmp_path / "r.json"
    path.write_text(ends)
    found = outcome(path, 1, size)
    assert isinstance(found, str)
    assert "r.json" in found
    assert "not valid JSON" in found or "an object is needed" in found
