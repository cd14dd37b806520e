"""Objects in memory as sources: the same rows make the same version, whatever holds them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import lope_data
from lope_data.sources import InMemory, Reading, Source, in_memory, memory, open_source, streams

ROWS = [{"text": f"the sentence number {i} is a good one", "label": "ab"[i % 2], "n": i} for i in range(40)]
RECIPE = {"steps": [{"ratio": 0.5}]}
NAMED = datasets.Features(text=datasets.Value("string"), label=datasets.ClassLabel(names=["no", "yes"]))


class Mood(str, Enum):  # noqa: UP042  # whose `str` is not its value
    GLAD = "glad"


def opened(held: Any, **asked: Any) -> Source:
    return open_source(in_memory(held), Reading(**asked))


def in_blocks_of(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (streams, memory):
        monkeypatch.setattr(module, "ROWS", count)


def rows(held: Any) -> list[dict[str, Any]]:
    return list(opened(held).read().to_pylist())


def of_generator(given: list[Any], **more: Any) -> datasets.IterableDataset:
    """A stream without features, which gives its rows only once."""
    left = iter(given)
    return datasets.IterableDataset.from_generator(lambda: left, **more)


def chunks() -> pa.Table:
    table = pa.Table.from_pylist(ROWS)
    return pa.concat_tables([table.slice(0, 3), table.slice(3, 30), table.slice(33)])


SAME: dict[str, Callable[[], Any]] = {
    "list": lambda: ROWS,
    "Dataset": lambda: datasets.Dataset.from_list(ROWS),
    "Dataset with indices": lambda: datasets.Dataset.from_list(ROWS[::-1]).select(range(39, -1, -1)),
    "Dataset with a format": lambda: datasets.Dataset.from_list(ROWS).with_format("numpy", columns=["n"]),
    "IterableDataset": lambda: datasets.Dataset.from_list(ROWS).to_iterable_dataset(),
    "IterableDataset without features": lambda: of_generator(ROWS),
    "polars": lambda: pl.DataFrame(ROWS),
    "polars lazy": lambda: pl.DataFrame(ROWS).lazy(),
    "polars categorical": lambda: pl.DataFrame(ROWS).with_columns(pl.col("label").cast(pl.Categorical)),
    "pandas": lambda: pd.DataFrame(ROWS),
    "pandas filtered": lambda: (frame := pd.DataFrame([{**ROWS[0], "n": -1}, *ROWS]))[frame["n"] >= 0],
    "pandas categorical": lambda: pd.DataFrame(ROWS).astype({"label": "category"}),
    "pandas nullable": lambda: pd.DataFrame(ROWS).convert_dtypes(),
    "pandas arrow": lambda: pd.DataFrame(ROWS).convert_dtypes(dtype_backend="pyarrow"),
    "pandas objects": lambda: pd.DataFrame(ROWS).astype(object),
    "table": lambda: pa.Table.from_pylist(ROWS),
    "table in chunks": chunks,
    "wide strings": lambda: pa.Table.from_pylist(ROWS).cast(
        pa.schema([("text", pa.large_string()), ("label", pa.string_view()), ("n", pa.int64())])
    ),
    "record batch": lambda: pa.RecordBatch.from_pylist(ROWS),
    "reader": lambda: chunks().to_reader(),
}


@pytest.fixture(scope="module")
def of_file(tmp_path_factory: pytest.TempPathFactory) -> lope_data.Version:
    folder = tmp_path_factory.mktemp("file")
    (folder / "memory.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return lope_data.build(RECIPE, source=folder / "memory.jsonl", store=folder / "store")


@pytest.mark.parametrize("name", SAME)
def test_the_same_rows_make_the_same_version_whatever_holds_them(
    name: str, of_file: lope_data.Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_blocks_of(7, monkeypatch)
    version = lope_data.build(RECIPE, source=SAME[name](), store=tmp_path)
    assert version.manifest.name == "memory-hynoise"
    assert version.manifest.content_digest == of_file.manifest.content_digest  # rows, their ids, and edits
    assert version.edits == of_file.edits
    assert version.parent is not None
    assert of_file.parent is not None
    assert version.parent.manifest.content_digest == of_file.parent.manifest.content_digest
    assert version.manifest.source.fingerprint == opened(ROWS).fingerprint
    again = lope_data.build(RECIPE, source=ROWS, store=tmp_path)
    assert (again.ref, again.existed) == (version.ref, True)


@pytest.mark.parametrize(
    "changed",
    [
        [*ROWS[1:], ROWS[0]],
        ROWS[:-1],
        [{**row, "n": str(row["n"])} for row in ROWS],
        [{"label": row["label"], "text": row["text"], "n": row["n"]} for row in ROWS],
        [{**ROWS[0], "n": None}, *ROWS[1:]],
        [{"text": ROWS[0]["text"], "label": "a"}, *ROWS[1:]],
    ],
)
def test_other_rows_have_another_fingerprint(changed: list[dict[str, Any]]) -> None:
    assert opened(changed).fingerprint != opened(ROWS).fingerprint


def test_the_fingerprint_does_not_change_from_one_release_to_the_next() -> None:
    assert opened(ROWS).fingerprint == "sha256:5db18215c59c6908c8cc6ab7631e74c55b1eb1a49ef6bcaefe778757a97b0982"


@pytest.mark.parametrize(
    "texts",
    [
        ["a first text", "and a second"],
        pl.Series("named", ["a first text", "and a second"]),
        pd.Series(["a first text", "and a second"], name="named", index=["x", "y"]),
        pd.Series(["a first text", "and a second"], dtype=object),
        pd.Series(["a first text", "and a second"], dtype="category"),
        pa.array(["a first text", "and a second"]),
        pa.chunked_array([["a first text"], ["and a second"]]),
        datasets.Dataset.from_dict({"body": ["a first text", "and a second"]})["body"],
        datasets.Dataset.from_dict({"body": ["a first text", "and a second"]}).with_format("numpy")["body"],
        datasets.Dataset.from_dict({"body": ["a first text", "and a second"]}).to_iterable_dataset()["body"],
    ],
    ids=lambda texts: f"{type(texts).__module__}.{type(texts).__name__}",
)
def test_texts_alone_are_a_column_text(texts: Any) -> None:
    assert rows(texts) == [{"text": "a first text"}, {"text": "and a second"}]


def test_a_column_with_nulls_is_read_and_refused_with_its_row(tmp_path: Path) -> None:
    with pytest.raises(lope_data.LopeDataError, match="the list, row 1: 'text' is null"):
        lope_data.ingest(["a text", None], store=tmp_path)


def test_class_names_of_a_dataset_are_kept(tmp_path: Path) -> None:
    given = datasets.Dataset.from_dict({"text": ["good one", "bad one", "so so"], "label": [1, 0, 1]}, features=NAMED)
    for held in (given, given.select([2, 0]), given.to_iterable_dataset(), given.with_format("arrow")[:]):
        version = lope_data.ingest(held, store=tmp_path)
        assert version.layout.classes == {"label": ("no", "yes")}
        assert version.to_dataset().features["label"].names == ["no", "yes"]
    assert version.to_dataset()["text"][:] == given["text"][:]
    plain = given.cast_column("label", datasets.Value("int64"))
    assert opened(plain).fingerprint != opened(given).fingerprint


def test_a_dataset_is_called_after_what_it_says_it_is(tmp_path: Path) -> None:
    def named(dataset_name: str | None, split: str | None, builder: str = "parquet") -> datasets.Dataset:
        info = datasets.DatasetInfo(dataset_name=dataset_name, builder_name=builder)
        return datasets.Dataset.from_list(ROWS, info=info, split=split)

    assert opened(named("imdb", "train")).name == "imdb-train"
    assert opened(named("imdb", None)).name == "imdb"
    assert opened(named(None, "train")).name == "memory"
    assert opened(named("json", "train", "json")).name == "memory"  # what read it, not what it is
    splits = datasets.DatasetDict(train=named("imdb", "train"), test=named("imdb", "test"))
    assert opened(splits, split="test").name == "imdb-test"
    version = lope_data.ingest(named("../../imdb", "train[:10%]"), store=tmp_path)
    assert version.folder.parent.parent == tmp_path
    assert version.manifest.name == "imdb-train--10--"


def test_another_object_makes_the_next_version_of_its_name(tmp_path: Path) -> None:
    first = lope_data.ingest(ROWS, store=tmp_path)
    second = lope_data.ingest(pl.DataFrame(ROWS[:9]), store=tmp_path)
    assert (first.manifest.name, second.manifest.name) == ("memory", "memory")
    assert lope_data.open("memory", store=tmp_path).ref == second.ref != first.ref
    assert lope_data.ingest(ROWS, name="mine", store=tmp_path).manifest.name == "mine"


def test_an_object_does_not_take_the_name_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "memory.jsonl").write_text('{"text": "some text"}\n')
    lope_data.ingest(tmp_path / "memory.jsonl", store=tmp_path / "store")
    with pytest.raises(
        lope_data.LopeDataError, match=r"the list: 'memory' is the name of .*memory.jsonl in this store"
    ):
        lope_data.ingest(ROWS, store=tmp_path / "store")
    lope_data.ingest(ROWS, store=tmp_path / "other")
    with pytest.raises(lope_data.LopeDataError, match="'memory' is the name of an object in memory in this store"):
        lope_data.ingest(tmp_path / "memory.jsonl", store=tmp_path / "other")


@pytest.mark.parametrize("iterable", [False, True])
def test_splits_of_an_object(iterable: bool, tmp_path: Path) -> None:
    parts: Any = {"train": datasets.Dataset.from_list(ROWS[:30]), "test": datasets.Dataset.from_list(ROWS[30:])}
    given = datasets.DatasetDict(parts)
    if iterable:
        given = datasets.IterableDatasetDict({name: part.to_iterable_dataset() for name, part in parts.items()})
    with pytest.raises(lope_data.LopeDataError, match="holds the splits train, test, and a version holds one"):
        lope_data.ingest(given, store=tmp_path)
    one = lope_data.ingest(given, split="test", store=tmp_path)
    assert (one.manifest.name, one.manifest.rows) == ("memory-test", 10)
    each = lope_data.ingest_splits(given, store=tmp_path)
    assert {split: (version.manifest.name, version.manifest.rows) for split, version in each.items()} == {
        "train": ("memory-train", 30),
        "test": ("memory-test", 10),
    }
    built = lope_data.build_splits(given, RECIPE, store=tmp_path)
    assert [version.manifest.kind for version in built.values()] == ["build", "ingest"]
    with pytest.raises(lope_data.LopeDataError, match="noise for the split 'dev'") as error:
        lope_data.build_splits(given, RECIPE, noise_splits="dev", store=tmp_path)
    assert str(error.value).isprintable()


def test_columns_shape_and_limit_work_as_for_files(tmp_path: Path) -> None:
    frame = pl.DataFrame({"body": [row["text"] for row in ROWS], "kind": [row["label"] for row in ROWS]})
    version = lope_data.build(
        {**RECIPE, "shape": "text"}, source=frame, columns={"text": "body", "label": "kind"}, limit=10, store=tmp_path
    )
    assert version.manifest.rows == 10
    assert version.manifest.name == "memory-10-hynoise"
    shown = lope_data.preview(RECIPE, source=frame, columns={"text": "body"})
    assert (shown.rows, len(shown.noisy)) == (40, 20)


def test_json_stays_exact(tmp_path: Path) -> None:
    given = [
        {"text": "a text", "more": {"a": 1}, "any": 1, "big": 2**80},
        {"text": "a text", "more": {"b": [None, 2.0]}, "any": "one"},
        {"any": None, "text": "a third"},
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given))
    of_list = lope_data.ingest(given, {"shape": "text"}, store=tmp_path)
    of_file = lope_data.ingest(tmp_path / "rows.jsonl", {"shape": "text"}, store=tmp_path)
    assert of_list.manifest.content_digest == of_file.manifest.content_digest
    assert open_source(str(tmp_path / "rows.jsonl")).read().equals(opened(given).read(), check_metadata=True)


def test_what_only_looks_like_json_is_made_json() -> None:
    given = [{"text": np.str_("a text"), "n": np.int64(3), "x": np.float32(0.5), "t": ("a", 1), "v": np.array([1, 2])}]
    plain = [{"text": "a text", "n": 3, "x": 0.5, "t": ["a", 1], "v": [1, 2]}]
    assert opened(given).fingerprint == opened(plain).fingerprint
    assert (
        opened([{"text": "a text", "mood": Mood.GLAD}]).fingerprint
        == opened([{"text": "a text", "mood": "glad"}]).fingerprint
    )


def test_a_stream_without_features_widens_types_as_json_does(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = [{"text": "a text", "label": None}] * 3
    given += [{"text": "a text", "label": "x", "n": 1}, {"text": "a text", "n": "one"}, {"n": 2**70, "text": "a text"}]
    in_blocks_of(2, monkeypatch)
    table = opened(of_generator(given)).read()
    assert [str(kind) for kind in table.schema.types[:3]] == ["string", "string", "extension<arrow.json>"]
    assert table["label"].to_pylist() == [None, None, None, "x", None, None]
    assert table["n"].to_pylist() == [None, None, None, "1", '"one"', str(2**70)]
    assert table["lope_keys"].to_pylist() == list(map(list, given))


def test_a_stream_is_read_once_in_blocks_and_its_file_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    in_blocks_of(8, monkeypatch)
    monkeypatch.setattr("lope_data.sources.formats.arrow._SIZE", 1000)
    read = 0
    most = 0

    def give() -> Iterator[dict[str, Any]]:
        nonlocal read, most
        for row in ROWS * 20:
            read += 1
            most = max(most, pa.total_allocated_bytes())
            yield row

    features = datasets.Dataset.from_list(ROWS).features
    before = pa.total_allocated_bytes()
    source = opened(datasets.IterableDataset.from_generator(give, features=features))
    assert read == 800
    assert most - before < 40_000  # all rows are 50,000 bytes
    table = source.read()
    assert not list(tmp_path.iterdir())  # the file that they are in has no name
    del source
    assert table.to_pylist() == ROWS * 20


def test_a_stream_that_fails_is_said_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for features in (None, datasets.Features(text=datasets.Value("string"))):

        def give() -> Iterator[dict[str, Any]]:
            yield {"text": "one"}
            raise KeyError("lost\nline")

        with pytest.raises(lope_data.LopeDataError, match="the IterableDataset: cannot be read"):
            lope_data.ingest(datasets.IterableDataset.from_generator(give, features=features), store=tmp_path / "store")
    assert not list(tmp_path.iterdir())


def test_types_of_pandas(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "text": pd.Series(["a", None, float("nan"), "b"], dtype=object),
            "n": pd.Series([1, None, 3, 4], dtype="Int64"),
            "x": [0.5, float("nan"), 1.0, 2.0],
            "when": pd.to_datetime(["2024-01-01T10:00"] * 4).tz_localize("Europe/Berlin"),
            "day": [date(2024, 1, 2)] * 4,
            "tags": [["a"], None, [], ("b", "c")],
            "array": [np.array([1, 2]), None, np.array([3]), np.array([4])],
            "more": [{"a": 1}, None, {"b": {"c": None}}, {}],
        }
    )
    found = rows(frame)
    assert [row["text"] for row in found] == ["a", None, None, "b"]
    assert [row["n"] for row in found] == [1, None, 3, 4]
    assert [row["x"] for row in found] == [0.5, None, 1.0, 2.0]
    assert found[0]["when"].astimezone(UTC) == datetime(2024, 1, 1, 9, tzinfo=UTC)
    assert found[0]["day"] == date(2024, 1, 2)
    assert [row["tags"] for row in found] == [["a"], None, [], ["b", "c"]]
    assert [row["array"] for row in found] == [[1, 2], None, [3], [4]]
    assert [row["more"] for row in found] == ['{"a":1}', None, '{"b":{"c":null}}', "{}"]  # no key that was not there


DICTS = {"text": ["a text"]}


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (3, r"source must be a file, .* not int$"),
        (None, r"not None$"),
        (object(), r"not object$"),
        (DICTS, r"not dict; datasets.Dataset.from_dict makes a Dataset of columns"),
        ({"a text"}, r"not set; make it a list, in an order"),
        (("a text",), r"not tuple; make it a list$"),
        (iter(["a text"]), r"not list_iterator; make it a list, or a datasets.IterableDataset"),
        (np.array(["a text"]), r"not ndarray; give its .tolist\(\)"),
        ([], "the list: is empty"),
        ([3], "the list, row 0: int, where a text or a dict is needed"),
        (["a text", {"text": "a"}], "the list, row 0: str, where a dict is needed"),
        ([{"text": "a text"}, None], "the list, row 1: None, where a dict is needed"),
        (["fine", "\ud800"], "the list, row 1: not valid Unicode"),
        ([{1: "a text"}], "the list, row 0: the key 1 is int"),
        ([{"text": "a", "more": [{2: 1}]}], "the list, row 0, column 'more': the key 2 is int"),
        ([{"text": "a", "when": date(2024, 1, 1)}], "row 0, column 'when': date, which JSON has no word for"),
        ([{"text": "a", "raw": b"x"}], "row 0, column 'raw': bytes, which JSON has no word for"),
        ([{}], "the list: has no rows"),
        (pl.DataFrame(), "the polars DataFrame: has no rows"),
        (pl.Series([1]), "the polars Series: of int64, where texts are needed"),
        (pl.DataFrame({"text": ["a"], "o": [object()]}), "column 'o': of polars' type Object"),
        (
            pl.DataFrame({"text": ["a"], "i": [1]}, schema_overrides={"i": pl.Int128}),
            "column 'i': a version cannot hold Int128",
        ),
        (pl.DataFrame({"text": ["a"]}).lazy().select("no"), "the polars LazyFrame: cannot be computed"),
        (pd.DataFrame({"text": ["a", 1]}), "column 'text': holds int and str, where one type is needed"),
        (pd.DataFrame({"text": ["a"], "c": [1j]}), "column 'c': a version cannot hold complex128"),
        (pd.DataFrame({"text": ["a"], "p": pd.period_range("2024", periods=1)}), "column 'p': a version cannot hold"),
        (pd.DataFrame({"text": ["a"], "r": [b"x"]}), "column 'r': a version cannot hold"),
        (pd.DataFrame({"text": ["a"], "s": [[{1}]]}), "column 's': set, which JSON has no word for"),
        (pd.DataFrame({"text": ["a"]}, index=["x"]), r"the index of str would be lost; .*reset_index"),
        (pd.DataFrame({"text": ["a"]}, index=pd.Index([7], name="id")), "the index 'id' would be lost"),
        (pd.DataFrame({"text": ["a"]}, index=pd.MultiIndex.from_tuples([(1, 2)])), "would be lost"),
        (pd.DataFrame([["a"]]), "the column 0 has a name that is no text"),
        (pd.DataFrame([["a", "b"]], columns=["text", "text"]), "has two columns 'text'"),
        (pa.table([["a"], ["b"]], names=["text", "text"]), "has two columns 'text'"),
        (pa.array([1]), "the Arrow array: of int64, where texts are needed"),
        (pa.table({"text": ["a"], "lope_ops": [1]}), "column 'lope_ops' has a name that versions use"),
        (datasets.Dataset.from_dict({"text": []}), "the Dataset: has no rows"),
        (datasets.DatasetDict(), "the DatasetDict: has no splits"),
        (datasets.Dataset.from_dict({"n": [1]})["n"], "the column, row 0: int, where a text"),
    ],
)
def test_what_cannot_be_a_source_is_said_in_one_line(held: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(lope_data.LopeDataError, match=message) as error:
        lope_data.ingest(held, store=tmp_path / "store")
    assert str(error.value).isprintable()
    assert not (tmp_path / "store").exists()


def test_a_row_that_holds_itself(tmp_path: Path) -> None:
    row: dict[str, Any] = {"text": "a text"}
    row["self"] = row
    with pytest.raises(lope_data.LopeDataError, match="row 0, column 'self': nested more than 250 deep"):
        lope_data.ingest([row], store=tmp_path)


def test_damaged_arrow_is_refused(tmp_path: Path) -> None:
    offsets = pa.py_buffer(np.array([0, 3], np.int32))
    bad = pa.StringArray.from_buffers(1, offsets, pa.py_buffer(b"a\xff\xfe"))
    with pytest.raises(lope_data.LopeDataError, match="the Arrow table: damaged"):
        lope_data.ingest(pa.table({"text": bad}), store=tmp_path)


def test_a_table_does_not_say_what_only_our_readers_may(tmp_path: Path) -> None:
    table = pa.table({"text": ["a text", "another"], "note": [None, "x"]})
    said = table.replace_schema_metadata({b"lope.absent": b'["note"]', b"pandas": b"{}"})
    assert opened(said).fingerprint == opened(table).fingerprint
    assert lope_data.ingest(said, {"shape": "text"}, store=tmp_path).layout.absent == ()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"config": "plain"}, "the list: --config is for a dataset on the hub"),
        ({"revision": "main"}, "the list: --revision is for a dataset on the hub"),
        ({"split": "train"}, "the list: has no splits"),
        ({"recipe": {"source": {"encoding": "latin-1"}}}, "the list: encoding is for files; leave it out"),
        ({"recipe": {"source": {"pattern": "(?P<text>.*)"}}}, "the list: pattern is for files"),
        ({"recipe": {"source": {"quoting": "none"}}}, "the list: quoting is for files"),
    ],
)
def test_what_is_asked_of_files_is_refused(asked: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(lope_data.LopeDataError, match=message):
        lope_data.ingest(ROWS, store=tmp_path, **asked)


def test_a_version_is_a_parent(tmp_path: Path) -> None:
    version = lope_data.ingest(ROWS, store=tmp_path)
    with pytest.raises(lope_data.LopeDataError, match=r"is a version; build on it with parent"):
        lope_data.build(source=version, store=tmp_path)  # type: ignore[arg-type]


def test_an_object_is_shown_without_its_rows() -> None:
    assert repr(in_memory(ROWS)) == str(in_memory(ROWS)) == "the list"
    assert isinstance(in_memory(pl.DataFrame()), InMemory)


def test_no_library_is_imported_to_tell_what_an_object_is() -> None:
    code = (
        "import sys; from lope_data.sources import in_memory; in_memory([{}]);"
        "print(sorted({'pandas', 'polars', 'datasets', 'pyarrow', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_shuffled_dataset_is_in_a_few_chunks() -> None:
    """`datasets` gives each of the rows that it gathers as a chunk, and a file of these takes minutes."""
    table = opened(datasets.Dataset.from_list(ROWS * 9).shuffle(seed=1)).read()
    assert len(table) == len(ROWS) * 9
    assert table["text"].num_chunks <= 3
