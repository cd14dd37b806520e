"""Label noise: never the same target again, and the clean one on record."""

from __future__ import annotations

import gc
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lope_data.errors import NoiseError, RecipeError
from lope_data.noise.op import LabelOp, Params
from lope_data.noise.ops.label import FlipParams, choice, flip
from lope_data.noise.ops.response import TruncateParams, near_miss_number, swap_response, truncate_response
from lope_data.noise.registry import all_ops, op_version
from lope_data.recipe import Step
from lope_data.rows import ROW_ID, targets_of
from lope_data.text import Draw, row_hashes

Ingest = Callable[..., pa.Table]


LABEL_OPS = [op for op in all_ops().values() if isinstance(op, LabelOp)]
every_label_op = pytest.mark.parametrize("op", LABEL_OPS, ids=lambda op: op.name)
POPULATION = {
    "class": [{"text": f"t{i}", "label": [None, "ham", "spam", "eggs", "ham"][i % 5]} for i in range(12)],
    "choice": [{"question": f"q{i}", "choices": ["a", "b", "a", None, "c"], "answer": i % 6} for i in range(12)],
    "response": [
        {"instruction": f"i{i}", "output": text}
        for i, text in enumerate(
            [
                "It costs 1,234.50 euros in all.",
                "#### 42",
                "one",
                " \n",
                None,
                "Ärger über öffentliche Gebäude: cafe\u0301 \u0301 7",
                "no number, in v2 either",
                "one",
                "-1",
                '007 said:\n\n  "shaken"\t\u3000 ',
                "👨\u200d👩\u200d👧 family 🇩🇪 flag 日本語 0.05",
                "99 99",
            ]
        )
    ],
}
GOLDEN: dict[str, tuple[str, list[str | None]]] = {
    "label.flip": ("1", [None, "spam", "ham", "spam", "eggs", None, "spam", "eggs", "ham", "spam", None, "eggs"]),
    "label.choice": ("1", ["4", "0", "1", "1", "0", None, "4", "4", "4", "4", "0", None]),
    "label.swap_response": (
        "1",
        [
            "one",
            "one",
            '007 said:\n\n  "shaken"\t\u3000 ',
            "99 99",
            None,
            "no number, in v2 either",
            "-1",
            "👨\u200d👩\u200d👧 family 🇩🇪 flag 日本語 0.05",
            "It costs 1,234.50 euros in all.",
            " \n",
            "Ärger über öffentliche Gebäude: café ́ 7",
            "#### 42",
        ],
    ),
    "label.truncate_response": (
        "1",
        [
            "It",
            "####",
            None,
            None,
            None,
            "Ärger über öffentliche Gebäude:",
            "no",
            None,
            None,
            "007",
            "👨\u200d👩\u200d👧",
            "99",
        ],
    ),
    "label.near_miss_number": (
        "1",
        [
            "It costs 123.45 euros in all.",
            "#### 43",
            None,
            None,
            None,
            "Ärger über öffentliche Gebäude: café ́ 70",
            None,
            None,
            "-2",
            '008 said:\n\n  "shaken"\t\u3000 ',
            "👨\u200d👩\u200d👧 family 🇩🇪 flag 日本語 0.08",
            "99 990",
        ],
    ),
}


def targets(ingested: pa.Table, kind: str) -> pa.Table:
    return targets_of(ingested, kind).table


def draw_for(table: pa.Table) -> Draw:
    return Draw((614, 1, "test"), row_hashes(table[ROW_ID]))


@pytest.fixture
def population(op: LabelOp, ingest_rows: Ingest) -> pa.Table:
    """A small population that the op can change some rows of."""
    return targets(ingest_rows(POPULATION[op.kind]), op.kind)


@every_label_op
def test_output_is_golden(op: LabelOp, population: pa.Table) -> None:
    """The committed output of each op: when it changes, the op's version must."""
    after, _ = op.propose(population, population, draw_for(population), op.params())
    assert (op_version(op, op.params()), after.to_pylist()) == GOLDEN[op.name]


@every_label_op
def test_never_the_same_target_and_null_where_there_is_none(op: LabelOp, population: pa.Table) -> None:
    after, detail = op.propose(population, population, draw_for(population), op.params())
    assert 0 < after.null_count < len(after) == len(detail)
    for before, new, said in zip(population["target"].to_pylist(), after.to_pylist(), detail.to_pylist(), strict=True):
        assert new is None or (before is not None and new != before)
        assert new is not None or said is None


@every_label_op
def test_able_are_those_that_get_a_new_target(op: LabelOp, population: pa.Table) -> None:
    after, _ = op.propose(population, population, draw_for(population), op.params())
    able = op.can(population, population, draw_for(population), op.params())
    assert able.tolist() == after.is_valid().to_pylist()


@every_label_op
def test_proposals_do_not_depend_on_the_batch(op: LabelOp, population: pa.Table) -> None:
    whole = op.propose(population, population, draw_for(population), op.params())
    for some in (np.arange(len(population))[::-1], np.arange(1, len(population), 3), np.array([5]), np.array([], int)):
        rows = population.take(pa.array(some, pa.int64()))
        part = op.propose(rows, population, draw_for(rows), op.params())
        for mine, all_ in zip(part, whole, strict=True):
            assert mine.to_pylist() == all_.take(pa.array(some, pa.int64())).to_pylist()


@every_label_op
def test_the_order_of_the_population_says_nothing(op: LabelOp, population: pa.Table) -> None:
    backwards = population.take(pa.array(np.arange(len(population))[::-1]))
    one, two = (op.propose(population, rows, draw_for(population), op.params())[0] for rows in (population, backwards))
    assert one.to_pylist() == two.to_pylist()


def test_flip_is_uniform_over_the_other_classes(ingest_rows: Ingest) -> None:
    table = targets(ingest_rows([{"text": f"t{i}", "label": "abcd"[i % 4]} for i in range(4000)]), "class")
    after, _ = flip(table, table, draw_for(table), FlipParams())
    pairs = Counter(zip(table["target"].to_pylist(), after.to_pylist(), strict=True))
    assert len(pairs) == 12
    assert all(a != b for a, b in pairs)
    assert sum((n - 1000 / 3) ** 2 / (1000 / 3) for n in pairs.values()) < 26.1  # chi-squared, 8, p = 0.001


def test_flip_needs_a_second_class(ingest_rows: Ingest) -> None:
    rows = [{"text": "a", "label": "x"}, {"text": "b", "label": "x"}, {"text": "c", "label": None}]
    table = targets(ingest_rows(rows), "class")
    assert flip(table, table, draw_for(table), FlipParams())[0].null_count == 3


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
    from lope_data.rows import Columns, ingest_table

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


def test_donors_are_of_the_population_given(ingest_rows: Ingest) -> None:
    """What is remembered of one population is not used for another, nor kept when it is gone."""
    from lope_data.noise.ops import response

    rows = [{"instruction": f"i{i}", "output": f"o{i}"} for i in range(20)]
    one, two = targets(ingest_rows(rows), "response"), targets(ingest_rows(rows[:10]), "response")
    first = two.slice(0, 5)
    answers = [swap_response(first, of, draw_for(first), Params())[0].to_pylist() for of in (one, two, one, two)]
    assert answers[0] == answers[2] != answers[1] == answers[3]
    other = Draw((615, 1, "test"), row_hashes(first[ROW_ID]))
    assert swap_response(first, two, other, Params())[0].to_pylist() != answers[1]
    del two, one
    gc.collect()
    assert not response._last


def flipped(ingest_rows: Ingest, labels: list[str | None], transition: Any) -> Counter[tuple[str, str | None]]:
    table = targets(ingest_rows([{"text": f"t{i}", "label": label} for i, label in enumerate(labels)]), "class")
    after, _ = flip(table, table, draw_for(table), FlipParams(transition=transition))
    return Counter(zip(table["target"].to_pylist(), after.to_pylist(), strict=True))


def test_flip_pairwise_takes_the_next_class(ingest_rows: Ingest) -> None:
    pairs = flipped(ingest_rows, ["b", "c", "a", "b", None], "pairwise")
    assert pairs == {("a", "b"): 1, ("b", "c"): 2, ("c", "a"): 1, (None, None): 1}


def test_flip_by_a_matrix_draws_in_proportion(ingest_rows: Ingest) -> None:
    matrix = {"a": {"a": 0.9, "b": 0.025, "c": 0.075}, "b": {"a": 3}, "c": {"c": 1.0, "a": 0.0}}
    pairs = flipped(ingest_rows, ["abcd"[i % 4] for i in range(8000)], matrix)
    assert pairs.keys() == {("a", "b"), ("a", "c"), ("b", "a"), ("c", None), ("d", None)}
    assert abs(pairs["a", "b"] - 500) < 4 * (2000 * 0.25 * 0.75) ** 0.5


def test_flip_by_a_matrix_does_not_hang_on_the_order_it_is_written_in(ingest_rows: Ingest) -> None:
    labels = ["abc"[i % 3] for i in range(300)]
    one = flipped(ingest_rows, labels, {"a": {"b": 0.1, "c": 0.7}, "b": {"a": 1}})
    assert one == flipped(ingest_rows, labels, {"b": {"a": 1.0}, "a": {"c": 0.7, "b": 0.1}})


@pytest.mark.parametrize("matrix", [{"spma": {"ham": 1}}, {"ham": {"spma": 0}}])
def test_flip_refuses_a_class_that_the_dataset_does_not_have(ingest_rows: Ingest, matrix: Any) -> None:
    with pytest.raises(NoiseError, match=r"names 'spma', which is no class of the dataset; did you mean 'spam'"):
        flipped(ingest_rows, ["ham", "spam"], matrix)


@pytest.mark.parametrize(
    ("transition", "message"),
    [
        ("pairwize", "must be 'uniform', 'pairwise' or a table"),
        (3, "must be 'uniform'"),
        ({}, "is empty"),
        ({"a": {}}, "is empty"),
        ({"a": {"b": -0.1}}, "the weight of 'a' to 'b' must be a number from 0 on, not -0.1"),
        ({"a": {"b": float("nan")}}, "not nan"),
        ({"a": {"b": float("inf")}}, "not inf"),
        ({"a": {"b": "1"}}, "not '1'"),
        ({"a": {"b": True}}, "not True"),
        ({"a": "b", "b": {"a": 1}}, "'a' must have a table"),
    ],
)
def test_malformed_transitions_are_refused(transition: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(message)):
        Step.model_validate({"mix": {"label.flip": 1}, "params": {"label.flip": {"transition": transition}}})


def truncated(ingest_rows: Ingest, outputs: list[str], **params: Any) -> list[str | None]:
    rows = [{"instruction": f"i{i}", "output": text} for i, text in enumerate(outputs)]
    table = targets(ingest_rows(rows), "response")
    return list(truncate_response(table, table, draw_for(table), TruncateParams(**params))[0].to_pylist())


def test_truncation_keeps_its_share_of_the_words(ingest_rows: Ingest) -> None:
    text = "  a\n\nb  " + " ".join(f"w{i}" for i in range(98)) + " \n"
    kept = truncated(ingest_rows, [text] * 2000)
    assert all(text.startswith(new) and new == new.rstrip() for new in kept if new is not None)
    counts = Counter(len(str(new).split()) for new in kept)
    assert min(counts) in range(20, 23)
    assert max(counts) in range(77, 81)
    assert sum(n * count for n, count in counts.items()) / 2000 == pytest.approx(50, abs=1.5)


@pytest.mark.parametrize(("keep", "left"), [((0, 0), "a"), ((1, 1), "a b  c"), ((0.5, 0.5), "a b")])
def test_at_least_one_word_stays_and_one_goes(ingest_rows: Ingest, keep: tuple[float, float], left: str) -> None:
    assert truncated(ingest_rows, ["a b  c d ", "one", "", "x y"], keep=keep) == [left, None, None, "x"]


def test_truncation_does_not_cut_a_grapheme(ingest_rows: Ingest) -> None:
    """A space that carries a combining mark is ink, so these are two words and not three."""
    assert truncated(ingest_rows, ["e\u0301 \u0301x 日"], keep=(0.5, 0.5)) == ["e\u0301 \u0301x"]


@pytest.mark.parametrize("keep", [(0.8, 0.2), (-0.1, 0.5), (0.5, 1.1), (float("nan"), 1), (0.5,), 0.5])
def test_malformed_shares_are_refused(keep: Any) -> None:
    with pytest.raises(ValueError, match="keep"):
        TruncateParams(keep=keep)


def near_misses(text: str, draws: int = 400) -> dict[str, set[str]]:
    """What the text becomes under many draws, by kind."""
    table = pa.table({ROW_ID: [str(i) for i in range(draws)], "target": pa.array([text] * draws, pa.large_string())})
    after, detail = near_miss_number(table, table, draw_for(table), Params())
    found: dict[str, set[str]] = {}
    for new, kind in zip(after.to_pylist(), detail.to_pylist(), strict=True):
        found.setdefault(kind, set()).add(new)
    return found


def test_near_misses_are_of_four_kinds() -> None:
    found = near_misses("3 and 4 is\n#### 42")
    assert found["off by one"] == {"3 and 4 is\n#### 41", "3 and 4 is\n#### 43"}
    assert found["digits transposed"] == {"3 and 4 is\n#### 24"}
    assert found["factor ten"] == {"3 and 4 is\n#### 420"}
    changed = {f"{a}2" for a in "1356789"} | {f"4{b}" for b in "013456789"} | {"22"}
    assert found["digit changed"] == {f"3 and 4 is\n#### {new}" for new in changed}


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("9", "off by one", {"8", "10"}),
        ("0", "off by one", {"1"}),
        ("-1", "off by one", {"-2"}),
        ("999", "off by one", {"998", "1000"}),
        ("$1,000.50.", "off by one", {"$999.50.", "$1,001.50."}),
        ("999,999", "off by one", {"999,998", "1,000,000"}),
        ("0.5", "off by one", {"1.5"}),
        ("007", "off by one", {"006", "008"}),
        ("0,099", "off by one", {"0,098", "0,100"}),
        ("1,234.5", "digits transposed", {"2,134.5", "1,324.5", "1,243.5", "1,235.4"}),
        ("105", "digits transposed", {"150"}),
        ("77", "off by one", {"76", "78"}),
        ("77", "digits transposed", set()),
        ("1,234", "factor ten", {"12,340"}),
        ("1,230", "factor ten", {"12,300", "123"}),
        ("3.50", "factor ten", {"35.00", "0.35"}),
        ("0", "factor ten", set()),
        ("7", "digit changed", set("01234568 9") - {" "}),
        ("-7", "digit changed", {f"-{n}" for n in "1234568 9" if n != " "}),
        ("in 5kg of v2, H2O and x_3", "off by one", {f"in {n}kg of v2, H2O and x_3" for n in "46"}),
        ("2024-01-15", "off by one", {"2024-01-14", "2024-01-16"}),
        ("50% of \\boxed{12}", "digits transposed", {"50% of \\boxed{21}"}),
        ("5 of " + "1" * 19, "off by one", {f"{n} of " + "1" * 19 for n in "46"}),
        ("٣ and 5", "off by one", {"٣ and 4", "٣ and 6"}),
    ],
)
def test_a_near_miss_keeps_the_numbers_format(text: str, kind: str, expected: set[str]) -> None:
    assert near_misses(text).get(kind, set()) == expected


@pytest.mark.parametrize("text", ["", "none", "v2", "x_3", "٣", "1" * 19])
def test_no_number_no_near_miss(text: str) -> None:
    assert near_misses(text, 5) == {None: {None}}


@given(st.from_regex(r"-?([0-9]{1,3}(,[0-9]{3}){0,3}|[0-9]{1,9})(\.[0-9]{1,4})?", fullmatch=True))
def test_a_near_miss_is_another_number_of_the_same_form(number: str) -> None:
    for texts in near_misses(f"It is {number}.", 20).values():
        for text in texts:
            new = text.removeprefix("It is ").removesuffix(".")
            assert re.fullmatch(r"-?([0-9]{1,3}(,[0-9]{3})*|[0-9]+)(\.[0-9]+)?", new)
            assert float(new.replace(",", "")) != float(number.replace(",", ""))
            assert len(new.partition(".")[2]) == len(number.partition(".")[2])
            assert new.startswith("-") == number.startswith("-")
            assert "," in number or "," not in new


def test_a_long_response_is_read_in_linear_time() -> None:
    began = time.perf_counter()
    near_misses("1" * 500_000 + ",111" * 100_000 + "x1" * 100_000, 2)
    assert time.perf_counter() - began < 3


NUMBERS = st.lists(
    st.sampled_from([*"0123456789,,..  ", "v", "_", "Z", "é", "日", "٣", "-", "\u0301", "123", ",000"]), max_size=30
)
WORDS = st.lists(
    st.sampled_from([*"ab \t\r\n\x1f", "é", "\u0301", "\u00a0", "\u3000", "\u200d", "\u0600", "日"]), max_size=12
)


@pytest.mark.parametrize(
    ("op", "texts"),
    [
        ("label.near_miss_number", NUMBERS),
        ("label.truncate_response", WORDS),
        ("label.swap_response", st.lists(st.sampled_from("ab"), max_size=2)),
    ],
)
def test_a_row_is_looked_at_no_longer_than_needed_and_judged_as_the_op_does(op: str, texts: Any) -> None:
    """Of any text, what can be told without its new target is whether it has one."""
    found = all_ops()[op]
    assert isinstance(found, LabelOp)
    assert found.able is not None

    @example(["", "a \u0301b", "a\u0301 b", "a \r\n", "1é2", "v1,5", "v12", "1" * 19, "1" * 18, "x 1" + ",111" * 6])
    @given(st.lists(st.one_of(st.none(), texts.map("".join)), min_size=1, max_size=20))
    def judged(targets: list[str | None]) -> None:
        ids = [str(i) for i in range(len(targets))]
        rows = pa.table({ROW_ID: ids, "target": pa.array(targets, pa.large_string())}).slice(len(targets) > 3)
        draw = Draw((1, 1, "s", op), row_hashes(rows[ROW_ID]))
        after, _ = found.propose(rows, rows, draw, found.params())
        assert found.can(rows, rows, draw, found.params()).tolist() == np.asarray(after.is_valid()).tolist()

    judged()
