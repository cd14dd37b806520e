"""Benchmarks from files in their published form; what is malformed is named by file and line."""

from __future__ import annotations

import json
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from lope_train.evaluation.tasks import local as local_tasks
from lope_train.evaluation.tasks.local import GROUPS, TaskError, load_shots, load_task, members, template

PIQA = [
    {"goal": "How do I dry a cup?", "sol1": "With a towel.", "sol2": "With a knife. "},
    {"goal": "dresser", "sol1": "replace drawer", "sol2": "finish"},
]


def arc(question: str, options: list[str], answer: str) -> dict[str, Any]:
    listed = " ".join(f"Answer{i}: {text}" for i, text in enumerate(options, start=1))
    names = "/".join(f"answer{i}" for i in range(1, len(options) + 1))
    return {
        "instruction": f"Please choose the correct answer to the question: {question}\n\n{listed}\n\n"
        f"Answer format: {names}",
        "input": "",
        "output": f"the correct answer is {answer}",
        "answer": answer,
    }


ARC = [
    arc("Which gas do we need?", ["nitrogen", "oxygen", "neon", "argon"], "answer2"),
    arc("Who is it?\nLook: twice.", ["It is (a).", "Answer 3", "c", "d", "water vapor"], "answer5"),
    arc("Three?", ["a", "b", "c"], "answer1"),
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "piqa").mkdir()
    (tmp_path / "piqa/valid.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PIQA))
    (tmp_path / "piqa/valid-labels.lst").write_text("0\n1\n")
    (tmp_path / "arc_easy").mkdir()
    (tmp_path / "arc_easy/ARC-Easy_test.json").write_text(json.dumps(ARC, indent=4))
    return tmp_path


def test_piqa(data: Path) -> None:
    assert load_task("piqa", data) == [
        {
            "lope_row_id": "piqa-0",
            "lope_shape": "multiple_choice",
            "question": "How do I dry a cup?",
            "choices": ["With a towel.", "With a knife. "],
            "answer": 0,
        },
        {
            "lope_row_id": "piqa-1",
            "lope_shape": "multiple_choice",
            "question": "dresser",
            "choices": ["replace drawer", "finish"],
            "answer": 1,
        },
    ]


def test_arc_easy_with_three_to_five_options(data: Path) -> None:
    rows = load_task("arc_easy", data)
    assert [(row["question"], row["choices"], row["answer"]) for row in rows] == [
        ("Which gas do we need?", ["nitrogen", "oxygen", "neon", "argon"], 1),
        ("Who is it?\nLook: twice.", ["It is (a).", "Answer 3", "c", "d", "water vapor"], 4),
        ("Three?", ["a", "b", "c"], 0),
    ]
    assert [row["lope_row_id"] for row in rows] == ["arc_easy-0", "arc_easy-1", "arc_easy-2"]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("valid-labels.lst", "0\n", r"valid-labels\.lst: 1 labels for the 2 lines"),
        ("valid-labels.lst", "0\n2\n", r"valid-labels\.lst: line 2: the label is '2', not 0 or 1"),
        ("valid.jsonl", json.dumps(PIQA[0]) + "\n{\n", r"valid\.jsonl: line 2: not JSON"),
        ("valid.jsonl", json.dumps(PIQA[0]) + "\n[1]\n", r"valid\.jsonl: line 2: 'goal' is missing or not a text"),
        ("valid.jsonl", json.dumps(PIQA[0] | {"sol2": None}) + "\n{}\n", r"valid\.jsonl: line 1: 'sol2' is missing"),
        ("valid.jsonl", f'{json.dumps(PIQA[0])}\n{{"goal": {"9" * 5000}}}', r"jsonl: line 2: .* too many digits"),
        ("valid.jsonl", "[" * 200_000, r"valid\.jsonl: line 1: cannot be read: nested too deeply"),
        (
            "valid.jsonl",
            f"{json.dumps(PIQA[0])}\n" + json.dumps(PIQA[1] | {"sol2": "\ud800"}),
            r"line 2: 'sol2' .*ud800",
        ),
        ("valid.jsonl", None, r"valid\.jsonl: no such file"),
        ("valid-labels.lst", None, r"valid-labels\.lst: no such file"),
    ],
)
def test_a_malformed_piqa(data: Path, file: str, text: str | None, message: str) -> None:
    path = data / "piqa" / file
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    with pytest.raises(TaskError, match=message):
        load_task("piqa", data)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([ARC[0], arc("Two?", ["a", "b"], "answer3")], "row 2: the answer is 'answer3', not one of answer1, answer2"),
        ([{**ARC[0], "answer": None}], "row 1: 'answer' is missing or not a text"),
        ([{**ARC[0], "instruction": "Which?"}], "row 1: 'instruction' has no question"),
        ([arc("One?", ["a"], "answer1")], "row 1: the options are not"),
        (
            [{**ARC[0], "instruction": ARC[0]["instruction"].replace("Answer3", "Answer4")}],
            "row 1: the options are not",
        ),
        (["text"], "row 1: 'instruction' is missing"),
        ([ARC[0], arc("Who?", ["a", "\ud800"], "answer1")], "row 2: 'instruction' holds .*ud800', half of a character"),
        ([arc(" ", ["a", "b"], "answer1")], "row 1: 'instruction' has no question"),
        ({"rows": []}, "must hold a JSON array"),
        ([], "no rows"),
    ],
)
def test_a_malformed_arc_easy(data: Path, content: Any, message: str) -> None:
    (data / "arc_easy/ARC-Easy_test.json").write_text(json.dumps(content))
    with pytest.raises(TaskError, match=message):
        load_task("arc_easy", data)


def test_broken_files(data: Path) -> None:
    file = data / "arc_easy/ARC-Easy_test.json"
    file.write_text('[\n  {"instruction": 1,}\n]')
    with pytest.raises(TaskError, match=r"ARC-Easy_test\.json: line 2: not JSON"):
        load_task("arc_easy", data)
    file.write_bytes(b"[\n\n\xed\xa0\x80")  # a surrogate as UTF-8 does not have it
    with pytest.raises(TaskError, match=r"ARC-Easy_test\.json: line 3: cannot be read as UTF-8"):
        load_task("arc_easy", data)
    for text in ("[" * 200_000, "9" * 5000):
        file.write_text(text)
        with pytest.raises(TaskError, match=r"ARC-Easy_test\.json: cannot be read: (nested too|a number has too)"):
            load_task("arc_easy", data)


def test_much_white_space_in_arc_easy_is_read_at_once(data: Path) -> None:
    space = " " * 300_000
    rows = [arc(f"Which{space}?", [f"a{space}b", "c"], "answer2"), {**ARC[0], "instruction": f"Which?{space}"}]
    file = data / "arc_easy/ARC-Easy_test.json"
    file.write_text(json.dumps(rows[:1]))
    started = perf_counter()
    assert load_task("arc_easy", data)[0]["choices"] == [f"a{space}b", "c"]
    file.write_text(json.dumps(rows))
    with pytest.raises(TaskError, match="row 2: 'instruction' has no question"):
        load_task("arc_easy", data)
    assert perf_counter() - started < 5  # a quadratic way takes minutes


SIQA = [
    {"context": "Kim fell.", "question": "Why?", "answerA": "ice", "answerB": "a dog", "answerC": "wind"},
    {"context": "Lee\u2028sang.", "question": "How?", "answerA": "well", "answerB": "badly", "answerC": "aloud"},
]
GSM8K = [{"question": "1 + 1?", "answer": "It is <<1+1=2>>2.\n#### 2"}]
MMLU = '"What,\n""is"" it?",a,b,c,d,{}\n'
HEADER = "question,choice0,choice1,choice2,choice3,answer\n"


@pytest.fixture
def more(data: Path) -> Path:
    (data / "siqa").mkdir()
    for split in ("dev", "train"):
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in SIQA)
        (data / f"siqa/{split}.jsonl").write_text(lines)
        (data / f"siqa/{split}-labels.lst").write_text("3\n1\n")
    (data / "gsm8k").mkdir()
    for split in ("test", "train"):
        (data / f"gsm8k/{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in GSM8K))
    for split in ("test", "dev"):
        (data / "mmlu" / split).mkdir(parents=True)
        (data / f"mmlu/{split}/astronomy_{split}.csv").write_text(HEADER + MMLU.format(2) + "q,e,f,g,h,0\n")
    return data


def test_social_iqa(more: Path) -> None:
    for task in ("social_iqa", "social_iqa_train"):
        rows = load_task(task, more)
        assert [(row["lope_row_id"], row["answer"]) for row in rows] == [(f"{task}-0", 2), (f"{task}-1", 0)]
        assert [row["question"] for row in rows] == ["Kim fell. Why?", "Lee\u2028sang. How?"]
        assert rows[0]["choices"] == ["ice", "a dog", "wind"]


def test_gsm8k_rows_are_instructions(more: Path) -> None:
    (row,) = load_task("gsm8k", more)
    assert row == {
        "lope_row_id": "gsm8k-0",
        "lope_shape": "instruction",
        "instruction": "1 + 1?",
        "input": "",
        "output": "It is <<1+1=2>>2.\n#### 2",
    }
    assert load_shots("gsm8k", more) == [row]
    assert load_shots("piqa", more) == []


@pytest.mark.parametrize("header", [HEADER, ""])
def test_mmlu_as_published_first_or_with_a_header(more: Path, header: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (more / "mmlu/test/astronomy_test.csv").write_text(header + MMLU.format("C") + MMLU.format("1"))
    rows = load_task("mmlu_astronomy", more)
    assert [row["answer"] for row in rows] == [2, 1]
    assert rows[0]["question"] == 'What,\n"is" it?'
    assert rows[0]["subject"] == "astronomy"
    assert load_shots("mmlu_astronomy", more) == []
    monkeypatch.setitem(local_tasks.task_file("mmlu_subject"), "num_fewshot", 5)
    assert [row["answer"] for row in load_shots("mmlu_astronomy", more)] == [2, 0]


def test_groups_are_those_of_the_paper() -> None:
    assert {name: len(members(name)) for name in GROUPS} == {
        "mmlu": 57,
        "mmlu_nset": 18,
        "mmlu_sbh": 8,
        "mmlu_history": 4,
    }
    assert all(set(members(name)) < set(members("mmlu")) for name in GROUPS[1:])
    assert len({member for name in GROUPS[1:] for member in members(name)}) == 30
    assert template("mmlu_astronomy")["task"] == "mmlu_astronomy"


@pytest.mark.parametrize(
    ("task", "file", "text", "message"),
    [
        ("mmlu_astronomy", "mmlu/test/astronomy_test.csv", HEADER + MMLU.format(4), r"line 3: the answer is '4'"),
        ("mmlu_astronomy", "mmlu/test/astronomy_test.csv", HEADER + "q,a,b,c,1\n", "line 2: 5 fields, not a question"),
        ("mmlu_astronomy", "mmlu/test/astronomy_test.csv", HEADER + "q,a,,c,d,1\n", "line 2: the question or a choice"),
        ("mmlu_astronomy", "mmlu/test/astronomy_test.csv", HEADER + '"q"x,a\n', "line 2: not CSV"),
        ("mmlu_astronomy", "mmlu/test/astronomy_test.csv", HEADER, "no rows of mmlu_astronomy"),
        ("mmlu_astronomy", "mmlu/test/astronomy_test.csv", None, "no such file; mmlu_astronomy is at https://people"),
        ("mmlu_astronomie", "mmlu/dev/astronomy_dev.csv", "", r"did you mean 'mmlu_astronomy'\?"),
        ("gsm8k", "gsm8k/test.jsonl", '{"question": "q", "answer": "2"}\n', "line 1: 'answer' has no number after"),
        ("social_iqa", "siqa/dev-labels.lst", "3\n4\n", "line 2: the label is '4', not 1, 2 or 3"),
        ("social_iqa_train", "siqa/train.jsonl", None, r"train\.jsonl: no such file; social_iqa_train is at https"),
        ("winogrande", "siqa/dev.jsonl", "", "known: arc_easy, .*, and each subject of MMLU as mmlu_SUBJECT"),
    ],
)
def test_what_is_malformed(more: Path, task: str, file: str, text: str | None, message: str) -> None:
    if text is None:
        (more / file).unlink()
    else:
        (more / file).write_text(text)
    with pytest.raises(TaskError, match=message):
        load_task(task, more)


def test_unknown_tasks_and_folders(data: Path, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="no task 'pica'; did you mean 'piqa'"):
        load_task("pica", data)
    with pytest.raises(TaskError, match=r"no folder .*nowhere: --data-dir"):
        load_task("piqa", tmp_path / "nowhere")
