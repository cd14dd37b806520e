"""PIQA, Social IQa and ARC-Easy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lope_train.evaluation.tasks.local.reading import (
    Row,
    TaskError,
    choice_row,
    labelled_lines,
    read_json,
    read_text,
    texts,
)


def read_piqa(folder: Path, task: str) -> list[Row]:
    """`valid.jsonl` (goal, sol1, sol2) and `valid-labels.lst` (0 or 1 a line), as published."""
    rows: list[Row] = []
    for where, record, label in labelled_lines(folder / "valid.jsonl", folder / "valid-labels.lst", ("0", "1")):
        question, *choices = texts(record, ("goal", "sol1", "sol2"), where)
        rows.append(choice_row(f"{task}-{len(rows)}", question, choices, label))
    return rows


def read_social_iqa(folder: Path, task: str) -> list[Row]:
    """`dev.jsonl` (context, question, answerA to answerC) and `dev-labels.lst` (1 to 3 a line), as published.

    `question` is the context and the question with a space between, as lm-eval's prompt has them.
    """
    return _social_iqa(folder, "dev", task)


def read_social_iqa_train(folder: Path, task: str) -> list[Row]:
    """The same of `train.jsonl`."""
    return _social_iqa(folder, "train", task)


def _social_iqa(folder: Path, split: str, task: str) -> list[Row]:
    rows: list[Row] = []
    labelled = labelled_lines(folder / f"{split}.jsonl", folder / f"{split}-labels.lst", ("1", "2", "3"))
    for where, record, label in labelled:
        context, question, *choices = texts(record, ("context", "question", "answerA", "answerB", "answerC"), where)
        rows.append(choice_row(f"{task}-{len(rows)}", f"{context} {question}", choices, label))
    return rows


_ARC_START, _ARC_END = "Please choose the correct answer to the question: ", "Answer format: "
_ARC_OPTION = re.compile(r"\bAnswer(\d+): ")


def read_arc_easy(folder: Path, task: str) -> list[Row]:
    """`ARC-Easy_test.json` in the form of LLM-Adapters: options inline in `instruction`, `answer` is `answerN`."""
    return _arc(folder / "ARC-Easy_test.json", task)


def read_arc_easy_train(folder: Path, task: str) -> list[Row]:
    """The same of `ARC-Easy_train.json`."""
    return _arc(folder / "ARC-Easy_train.json", task)


def _arc(file: Path, task: str) -> list[Row]:
    records = read_json(read_text(file), file, None)
    if not isinstance(records, list):
        raise TaskError(f"{file}: must hold a JSON array of rows")
    return [
        _arc_row(record, f"{task}-{number - 1}", f"{file}: row {number}") for number, record in enumerate(records, 1)
    ]


def _arc_row(record: Any, row_id: str, where: str) -> Row:
    instruction, answer = texts(record, ("instruction", "answer"), where)
    asked, end, _ = instruction.removeprefix(_ARC_START).partition(_ARC_END)
    question, *parts = _ARC_OPTION.split(asked)
    if not instruction.startswith(_ARC_START) or not end or not parts or not question.strip():
        raise TaskError(f"{where}: 'instruction' has no question with 'Answer1: ... Answer format: ...' after it")
    numbers, choices = parts[::2], [part.strip() for part in parts[1::2]]
    if numbers != [str(i + 1) for i in range(len(choices))] or len(choices) < 2 or not all(choices):
        raise TaskError(f"{where}: the options are not Answer1, Answer2, ... with a text each")
    known = [f"answer{i}" for i in numbers]
    if answer not in known:
        raise TaskError(f"{where}: the answer is {answer!r}, not one of {', '.join(known)}")
    return choice_row(row_id, question.rstrip(), choices, known.index(answer))
