"""PIQA and ARC-Easy from files in their published form; what is malformed is named by file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lope_train.local_tasks import TaskError, load_task

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
        ("valid-labels.lst", "0\n2\n", r"valid-labels\.lst: line 2: the label is '2'"),
        ("valid.jsonl", json.dumps(PIQA[0]) + "\n{\n", r"valid\.jsonl: line 2: not JSON"),
        ("valid.jsonl", json.dumps(PIQA[0]) + "\n[1]\n", r"valid\.jsonl: line 2: 'goal' is missing or not a text"),
        ("valid.jsonl", json.dumps(PIQA[0] | {"sol2": None}) + "\n{}\n", r"valid\.jsonl: line 1: 'sol2' is missing"),
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
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(TaskError, match="cannot be read"):
        load_task("arc_easy", data)


def test_unknown_tasks_and_folders(data: Path, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="no task 'pica'; did you mean 'piqa'"):
        load_task("pica", data)
    with pytest.raises(TaskError, match=r"no folder .*nowhere: --data-dir"):
        load_task("piqa", tmp_path / "nowhere")
