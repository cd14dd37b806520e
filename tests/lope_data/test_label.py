"""Label noise: never the same target again, and the clean one on record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lope_data.fields import targets_of
from lope_data.noise.label import choice, flip, swap_response
from lope_data.registry import Params
from lope_data.rng import Draw, row_hashes
from lope_data.shapes import ROW_ID

Ingest = Callable[..., pa.Table]


def targets(ingested: pa.Table, kind: str) -> pa.Table:
    return targets_of(ingested, kind).table


def draw_for(table: pa.Table) -> Draw:
    return Draw((614, 1, "test"), row_hashes(table[ROW_ID]))


def test_flip_is_uniform_over_the_other_classes(ingest_rows: Ingest) -> None:
    table = targets(ingest_rows([{"text": f"t{i}", "label": "abcd"[i % 4]} for i in range(4000)]), "class")
    after, _ = flip(table, table, draw_for(table), Params())
    pairs = Counter(zip(table["target"].to_pylist(), after.to_pylist(), strict=True))
    assert len(pairs) == 12
    assert all(a != b for a, b in pairs)
    assert sum((n - 1000 / 3) ** 2 / (1000 / 3) for n in pairs.values()) < 26.1  # chi-squared, 8, p = 0.001


def test_flip_needs_a_second_class(ingest_rows: Ingest) -> None:
    rows = [{"text": "a", "label": "x"}, {"text": "b", "label": "x"}, {"text": "c", "label": None}]
    table = targets(ingest_rows(rows), "class")
    assert flip(table, table, draw_for(table), Params())[0].null_count == 3


def test_choice_takes_a_wrong_text(ingest_rows: Ingest) -> None:
    rows = [{"question": f"q{i}", "choices": ["a", "b", "a", "c"], "answer": i % 4} for i in range(400)]
    rows += [
        {"question": "same", "choices": ["a", "a"], "answer": 0},
        {"question": "out of range", "choices": ["a", "b"], "answer": 7},
        {"question": "none", "choices": None, "answer": None},
        {"question": "null", "choices": ["a", None], "answer": 0},
    ]
    table = targets(ingest_rows(rows), "choice")
    after = choice(table, table, draw_for(table), Params())[0].to_pylist()
    assert after[400:] == [None] * 4
    for row, wrong in zip(rows, after[:400], strict=False):
        choices = row["choices"]
        assert choices[int(wrong)] != choices[row["answer"]]
    assert Counter(after[:400]).keys() == {"0", "1", "2", "3"}


@given(outputs=st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=30))
def test_swap_response_is_a_derangement_where_there_is_one(outputs: list[str]) -> None:
    from lope_data.ingest import ingest_table
    from lope_data.recipe import Columns

    source = pa.table({"instruction": [f"i{i}" for i in range(len(outputs))], "output": outputs})
    table = targets(ingest_table(source, "rows", None, Columns(), None, 0), "response")
    after, donors = (values.to_pylist() for values in swap_response(table, table, draw_for(table), Params()))
    for before, new in zip(outputs, after, strict=True):
        assert (new is None) == (len(set(outputs)) == 1)
        assert new != before
    if max(Counter(outputs).values()) * 2 <= len(outputs):
        assert Counter(after) == Counter(outputs)
        assert len(set(donors)) == len(outputs)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_swap_response_of_few_rows(ingest_rows: Ingest, rows: int) -> None:
    table = targets(ingest_rows([{"instruction": f"i{i}", "output": f"o{i}"} for i in range(rows)]), "response")
    after = swap_response(table, table, draw_for(table), Params())[0].to_pylist()
    assert after == [None] if rows == 1 else sorted(after) == [f"o{i}" for i in range(rows)]
    assert all(new != f"o{i}" for i, new in enumerate(after))


def test_a_donor_does_not_hang_on_the_selection(ingest_rows: Ingest) -> None:
    table = targets(ingest_rows([{"instruction": f"i{i}", "output": f"o{i}"} for i in range(50)]), "response")
    whole = swap_response(table, table, draw_for(table), Params())[0].to_pylist()
    some = table.take(pa.array(np.arange(0, 50, 7)))
    assert swap_response(some, table, draw_for(some), Params())[0].to_pylist() == whole[::7]
