"""Classification rows for a head: the classes, the tokens of a text, what is left out, and batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lope_train.data import resolve
from lope_train.data.classified import ClassifiedCollator, Encoder, check_trained, classes_of, load_classified
from lope_train.data.tokens import Counts
from lope_train.errors import VersionError
from lope_train.models import load_tokenizer

Families = Callable[[str], Path]
Write = Callable[..., None]
CLASSES = ("animal", "colour", "number")


def classes(store: Path, *names: str) -> tuple[str, ...]:
    return classes_of([resolve(name, store) for name in names])


@pytest.fixture(scope="module")
def tokenizer(tiny_of: Families) -> Any:
    return load_tokenizer(str(tiny_of("bert")), "classification")


@pytest.mark.parametrize(
    ("labels", "kind", "found"),
    [
        (["b", "a", "b", None, " "], None, ("a", "b")),
        (["10", "9", "-1"], None, ("-1", "9", "10")),
        (["10", "9", "x"], None, ("10", "9", "x")),
        (["--5", "-", "5"], None, ("-", "--5", "5")),
        (["1" * 5000, "2"], None, ("1" * 5000, "2")),
        ([10, 9, 10, None], pa.int64(), ("9", "10")),
        ([1.0, 0.0], pa.float64(), ("0.0", "1.0")),
        ([True, False], pa.bool_(), ("false", "true")),
        (["[1]", "[2]"], None, ("[1]", "[2]")),
    ],
)
def test_the_classes_of_labels(
    labels: list[Any], kind: Any, found: tuple[str, ...], labelled: Write, tmp_path: Path
) -> None:
    labelled(tmp_path, "data", labels, kind)
    assert classes(tmp_path, "data") == found


def test_the_classes_of_all_versions_together(labelled: Write, tmp_path: Path) -> None:
    labelled(tmp_path, "one", ["b", "b"])
    labelled(tmp_path, "two", ["a", "c"])
    assert classes(tmp_path, "one", "two") == ("a", "b", "c")


@pytest.mark.parametrize(
    ("labels", "kind", "said"),
    [
        (["a", "a"], None, r"data@\w+: a classification head needs at least two classes, and all of their labels are"),
        ([None, None], None, "they have no classification rows with a label"),
        ([[1], [1, 2]], pa.list_(pa.int64()), r"'label' has the label \[1,2\]: a head learns one class a row"),
        ([0.5, 1.0], pa.float64(), r"'label' has the label 0\.5: a head learns one class a row"),
    ],
)
def test_labels_that_no_head_learns(labels: list[Any], kind: Any, said: str, labelled: Write, tmp_path: Path) -> None:
    labelled(tmp_path, "data", labels, kind)
    with pytest.raises(VersionError, match=said):
        classes(tmp_path, "data")


def test_a_text_stands_between_the_tokenizer_s_own_special_tokens(tokenizer: Any, topics: Path) -> None:
    version = resolve("topics", topics)
    tokens = load_classified(version, tokenizer, CLASSES, max_length=16)
    assert tokens.counts == Counts(rows=48, unusable=0, too_long=0, truncated=0)
    for row, view in zip(tokens.dataset, version.views(), strict=True):
        assert row["input_ids"].tolist() == tokenizer(view["text"])["input_ids"]
        assert CLASSES[int(row["labels"])] == view["label"]
    assert tokens.dataset["row"][:].tolist() == list(range(48))


def test_rows_that_are_too_long_are_left_out_or_cut_before_the_end(tokenizer: Any, topics: Path) -> None:
    version = resolve("topics", topics)
    whole = [row["input_ids"].tolist() for row in load_classified(version, tokenizer, CLASSES, max_length=16).dataset]
    long = sum(len(ids) > 5 for ids in whole)
    assert 0 < long < 48
    left = load_classified(version, tokenizer, CLASSES, max_length=5)
    assert (left.counts.too_long, left.counts.truncated, len(left.dataset)) == (long, 0, 48 - long)
    cut = load_classified(version, tokenizer, CLASSES, max_length=5, truncate=True)
    assert (cut.counts.too_long, cut.counts.truncated, len(cut.dataset)) == (0, long, 48)
    for ids, row in zip(whole, cut.dataset, strict=True):
        assert row["input_ids"].tolist() == (ids if len(ids) <= 5 else [*ids[:4], tokenizer.sep_token_id])
    with pytest.raises(VersionError, match=r"nothing to train on: of 48 rows 0 .* 48 are too long for 3 tokens; raise"):
        load_classified(version, tokenizer, CLASSES, max_length=3)


def test_rows_of_other_shapes_and_without_a_label_are_counted(
    tokenizer: Any, tiny_store: Path, labelled: Write, tmp_path: Path
) -> None:
    version = resolve("tiny", tiny_store)
    counts = load_classified(version, tokenizer, ("negative", "positive"), max_length=64).counts
    assert (counts.rows, counts.unusable) == (24, 20)
    labelled(tmp_path, "data", ["a", None, "b", ""])
    counts = load_classified(resolve("data", tmp_path), tokenizer, ("a", "b"), max_length=64).counts
    assert (counts.rows, counts.unusable) == (4, 2)


def test_other_classes_are_other_tokens(tokenizer: Any, topics: Path) -> None:
    version = resolve("topics", topics)
    few, more = (
        load_classified(version, tokenizer, known, max_length=16).dataset["labels"][:]
        for known in (CLASSES, ("a", *CLASSES))
    )
    assert (few + 1).tolist() == more.tolist()


def test_a_class_that_training_has_not_seen_is_named(tokenizer: Any, topics: Path) -> None:
    with pytest.raises(VersionError, match="has the class 'number', which training has not seen; it has seen 'a"):
        load_classified(resolve("topics-test", topics), tokenizer, CLASSES[:2], max_length=16)
    with pytest.raises(VersionError, match=r"has the classes 'colour', 'number', which"):
        load_classified(resolve("topics-test", topics), tokenizer, CLASSES[:1], max_length=16)


def test_a_class_without_a_row_to_train_on_is_named(tokenizer: Any, topics: Path) -> None:
    tokens = load_classified(resolve("topics", topics), tokenizer, (*CLASSES, "zed"), max_length=16)
    with pytest.raises(VersionError, match=r"^v: no row to train on of the class 'zed', which only the noisy version"):
        check_trained("v", tokens, (*CLASSES, "zed"), 16)
    cut = replace(tokens, counts=replace(tokens.counts, too_long=3))
    with pytest.raises(VersionError, match="'zed': 3 rows are too long for 16 tokens; raise --max-length or give --tr"):
        check_trained("v", cut, (*CLASSES, "zed"), 16)
    check_trained("v", tokens, CLASSES, 16)


def test_a_batch(tokenizer: Any) -> None:
    rows = [{"input_ids": [2, 7, 8, 3], "labels": 2, "row": 5}, {"input_ids": [2, 3], "labels": 0, "row": 9}]
    batch = ClassifiedCollator(tokenizer)(rows)
    assert {name: values.tolist() for name, values in batch.items()} == {
        "input_ids": [[2, 7, 8, 3], [2, 3, 0, 0]],
        "attention_mask": [[1, 1, 1, 1], [1, 1, 0, 0]],
        "labels": [2, 0],
        "row": [5, 9],
    }


def test_no_texts_are_no_rows(tokenizer: Any) -> None:
    assert Encoder(tokenizer)([], 8) == []
