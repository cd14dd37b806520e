"""`stratify`: every class gives its share of the touched rows, to a row."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lope_data.builds import Options, build, ingest
from lope_data.inject.planning import plan
from lope_data.inject.rank import interleave, ranked
from lope_data.recipe import Recipe
from lope_data.rows import ROW_ID
from lope_data.text import Draw, row_hashes

Ingest = Callable[..., pa.Table]
MakeRecipe = Callable[..., Recipe]


def labelled(sizes: dict[str | None, int]) -> list[dict[str, Any]]:
    return [{"text": f"{label} {i}", "label": label} for label, size in sizes.items() for i in range(size)]


def order_of(table: pa.Table, stratify: bool = True) -> list[str]:
    """The row ids in the order in which a step touches them."""
    hashes = row_hashes(table[ROW_ID])
    order = ranked(table, hashes, Draw((614, 1, "step"), hashes), stratify)
    return list(table[ROW_ID].take(pa.array(order)).to_pylist())


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12))
def test_every_prefix_holds_floor_or_ceil_of_each_share(sizes: list[int]) -> None:
    sequence = interleave(np.array(sizes))
    assert np.bincount(sequence, minlength=len(sizes)).tolist() == sizes
    total = sum(sizes)
    counts = np.cumsum(np.eye(len(sizes), dtype=np.int64)[sequence], axis=0)
    exact = np.outer(np.arange(1, total + 1), sizes)  # counts times total
    assert (counts >= exact // max(total, 1)).all()
    assert (counts <= -(-exact // max(total, 1))).all()


def test_many_small_classes_give_the_share_asked(ingest_rows: Ingest, make_recipe: MakeRecipe) -> None:
    """cleanlab#977: 120 classes and 20 % of noise came out as something else."""
    table = ingest_rows(labelled({f"c{i:03}": 5 for i in range(120)}))
    deals, _ = plan(table, make_recipe(ratio=0.2, stratify=True, mix={"label.flip": 1}), (614, 1))
    touched = Counter(table["label"].take(pa.array(deals[0].rows)).to_pylist())
    assert touched == {f"c{i:03}": 1 for i in range(120)}


@pytest.mark.parametrize("ratio", [0.01, 0.1, 0.2, 1 / 3, 0.77, 1.0])
def test_the_total_is_exact_and_each_class_within_a_row(
    ingest_rows: Ingest, make_recipe: MakeRecipe, ratio: float
) -> None:
    sizes = {f"c{i}": 3 + 7 * i for i in range(30)}
    table = ingest_rows(labelled(sizes))
    deals, _ = plan(table, make_recipe(ratio=ratio, stratify=True, mix={"label.flip": 1}), (614, 1))
    touched = Counter(table["label"].take(pa.array(deals[0].rows)).to_pylist())
    wanted = round(ratio * len(table))
    assert sum(touched.values()) == wanted
    for label, size in sizes.items():
        assert wanted * size // len(table) <= touched[label] <= -(-wanted * size // len(table))


@pytest.mark.parametrize("transition", ["uniform", "pairwise"])
def test_flips_of_a_build_are_exact_in_total_and_per_class(
    options: Options, tmp_path: Any, make_recipe: MakeRecipe, transition: str
) -> None:
    (tmp_path / "rows.csv").write_text(
        "text,label\n" + "".join(f"a text {i},{'abcd'[i % 4]}\n" for i in range(400)), encoding="utf-8"
    )
    clean = ingest(str(tmp_path / "rows.csv"), Recipe(), None, options)
    step = {"ratio": 0.2, "stratify": True, "mix": {"label.flip": 1}}
    recipe = make_recipe(**step, params={"label.flip": {"transition": transition}})
    noisy = build(clean, recipe, None, options)
    before, after = clean.rows["label"].to_pylist(), noisy.rows["label"].to_pylist()
    assert Counter(a for a, b in zip(before, after, strict=True) if a != b) == dict.fromkeys("abcd", 20)
    if transition == "pairwise":
        flips = {(a, b) for a, b in zip(before, after, strict=True) if a != b}
        assert flips == {("a", "b"), ("b", "c"), ("c", "d"), ("d", "a")}


def test_a_smaller_ratio_touches_a_subset(ingest_rows: Ingest, make_recipe: MakeRecipe) -> None:
    table = ingest_rows(labelled({"a": 50, "b": 31, "c": 7, None: 12}))
    before: set[int] = set()
    for ratio in (0.05, 0.1, 0.33, 0.8, 1.0):
        deals, _ = plan(table, make_recipe(ratio=ratio, stratify=True, mix={"char": 1}), (614, 1))
        rows = set(deals[0].rows.tolist())
        assert before < rows
        before = rows


def test_the_order_of_the_rows_says_nothing(ingest_rows: Ingest) -> None:
    table = ingest_rows(labelled({"a": 50, "b": 31, "c": 7, None: 12}))
    shuffled = table.take(pa.array(np.argsort(row_hashes(table[ROW_ID]))))
    assert order_of(table) == order_of(shuffled)
    assert order_of(table) != order_of(table, stratify=False)


def test_within_a_class_the_order_is_that_without_strata(ingest_rows: Ingest) -> None:
    table = ingest_rows(labelled({"a": 50, "b": 31}))
    label = dict(zip(table[ROW_ID].to_pylist(), table["label"].to_pylist(), strict=True))
    for name in "ab":
        one, two = ([i for i in order_of(table, stratify) if label[i] == name] for stratify in (True, False))
        assert one == two


def test_rows_of_other_shapes_and_without_a_label_are_a_class_of_their_own(
    ingest_rows: Ingest, make_recipe: MakeRecipe
) -> None:
    rows = labelled({"a": 40, "b": 20, None: 10})
    rows += [{"instruction": f"do {i} now", "output": "done"} for i in range(30)]
    table = ingest_rows(rows)
    deals, _ = plan(table, make_recipe(ratio=0.1, stratify=True, mix={"word": 1, "char": 1}), (614, 1))
    touched = Counter(table["label"].take(pa.array(deals[0].rows)).to_pylist())
    assert touched == {"a": 4, "b": 2, None: 4}


def test_a_table_without_labels_is_ranked_as_without_strata(ingest_rows: Ingest) -> None:
    table = ingest_rows([{"instruction": f"do {i}", "output": "done"} for i in range(30)])
    assert order_of(table) == order_of(table, stratify=False)


def test_a_million_rows_of_a_thousand_classes_take_seconds() -> None:
    began = time.process_time()
    sequence = interleave(np.arange(500, 1500))
    assert time.process_time() - began < 10  # about one
    assert len(sequence) == 999_500
