"""`lope_data.corrupt` on texts in the types of pandas, NumPy and datasets, and a text alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from lope_data import corrupt
from lope_data.errors import RecipeError

TEXTS = ["Say it twice, please", "and once more", ""]
NOISY = corrupt(TEXTS, "char.delete", 0.3)


def test_a_text_alone_gives_a_text() -> None:
    noisy, edits = corrupt(TEXTS[0], "char.delete", 0.3, edits=True)
    assert noisy == corrupt(TEXTS[0], "char.delete", 0.3) == NOISY[0] != TEXTS[0]
    assert type(noisy) is str
    assert set(edits["row"].to_pylist()) == {0}
    assert corrupt(np.str_(TEXTS[0]), "char.delete", 0.3) == NOISY[0]
    assert corrupt("", "char.delete", 0.3) == ""


@pytest.mark.parametrize(
    "dtype", [None, object, "string[python]", "string[pyarrow]", "str", pd.ArrowDtype(pa.string())], ids=str
)
def test_a_series_of_pandas_keeps_its_index_name_dtype_and_what_is_missing(dtype: Any) -> None:
    series = pd.Series([TEXTS[0], None, *TEXTS[1:]], index=["a", "b", "b", "c"], name="said", dtype=dtype)
    noisy = corrupt(series, "char.delete", 0.3)
    expected = pd.Series([NOISY[0], None, *NOISY[1:]], index=["a", "b", "b", "c"], name="said", dtype=dtype)
    pd.testing.assert_series_equal(noisy, expected)
    assert series.iloc[0] == TEXTS[0]
    nothing = series.iloc[:0]
    pd.testing.assert_series_equal(corrupt(nothing, "char.delete", 0.3), nothing)
    gone = series.iloc[1:2]
    pd.testing.assert_series_equal(corrupt(gone, "char.delete", 0.3), gone)


def test_what_pandas_has_for_missing_texts_stays_as_it_is() -> None:
    series = pd.Series([TEXTS[0], float("nan"), None, pd.NA], dtype=object)
    noisy = corrupt(series, "char.delete", 0.3)
    assert noisy.iloc[0] == NOISY[0]
    assert np.isnan(noisy.iloc[1])
    assert noisy.iloc[2] is None
    assert noisy.iloc[3] is pd.NA


def test_arrays_of_numpy() -> None:
    words = np.array(["ab", "cd"])
    longer = corrupt(words, "char.insert", 1.0)
    assert longer.tolist() == corrupt(["ab", "cd"], "char.insert", 1.0)  # not cut to the longest of before
    assert longer.dtype.kind == "U"
    objects = np.array([TEXTS[0], None], dtype=object)
    noisy = corrupt(objects, "char.delete", 0.3)
    assert noisy.tolist() == [NOISY[0], None]
    assert noisy.dtype == object
    strings = np.array(TEXTS, dtype=np.dtypes.StringDType())
    assert corrupt(strings, "char.delete", 0.3).tolist() == NOISY
    assert corrupt(strings, "char.delete", 0.3).dtype == strings.dtype
    assert corrupt(strings[:0], "char.delete", 0.3).tolist() == []


@pytest.mark.parametrize("shown_as", [None, "numpy"])
def test_a_column_of_datasets_gives_a_list(shown_as: str | None) -> None:
    dataset = datasets.Dataset.from_dict({"text": TEXTS}).with_format(shown_as)
    assert corrupt(dataset["text"], "char.delete", 0.3) == NOISY
    assert corrupt(dataset.select([1])["text"], "char.delete", 0.3) == NOISY[1:2]


@pytest.mark.parametrize("shown_as", ["polars", "pandas", "arrow"])
def test_a_dataset_that_shows_columns_in_another_type_gets_that_back(shown_as: str) -> None:
    column = datasets.Dataset.from_dict({"text": TEXTS}).with_format(shown_as)["text"]
    noisy = corrupt(column, "char.delete", 0.3)
    assert type(noisy) is type(column)
    assert pa.chunked_array(noisy).to_pylist() == NOISY if shown_as == "arrow" else noisy.to_list() == NOISY


def test_a_column_of_a_stream_gives_a_list() -> None:
    stream = datasets.Dataset.from_dict({"text": TEXTS}).to_iterable_dataset()
    assert corrupt(stream["text"], "char.delete", 0.3) == NOISY


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (datasets.Dataset.from_dict({"text": TEXTS}), r'not Dataset; pick a column, as in dataset\["text"\], or use'),
        (pd.DataFrame({"text": TEXTS}), "not DataFrame; pick a column"),
        (pl.DataFrame({"text": TEXTS}), "not DataFrame; pick a column"),
        (pa.table({"text": TEXTS}), "not Table; pick a column"),
        ({"text": TEXTS}, "not dict; pick a column"),
        (b"text", "not bytes; decode it"),
        (None, "not NoneType"),
        (3, "not int"),
        (iter(TEXTS), "not list_iterator"),
        (np.array([1]), "not ndarray of int64"),
        (np.array([b"a"]), r"not ndarray of \|S1"),
        (np.array([["a"]]), "not ndarray of <U1 in 2 dimensions"),
        (np.array(["a", 1], dtype=object), r"texts\[1\]: int, where a string or None is needed"),
        (pd.Series([1, 2]), "a Series of strings is needed, not of int64"),
        (pd.Series(["a", 2]), r"texts\[1\]: int, where a string"),
        (pd.Series(["a"], dtype="category"), r"not of category; make it text with \.astype\(str\)"),
        (datasets.Dataset.from_dict({"n": [1]})["n"], r"texts\[0\]: int, where a string"),
    ],
)
def test_what_holds_no_texts_is_said(texts: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as error:
        corrupt(texts, "char.delete")
    assert str(error.value).isprintable()


TYPED = """
import numpy as np, pandas as pd, polars as pl
from lope_data import corrupt
reveal_type(corrupt("a", "char.swap"))
reveal_type(corrupt(["a"], "char.swap", edits=False))
reveal_type(corrupt(["a", None], "char.swap"))
reveal_type(corrupt(pl.Series(["a"]), "char.swap"))
reveal_type(corrupt(pd.Series(["a"]), "char.swap"))
reveal_type(corrupt("a", "char.swap", edits=True))
"""


@pytest.mark.slow
def test_type_checkers_know_what_comes_back(tmp_path: Path) -> None:
    (tmp_path / "typed.py").write_text(TYPED)
    root = Path(__file__).parents[3]
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "pyproject.toml", str(tmp_path / "typed.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    found = [
        line.partition('Revealed type is "')[2].rstrip('"') for line in done.stdout.splitlines() if "Revealed" in line
    ]
    assert found[:3] == ["str", "list[str]", "list[str | None]"], done.stdout
    assert "polars" in found[3]
    assert "pandas" in found[4]
    assert found[5].startswith("tuple[str, ")
