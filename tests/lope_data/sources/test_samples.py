from __future__ import annotations

import hashlib
import json
import re
import string
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from lope_data.sources.sample_data import SPLITS, generate
from lope_data.sources.sample_data.draw import Draw
from lope_data.sources.sample_data.tables import table, unlike, words

COLUMNS = {
    "instruction": {"instruction", "input", "output"},
    "multiple_choice": {"question", "choices", "answer"},
    "classification": {"text", "label"},
}
GOLDEN = {
    "train": "6ea2cbca42c14f759c369b302f67da3cd1f92f49b3a0da593deac911be297332",
    "heldout": "24a53f309e0d26ad62fbccbeabb207e363545a0a1dfcb6e5f6d4799390dcc005",
}
TRAIN = generate("train")
HELDOUT = generate("heldout")
BOTH = pytest.mark.parametrize("rows", [TRAIN, HELDOUT], ids=["train", "heldout"])


def shape(row: dict[str, Any]) -> str:
    return next(name for name, columns in COLUMNS.items() if columns == row.keys())


def prompt(row: dict[str, Any]) -> str:
    return "\n".join(row[column] for column in ("instruction", "input", "question", "text") if column in row)


def of_shape(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [row for row in rows if shape(row) == name]


def gold(row: dict[str, Any]) -> str:
    return str(row["choices"][row["answer"]])


def test_splits_are_named() -> None:
    assert SPLITS == {"sample": "train", "sample-heldout": "heldout"}


def test_sizes_and_shapes() -> None:
    assert Counter(map(shape, TRAIN)) == dict.fromkeys(COLUMNS, 800)
    assert Counter(map(shape, HELDOUT)) == dict.fromkeys(COLUMNS, 200)
    assert {shape(row) for row in TRAIN[:3]} == set(COLUMNS), "shapes must be interleaved"


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_golden_digest(split: Any) -> None:
    lines = "".join(
        json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n" for row in generate(split)
    )
    assert hashlib.sha256(lines.encode()).hexdigest() == GOLDEN[split]


def test_other_process_and_hash_seed_give_the_same_rows() -> None:
    code = "import json; from lope_data.sources.sample_data import generate; print(json.dumps(generate('heldout')))"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={"PYTHONHASHSEED": "7"}
    )
    assert json.loads(done.stdout) == HELDOUT


def test_rows_handed_out_are_not_shared() -> None:
    generate("train")[1]["choices"].clear()
    assert generate("train") == TRAIN


def test_no_prompt_twice() -> None:
    assert len({prompt(row).lower() for row in TRAIN + HELDOUT}) == len(TRAIN) + len(HELDOUT)


@BOTH
def test_texts_are_clean(rows: list[dict[str, Any]]) -> None:
    printable = set(string.ascii_letters + string.digits + string.punctuation + " ")
    for row in rows:
        for value in row.values():
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str):
                    assert text, row
                    assert text == text.strip(), row
                    assert "  " not in text, row
                    assert not set("{}") & set(text), f"a slot was left open: {row}"
                    assert set(text) <= printable, row


@BOTH
def test_rows_are_short(rows: list[dict[str, Any]]) -> None:
    lengths = sorted(len(prompt(row).split()) for row in rows)
    assert lengths[len(rows) // 10] >= 6
    assert lengths[-1] <= 40
    targets = [row.get("output") or row.get("label") or gold(row) for row in rows]
    assert max(len(target.split()) for target in targets) <= 15


@BOTH
def test_choices(rows: list[dict[str, Any]]) -> None:
    questions = of_shape(rows, "multiple_choice")
    for row in questions:
        assert len(row["choices"]) == len({choice.lower() for choice in row["choices"]}) == 4, row
        assert type(row["answer"]) is int
        assert row["answer"] in range(4), row
    expected = len(questions) / 4
    counts = Counter(row["answer"] for row in questions)
    chi_squared = sum((counts[place] - expected) ** 2 / expected for place in range(4))
    assert chi_squared < 11.3, counts  # 1 % level, three degrees of freedom


def test_labels() -> None:
    train = Counter(row["label"] for row in of_shape(TRAIN, "classification"))
    heldout = Counter(row["label"] for row in of_shape(HELDOUT, "classification"))
    assert train.keys() == heldout.keys() == {"account", "billing", "delivery", "praise", "refund", "technical"}
    assert min(train.values()) > 100
    assert min(heldout.values()) > 20


def test_splits_share_every_list_without_overlap() -> None:
    items = list(range(30))
    train, heldout = Draw("train", "x").share(items), Draw("heldout", "x").share(items)
    assert sorted(train + heldout) == items
    assert len(heldout) == 6


def test_draws_are_uniform_and_keyed() -> None:
    draw = Draw("train", "uniform")
    counts = Counter(draw.below(7) for _ in range(7000))
    assert sum((counts[i] - 1000) ** 2 / 1000 for i in range(7)) < 22.5  # 0.1 % level, six degrees of freedom
    assert [Draw("train", "a").below(10**9), Draw("train", "b").below(10**9)] != [
        Draw("heldout", "a").below(10**9),
        Draw("train", "a").below(10**9),
    ]


def numbers(text: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", text)]


def series(question: str) -> int:
    first, *_, before, last = numbers(question)
    assert before != first, question
    return last + (last - before)


@BOTH
def test_series_questions_are_right(rows: list[dict[str, Any]]) -> None:
    found = [row for row in of_shape(rows, "multiple_choice") if re.search(r"(\d+, ){3}", row["question"])]
    assert len(found) >= 15
    for row in found:
        assert int(gold(row)) == series(row["question"]), row


@BOTH
def test_calendar_questions_are_right(rows: list[dict[str, Any]]) -> None:
    found = 0
    for row in of_shape(rows, "multiple_choice"):
        for unit, names in (("day", words("days")), ("month", words("months"))):
            match = re.search(rf"(\w+) {unit}s? (after|before|later|earlier)", row["question"])
            if match and f"Which {unit}" in row["question"]:
                steps = 1 if match[1] == "one" else words("numbers").index(match[1]) + 2
                sign = 1 if match[2] in ("after", "later") else -1
                start = next(name for name in names if re.search(rf"\b{name}\b", row["question"]))
                assert gold(row) == names[(names.index(start) + sign * steps) % len(names)], row
                found += 1
    assert found >= 15


@BOTH
def test_alphabet_questions_are_right(rows: list[dict[str, Any]]) -> None:
    found = [
        row for row in of_shape(rows, "multiple_choice") if re.search("in a dictionary: |alphabet", row["question"])
    ]
    assert len(found) >= 15
    for row in found:
        assert gold(row) == sorted(row["choices"])[0 if " first" in row["question"] else -1], row
        assert all(choice in row["question"] for choice in row["choices"]), row


@BOTH
def test_category_questions_have_one_right_choice(rows: list[dict[str, Any]]) -> None:
    members = {category["name"]: category["nouns"] for category in words("categories")}
    found = 0
    for row in of_shape(rows, "multiple_choice"):
        if set(row["choices"]) <= members.keys():
            right = [
                name for name in row["choices"] if any(re.search(rf"\b{n}\b", row["question"]) for n in members[name])
            ]
            assert gold(row) in right, row
            found += 1
    assert found >= 10


@BOTH
def test_sums_and_series_are_right(rows: list[dict[str, Any]]) -> None:
    found: Counter[str] = Counter()
    for row in of_shape(rows, "instruction"):
        given, output = row["input"], row["output"]
        if re.fullmatch(r"\d+ and \d+", given):
            assert int(output) == sum(numbers(given)), row
            found["sum"] += 1
        elif re.fullmatch(r"\d+(, \d+){3}", given):
            first, second, *_, last = numbers(given)
            step = second - first
            assert numbers(output) == [last + step, last + 2 * step], row
            found["continue"] += 1
    assert min(found[kind] for kind in ("sum", "continue")) >= 3, found


@BOTH
def test_lists_are_sorted_and_reversed(rows: list[dict[str, Any]]) -> None:
    found: Counter[str] = Counter()
    for row in of_shape(rows, "instruction"):
        items = row["input"].split(", ")
        if re.search(r"alphabet|dictionary", row["instruction"]):
            assert row["output"] == ", ".join(sorted(items)), row
            found["sort"] += 1
        elif re.search(r"reverse|starting with the last|last word comes first", row["instruction"]):
            assert row["output"] == ", ".join(items[::-1]), row
            found["reverse"] += 1
        elif re.search(r"odd one|does not", row["instruction"]):
            assert row["output"] in items, row
            found["odd"] += 1
    assert min(found[kind] for kind in ("sort", "reverse", "odd")) >= 10, found


def test_each_table_leaves_something_to_both_splits() -> None:
    for label, clauses in table("classification")["clauses"].items():
        assert len(clauses) == len(set(clauses)) == 30, label
    for category in words("categories"):
        assert len(category["nouns"]) == len(set(category["nouns"])) == 15, category["name"]
        assert not {noun for noun in category["nouns"] for other in unlike(category) if noun in other["nouns"]}


def test_nearness_of_categories_is_mutual() -> None:
    near = {category["name"]: set(category.get("near", [])) for category in words("categories")}
    assert all(name in near[other] for name, others in near.items() for other in others)


@pytest.mark.parametrize("part", ["adjectives", "nouns", "verbs"])
def test_a_word_has_one_opposite(part: str) -> None:
    listed = [word for group in table("multiple_choice")["opposites"][part] for pair in group for word in pair]
    assert len(listed) == len(set(listed))


def test_outcomes_of_one_kind_stay_in_one_group() -> None:
    groups = [{result for _, result in group} for group in table("multiple_choice")["outcomes"]["groups"]]
    assert sum(map(len, groups)) == len(set().union(*groups)), "an outcome in two groups could be a wrong choice"


def test_no_torch() -> None:
    code = "import sys, lope_data.sources.sample_data as s; s.generate('train'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
