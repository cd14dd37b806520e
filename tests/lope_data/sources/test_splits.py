"""Splits are found as `datasets` finds them, asked for by name, and never merged."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import data_files

from lope_data.errors import SourceError
from lope_data.sources import Reading, open_source, open_splits
from lope_data.sources.files import folder_fingerprint
from lope_data.sources.splits import KEYWORDS, grouped

Folder = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder of the given files, each with one row that says which file it is of: `folder("train.jsonl")`."""

    def make(*names: str, name: str = "imdb") -> Path:
        for one in names:
            path = tmp_path / name / one
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"text": one, "label": "x"}) + "\n")
        return tmp_path / name

    return make


def texts(source: Path, **reading: Any) -> list[str]:
    return list(open_source(str(source), Reading(**reading)).read()["text"].to_pylist())


def refused(source: Path | str, **reading: Any) -> str:
    with pytest.raises(SourceError) as error:
        open_source(str(source), Reading(**reading)).read()
    return str(error.value)


def test_the_words_are_those_of_datasets() -> None:
    assert {str(split): tuple(words) for split, words in data_files.SPLIT_KEYWORDS.items()} == KEYWORDS
    assert data_files.NON_WORDS_CHARS == "-._ 0-9"
    assert f"data/{{split}}-{'[0-9]' * 5}-of-{'[0-9]' * 5}*.*" == data_files.SPLIT_PATTERN_SHARDED
    assert {"config.json", "dataset_info.json", "dataset_infos.json"} <= set(data_files.FILES_TO_IGNORE)


@pytest.mark.parametrize(
    "names",
    [
        ["train.jsonl", "validation.jsonl", "test.jsonl"],
        ["training.csv", "dev.csv", "evaluation.csv"],
        ["my_train_1.csv", "my_train_2.csv", "my-test-2.csv", "x val.csv"],
        ["squad.train.json", "squad.dev.json"],
        ["train1.jsonl", "2test.jsonl"],
        ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"],
        ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "data/test-00000-of-00001.parquet"],
        ["data/train-00000-of-00001.parquet", "data/extra-00000-of-00001.parquet"],
        ["data/dev-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet"],
        ["train/a.csv", "train/b.csv", "test/a.csv"],
        ["data/train/a.csv", "data/valid/b.csv", "data/eval/c/d.csv"],
        ["my_train/a.csv", "my-test/a.csv"],
        ["part-00000-of-00002.jsonl", "part-00001-of-00002.jsonl"],
        ["latest.jsonl", "contest.jsonl", "trainer.jsonl", "imdbtrain.jsonl", "devel.jsonl"],
    ],
)
def test_splits_are_found_as_datasets_finds_them(folder: Folder, names: list[str]) -> None:
    place = folder(*names)
    theirs: dict[str, set[str]] = {}
    for split, patterns in data_files.get_data_patterns(str(place)).items():
        for pattern in patterns:
            try:
                found = data_files.resolve_pattern(pattern, str(place))
            except FileNotFoundError:
                continue
            theirs.setdefault(str(split), set()).update(os.path.relpath(path, place) for path in found)
    mine = grouped(names, "here")
    whole = mine.splits or {"train": mine.others}  # what names no split is `train` to them
    assert {split: set(files) for split, files in whole.items()} == theirs
    assert list(whole) == list(theirs)
    assert not (mine.splits and mine.others)


def test_several_splits_are_listed_and_none_is_read(folder: Folder) -> None:
    place = folder("test.jsonl", "train.jsonl", "validation.jsonl")
    assert refused(place) == (
        f"{place}: holds the splits train, validation, test, and a version holds one; "
        "name it, as in --split train, or --split all for a version of each"
    )
    assert {split: texts(place, split=split) for split in ("train", "validation", "test")} == {
        "train": ["train.jsonl"],
        "validation": ["validation.jsonl"],
        "test": ["test.jsonl"],
    }
    assert "has no split 'trian', only train, validation, test; did you mean 'train'?" in refused(place, split="trian")


def test_a_split_goes_by_its_other_words_too(folder: Folder) -> None:
    place = folder("train.jsonl", "dev.jsonl")
    for asked in ("validation", "dev", "val"):
        opened = open_source(str(place), Reading(split=asked))
        assert (opened.reading.split, opened.read()["text"].to_pylist()) == ("validation", ["dev.jsonl"])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["dev.jsonl", "val.jsonl"], "dev.jsonl and val.jsonl are both of the split validation"),
        (["train_test.jsonl"], "train_test.jsonl names the splits train and test"),
        (["train/test/a.jsonl"], "train/test/a.jsonl names the splits train and test"),
        (["train.jsonl", "labels.jsonl"], "the split train and labels.jsonl, which names no split, and a version"),
        (["test.jsonl", "a.jsonl", "b.jsonl"], "the split test and a.jsonl, b.jsonl, which name no split"),
        (["sst2/train.jsonl", "cola/train.jsonl"], "holds splits in several folders (cola, sst2); name one of these"),
        (["train.jsonl", "train.csv"], "holds files of several kinds (train.csv, train.jsonl)"),
    ],
)
def test_what_would_be_a_guess(folder: Folder, names: list[str], message: str) -> None:
    assert message in refused(folder(*names))


def test_files_of_no_split_beside_splits(folder: Folder) -> None:
    place = folder("train.jsonl", "test.jsonl", "labels.jsonl")
    assert refused(place) == (
        f"{place}: holds the splits train, test and labels.jsonl, which names no split, and a version holds one; "
        "name it, as in --split train"
    )
    assert texts(place, split="train") == ["train.jsonl"]
    with pytest.raises(SourceError, match=r"labels.jsonl is of no split; move it, or name one split"):
        open_splits(str(place), Reading())


def test_what_says_something_of_a_dataset_is_no_row(folder: Folder) -> None:
    assert texts(folder("dataset_infos.json", "config.json", "data/train-00000-of-00001.json")) == [
        "data/train-00000-of-00001.json"
    ]


@pytest.mark.parametrize("names", [["train-0.jsonl", "train-1.jsonl"], ["part-0.jsonl", "part-1.jsonl"]])
def test_files_of_one_split_or_none_are_one_dataset(folder: Folder, names: list[str]) -> None:
    """And one that keeps the fingerprint it had before splits were looked for."""
    place = folder(*names)
    opened = open_source(str(place))
    assert opened.fingerprint == folder_fingerprint(place, [place / name for name in names])
    assert opened.reading == Reading()
    assert opened.read()["text"].to_pylist() == names


def test_the_only_split_may_be_asked_for(folder: Folder) -> None:
    place = folder("train-0.jsonl", "train-1.jsonl")
    opened = open_source(str(place), Reading(split="train"))
    assert (opened.name, opened.fingerprint) == ("imdb-train", open_source(str(place)).fingerprint)
    assert "has no split 'test', only train" in refused(place, split="test")


def test_folders_below_are_looked_into_where_there_are_no_files(folder: Folder) -> None:
    assert texts(folder("train/b.jsonl", "train/a.jsonl", "test/a.jsonl"), split="train") == [
        "train/a.jsonl",
        "train/b.jsonl",
    ]
    beside = folder("a.jsonl", "test/a.jsonl", name="rows")
    assert texts(beside) == ["a.jsonl"]
    hidden = folder(".train/a.jsonl", "__train/a.jsonl", "store/train/v/a.jsonl", name="none")
    (hidden / "store" / "train" / "v" / "manifest.json").write_text("{}")
    (hidden / "notes").mkdir()
    assert "without files of a kind that can be read" in refused(hidden)


def test_names_in_capitals_and_names_with_the_split_last(folder: Folder) -> None:
    assert "the splits train, test" in refused(folder("Train.jsonl", "TEST.jsonl"))
    lines = folder("TREC.train", "TREC.test", name="trec")
    pattern = '.*"text": "(?P<text>[^"]*)".*'
    assert "the splits train, test" in refused(lines, pattern=pattern)
    assert texts(lines, pattern=pattern, split="test") == ["TREC.test"]


def test_errors_in_a_split_name_its_file(folder: Folder) -> None:
    place = folder("train.jsonl", "test.jsonl")
    assert open_source(str(place), Reading(split="test")).where == str(place / "test.jsonl")


@pytest.mark.parametrize(
    ("reading", "message"),
    [
        ({"split": "train"}, ": has no splits; leave --split out"),
        ({"config": "main"}, ": --config is for a dataset on the hub; leave it out"),
        ({"revision": "main"}, ": --revision is for a dataset on the hub; leave it out"),
    ],
)
def test_what_a_source_does_not_have(folder: Folder, reading: dict[str, str], message: str) -> None:
    place = folder("part-0.jsonl")
    for source in (place / "part-0.jsonl", place, "sample"):
        assert refused(source, **reading) == f"{source}{message}"
    with pytest.raises(SourceError, match="has no splits; leave --split out"):
        open_splits("sample", Reading())


def saved_dict(path: Path, *splits: str) -> Path:
    made = {split: datasets.Dataset.from_dict({"text": [split], "label": ["x"]}) for split in splits}
    datasets.DatasetDict(made).save_to_disk(path)
    return path


def test_a_saved_dict(tmp_path: Path) -> None:
    place = saved_dict(tmp_path / "imdb", "train", "test")
    assert refused(place).startswith(f"{place}: holds the splits train, test, and a version holds one; name it, as in")
    opened = open_source(str(place), Reading(split="test"))
    assert (opened.name, opened.read()["text"].to_pylist()) == ("imdb-test", ["test"])
    assert opened.fingerprint == open_source(str(place / "test")).fingerprint
    assert open_source(str(place / "test")).name == "imdb-test"
    assert texts(saved_dict(tmp_path / "one", "test")) == ["test"]
    assert "a saved dataset; leave out encoding, which other files need" in refused(
        place, split="test", encoding="ascii"
    )


@pytest.mark.parametrize("said", ['{"splits": ["../out", "test"]}', "{}", "5", '{"splits": 5}'])
def test_a_saved_dict_that_names_what_is_not_in_it(tmp_path: Path, said: str) -> None:
    saved_dict(tmp_path / "out", "a")
    place = saved_dict(tmp_path / "imdb", "test")
    (place / "dataset_dict.json").write_text(said)
    assert texts(place) == ["test"]
    assert "has no split '../out/a', only test" in refused(place, split="../out/a")


def test_a_split_that_goes_by_another_word(tmp_path: Path) -> None:
    place = saved_dict(tmp_path / "imdb", "train", "dev", "evaluation", "eval")
    assert texts(place, split="validation") == ["dev"]
    assert texts(place, split="eval") == ["eval"]
    assert "has no split 'test', only" in refused(place, split="test")  # which of the two?


def test_a_saved_dict_that_lacks_a_split(tmp_path: Path) -> None:
    place = saved_dict(tmp_path / "imdb", "train", "test")
    (place / "test").rename(tmp_path / "test")
    assert "holds the splits train, test" in refused(place)
    assert f"{place}/test: cannot be read as a saved dataset" in refused(place, split="test")


def test_a_saved_dict_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "dataset_dict.json").write_text('{"splits": [".."]}')
    assert "a saved DatasetDict without a split" in refused(tmp_path)


def test_a_pattern_of_files(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    place = folder("train-0.jsonl", "train-1.jsonl", "test-0.jsonl", ".train-2.jsonl", "notes.txt")
    assert "the splits train, test, and a version holds one" in refused(place / "*.jsonl")
    assert texts(place / "*.jsonl", split="train") == ["train-0.jsonl", "train-1.jsonl"]
    opened = open_source(str(place / "train-*"))
    assert (opened.name, opened.read()["text"].to_pylist()) == ("imdb-train", ["train-0.jsonl", "train-1.jsonl"])
    monkeypatch.chdir(place)
    assert open_source("train-[01].jsonl").fingerprint == opened.fingerprint
    assert texts(place.parent / "*" / "test-0.jsonl") == ["test-0.jsonl"]
    (place / "train-0.csv").write_text("text\n")
    assert "train-*: holds files of several kinds" in refused("train-*")
    assert refused("a**b.jsonl") == "a**b.jsonl: no such file or folder"
    assert refused("x-*.jsonl") == "x-*.jsonl: no such file or folder"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("imdb/train.jsonl", "imdb-train"),
        ("imdb/test.jsonl", "imdb-test"),
        ("imdb/dev.jsonl", "imdb-dev"),
        ("imdb/Train.jsonl", "imdb-Train"),
        ("imdb/train.jsonl.gz", "imdb-train"),
        ("imdb/train-00000-of-00002.jsonl", "imdb-train-00000-of-00002"),
        ("imdb/data/train.jsonl", "imdb-train"),
        ("imdb/data/train/test.jsonl", "imdb-test"),
        ("imdb/reviews.jsonl", "reviews"),
        ("imdb/my_train.jsonl", "my_train"),
        ("imdb/train/part-0.jsonl", "part-0"),
        ("imdb/train", "imdb-train"),
        ("imdb/../imdb/train.jsonl", "imdb-train"),
        ("imdb/./train.jsonl", "imdb-train"),
    ],
)
def test_names_come_from_the_dataset(tmp_path: Path, source: str, name: str) -> None:
    path = tmp_path / source
    if not path.suffix:
        path.mkdir(parents=True)
        path /= "part-0.jsonl"
    path.parent.resolve().mkdir(parents=True, exist_ok=True)
    path.write_text('{"text": "a", "label": "x"}\n')
    assert open_source(str(tmp_path / source)).name == name


def test_names_of_relative_paths_of_folders_and_of_plain_text(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = folder("train.jsonl", "test.jsonl", "data/test/a.jsonl")
    monkeypatch.chdir(place)
    assert open_source("train.jsonl").name == "imdb-train"
    assert open_source(".", Reading(split="test")).name == "imdb-test"
    assert open_source("data").name == "imdb-test"
    assert open_source(str(folder("mmlu/dev/law_dev.jsonl") / "mmlu" / "dev")).name == "mmlu-dev"
    (tmp_path / "TREC.train").write_text("a\n")
    assert open_source(str(tmp_path / "TREC.train"), Reading(pattern="(?P<text>.)")).name == "TREC-train"


def test_a_folder_of_splits_imports_nothing_slow(folder: Folder) -> None:
    code = (
        "import sys; from lope_data.sources import Reading, open_source\n"
        "open_source(sys.argv[1], Reading(split='train'))\n"
        "slow = {'datasets', 'pyarrow'} & sys.modules.keys(); assert not slow, slow"
    )
    subprocess.run([sys.executable, "-c", code, folder("train.jsonl", "test.jsonl")], check=True)


def test_a_long_list_is_cut(folder: Folder) -> None:
    place = folder("data/train-00000-of-00001.jsonl", *(f"data/s{i}-00000-of-00001.jsonl" for i in range(40)))
    assert re.search(r"s25 and 21 more, and a version", refused(place))
