"""The source's own form in Python; as lines of JSON it is in `tests/lope_data/transfer/test_source_form.py`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import polars as pl
import pytest

from lope_data.builds import Options, ingest
from lope_data.errors import StoreError
from lope_data.recipe import Recipe
from lope_data.store import Version
from tests.lope_data.forms.rows import SHAREGPT, TALK

NAMED = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})


@pytest.fixture
def mixed(version_of: Callable[..., Version]) -> Version:
    return version_of(
        [
            {"text": "a b", "label": True, "n": 2**62 + 1, "meta": {}},
            {"text": "c d", "label": False, "n": None, "meta": {"a": [1, "x"], "b": None}},
        ]
    )


def test_a_dataset(mixed: Version, version_of: Callable[..., Version]) -> None:
    found = mixed.to_dataset()
    assert found.column_names == ["text", "label", "n", "meta"]
    assert found[1] == {"text": "c d", "label": False, "n": None, "meta": {"a": [1, "x"], "b": None}}
    assert mixed.to_dataset(lope_columns=True).column_names[4:] == ["lope_row_id", "lope_shape", "lope_ops"]
    assert version_of([SHAREGPT]).to_dataset().to_list() == [SHAREGPT]


def test_names_of_classes(tmp_path: Path, options: Options) -> None:
    rows = [{"text": "a good film", "label": 1}, {"text": "a bad film", "label": 0}]
    datasets.Dataset.from_list(rows, features=NAMED).save_to_disk(str(tmp_path / "rows"))
    version = ingest(str(tmp_path / "rows"), Recipe(), None, options)
    assert version.to_dataset().features == NAMED
    assert version.to_dataset("text").features == NAMED
    assert [row["completion"] for row in version.to_dataset("prompt-completion")] == ["pos", "neg"]


def test_a_polars_frame(mixed: Version) -> None:
    frame = mixed.to_polars()
    assert frame.schema == {"text": pl.String, "label": pl.Boolean, "n": pl.Int64, "meta": pl.String}
    assert frame["n"].to_list() == [2**62 + 1, None]
    assert frame["meta"].to_list() == ["{}", '{"a":[1,"x"],"b":null}']
    assert mixed.to_polars("text", lope_columns=True).columns[-1] == "lope_ops"


def test_a_pandas_frame(mixed: Version) -> None:
    frame = mixed.to_pandas()
    assert [str(kind) for kind in frame.dtypes[["label", "n"]]] == ["boolean", "Int64"]
    assert frame["n"][0] == 2**62 + 1
    assert frame["n"][1] is pd.NA
    assert frame["meta"].tolist() == [{}, {"a": [1, "x"], "b": None}]
    assert mixed.to_pandas("text").columns.tolist() == ["text", "label", "n", "meta"]


def test_without_pandas(mixed: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lope_common.extras.find_spec", lambda name: None)
    with pytest.raises(StoreError, match="to_pandas needs pandas, which is missing: pip install pandas"):
        mixed.to_pandas()


def test_a_form_that_there_is_not(mixed: Version) -> None:
    wrong: Any
    for wrong, said in (("sharegbt", "did you mean 'sharegpt'"), (3, "there is no form 3"), ("version", "no form")):
        with pytest.raises(StoreError, match=said):
            mixed.to_dataset(wrong)


def test_what_is_opened_has_them(mixed: Version, version_of: Callable[..., Version]) -> None:
    import lope_data

    opened = lope_data.open(str(version_of([TALK]).folder))
    assert opened.to_dataset("messages").to_list() == [TALK]
