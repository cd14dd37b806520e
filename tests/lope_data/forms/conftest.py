"""Rows of plain Python values, as a version has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lope_data.builds import Options, ingest
from lope_data.errors import StoreError
from lope_data.recipe import Recipe
from lope_data.store import Version

Rows = list[dict[str, Any]]


@pytest.fixture
def version_of(tmp_path: Path, options: Options) -> Callable[..., Version]:
    """`version_of(rows)`: a clean version of rows of JSON."""

    def make(rows: Rows, **reading: Any) -> Version:
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return ingest(str(tmp_path / "rows.jsonl"), Recipe.model_validate(reading), None, options)

    return make


@pytest.fixture
def converted(version_of: Callable[..., Version]) -> Callable[..., Rows]:
    """`converted("alpaca", rows)`: the rows in a form, without the keys that they do not have."""

    def convert(form: str, rows: Rows) -> Rows:
        made = version_of(rows).to_dataset(form).to_list()
        return [{key: value for key, value in row.items() if value is not None} for row in made]

    return convert


@pytest.fixture
def refused(version_of: Callable[..., Version]) -> Callable[..., str]:
    """`refused("alpaca", rows)`: what is said of rows that the form cannot hold."""

    def refuse(form: str, rows: Rows) -> str:
        with pytest.raises(StoreError) as error:
            version_of(rows).to_dataset(form)
        (line,) = str(error.value).splitlines()
        return line

    return refuse
