"""Which rows, which ops: exact, nested, dealt by prefix-stable sequences, and never to a row that cannot change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lope_data.errors import NoiseError
from lope_data.inject.apply import corrupt_rows
from lope_data.inject.planning import plan
from lope_data.inject.rank import Dealer
from lope_data.noise import newest_edition
from lope_data.recipe import Recipe
from lope_data.rows import OPS, ROW_ID
from lope_data.store import Version
from lope_data.text import row_hashes

MakeRecipe = Callable[..., Recipe]
CONTEXT = (614, 1)
NAMES = ("char.insert", "char.delete", "word.shuffle", "label.flip")


def corrupt(rows: pa.Table, recipe: Recipe, context: tuple[int, int] = CONTEXT) -> tuple[pa.Table, pa.Table]:
    deals, _ = plan(rows, recipe, context)
    done = corrupt_rows(rows, row_hashes(rows[ROW_ID]), deals, context, recipe.guard)
    return done.rows, done.edits


@given(st.lists(st.integers(1, 9), min_size=4, max_size=4), st.integers(0, 400))
def test_every_level_stays_within_one_row_of_its_share(weights: list[int], rows: int) -> None:
    shares = [Fraction(w, sum(weights)) for w in weights]
    dealt = Dealer(shares, NAMES).deal(np.ones((4, rows), np.bool_))
    for turn in {rows // 3, rows // 2, rows}:
        counts = np.bincount(dealt[:turn], minlength=4)
        for ops in ([0, 1], [2], [3]):
            assert abs(sum(counts[i] for i in ops) - turn * sum(shares[i] for i in ops)) < 1


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=60), st.integers(0, 60))
def test_deals_are_prefix_stable_and_possible(able: list[list[bool]], cut: int) -> None:
    can = np.array(able).T
    shares = [Fraction(1, 4)] * 4
    dealt = Dealer(shares, NAMES).deal(can)
    assert np.array_equal(Dealer(shares, NAMES).deal(can[:, :cut]), dealt[:cut])
    for row, op in enumerate(dealt.tolist()):
        assert can[op, row] if op >= 0 else not can[:, row].any()


@pytest.mark.parametrize("ratio", [0.0, 0.001, 0.05, 0.2, 1 / 3, 1.0])
def test_touches_exactly_round_ratio_times_rows(sample: Version, make_recipe: MakeRecipe, ratio: float) -> None:
    clean = sample.rows
    noisy, _ = corrupt(clean, make_recipe(ratio=ratio))
    touched = [bool(ops) for ops in noisy[OPS].to_pylist()]
    assert sum(touched) == round(ratio * len(clean))
    changed = [a != b for a, b in zip(clean.drop([OPS]).to_pylist(), noisy.drop([OPS]).to_pylist(), strict=True)]
    assert changed == touched  # what is dealt changes, and nothing else does


def test_levels_and_ops_get_their_shares(sample: Version, make_recipe: MakeRecipe) -> None:
    noisy, _ = corrupt(sample.rows, make_recipe(ratio=0.2))
    counts = Counter(op for ops in noisy[OPS].to_pylist() for op in ops)
    levels = Counter(
        {level: sum(n for op, n in counts.items() if op.startswith(level)) for level in ("char", "word", "label")}
    )
    assert levels == {"char": 160, "word": 160, "label": 160}
    ops = newest_edition().levels
    for level in ("char", "word"):  # every row can take most of these; label ops need rows of their kind
        assert all(abs(counts[op] - 160 / len(ops[level])) <= 1 for op in ops[level])
    assert {op for op in counts if op.startswith("label")} == set(ops["label"])


def test_a_smaller_ratio_is_a_subset_with_the_same_edits(sample: Version, make_recipe: MakeRecipe) -> None:
    clean = sample.rows
    small, small_edits = corrupt(clean, make_recipe(ratio=0.1))
    large, large_edits = corrupt(clean, make_recipe(ratio=0.37))
    kept = {row_id for row_id, ops in zip(small[ROW_ID].to_pylist(), small[OPS].to_pylist(), strict=True) if ops}
    assert small_edits.to_pylist() == [e for e in large_edits.to_pylist() if e["row_id"] in kept]
    for a, b in zip(small.to_pylist(), large.to_pylist(), strict=True):
        assert a == b or not a[OPS]


def test_rows_keep_their_noise_when_others_leave_and_in_any_order(sample: Version, make_recipe: MakeRecipe) -> None:
    """The text noise of a row is a function of the row; which rows are touched, and donors, look at the dataset."""
    recipe = make_recipe(ratio=1.0, mix={"char.delete": 1})
    clean = sample.rows
    noisy = {row[ROW_ID]: row for row in corrupt(clean, recipe)[0].to_pylist()}
    half = clean.take(pa.array(np.arange(len(clean))[::-2]))
    assert all(noisy[row[ROW_ID]] == row for row in corrupt(half, recipe)[0].to_pylist())


def test_row_order_changes_nothing(sample: Version, make_recipe: MakeRecipe) -> None:
    recipe, clean = make_recipe(ratio=0.3), sample.rows
    order = np.argsort(row_hashes(clean[ROW_ID]))
    straight = {row[ROW_ID]: row for row in corrupt(clean, recipe)[0].to_pylist()}
    shuffled = {row[ROW_ID]: row for row in corrupt(clean.take(pa.array(order)), recipe)[0].to_pylist()}
    assert straight == shuffled


@pytest.mark.parametrize("other", [{"seed": 615}, {"name": "second"}, {}])
def test_another_seed_step_or_depth_is_independent(
    sample: Version, make_recipe: MakeRecipe, other: dict[str, Any]
) -> None:
    """Nois and HyNoIse of one seed overlap by the product of their ratios, not by the smaller of them."""
    clean = sample.rows
    one, _ = corrupt(clean, make_recipe(ratio=0.3))
    two, _ = corrupt(clean, make_recipe(ratio=0.3, **other), (other.get("seed", 614), 1 if other else 2))
    both = sum(bool(a) and bool(b) for a, b in zip(one[OPS].to_pylist(), two[OPS].to_pylist(), strict=True))
    spread = (len(clean) * 0.09 * 0.91) ** 0.5
    assert abs(both - 0.09 * len(clean)) < 4 * spread


def test_steps_follow_each_other(sample: Version) -> None:
    recipe = Recipe.model_validate(
        {
            "steps": [
                {"name": "first", "ratio": 0.5, "mix": {"word.delete": 1}, "level": 0.9},
                {"name": "second", "ratio": 0.5, "mix": {"word.shuffle": 1, "label": 1}},
            ]
        }
    )
    clean = sample.rows
    noisy, edits = corrupt(clean, recipe)
    twice = [ops for ops in noisy[OPS].to_pylist() if len(ops) == 2]
    assert twice
    assert all(ops[0] == "word.delete" for ops in twice)
    counts = Counter(step for step in {(e["row_id"], e["step"]) for e in edits.to_pylist()} for step in [step[1]])
    assert counts == {"first": 1200, "second": 1200}
    assert replay(clean, edits) == noisy.drop([OPS]).to_pylist()


def replay(clean: pa.Table, edits: pa.Table) -> list[dict[str, Any]]:
    """The records applied to the clean rows, by FORMAT.md alone."""
    rows = {row[ROW_ID]: row for row in clean.drop([OPS]).to_pylist()}
    shift: dict[tuple[str, ...], int] = {}
    for edit in edits.to_pylist():
        row, path = rows[edit["row_id"]], edit["path"]
        text = str(row[path]).encode()
        key = (edit["row_id"], edit["step"], path)
        start, end = (edit[name] + shift.get(key, 0) for name in ("start", "end"))
        assert text[start:end].decode() == edit["before"]
        new = (text[:start] + edit["after"].encode() + text[end:]).decode()
        row[path] = int(new) if path == "answer" else new
        shift[key] = shift.get(key, 0) + edit["new_end"] - edit["end"]
    return list(rows.values())


@pytest.mark.parametrize("ratio", [0.2, 1.0])
def test_edit_records_replay(sample: Version, make_recipe: MakeRecipe, ratio: float) -> None:
    noisy, edits = corrupt(sample.rows, make_recipe(ratio=ratio))
    assert replay(sample.rows, edits) == noisy.drop([OPS]).to_pylist()


def test_level_zero_touches_nothing(sample: Version, make_recipe: MakeRecipe) -> None:
    noisy, edits = corrupt(sample.rows, make_recipe(ratio=0.5, level=0.0))
    assert noisy.equals(sample.rows)
    assert not len(edits)


def test_too_few_changeable_rows_are_refused(sample: Version, make_recipe: MakeRecipe) -> None:
    with pytest.raises(NoiseError, match=r"asks for 1200 rows \(ratio 0.5 of 2400\).*change only 800"):
        corrupt(sample.rows, make_recipe(ratio=0.5, mix={"label.flip": 1}))


def test_nulls_and_empty_text_are_passed_over(ingest_rows: Callable[..., pa.Table], make_recipe: MakeRecipe) -> None:
    rows = [{"instruction": "", "input": None, "output": "kept"}] * 5
    rows += [{"instruction": f"say {i} twice", "input": None if i % 2 else "now", "output": None} for i in range(5)]
    table = ingest_rows(rows)
    noisy, _ = corrupt(table, make_recipe(ratio=0.5, mix={"char": 1}))
    assert [bool(ops) for ops in noisy[OPS].to_pylist()] == [False] * 5 + [True] * 5
    assert noisy["input"].null_count == 7
    assert noisy["output"].null_count == 5
