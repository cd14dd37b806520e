"""MMLU: one CSV a subject."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from lope_train.evaluation.tasks.local.reading import Row, TaskError, choice_row, read_text

_HEADER = ["question", "choice0", "choice1", "choice2", "choice3", "answer"]
_ANSWERS = {str(i): i for i in range(4)} | {letter: i for i, letter in enumerate("ABCD")}


def read_mmlu(folder: Path, task: str) -> list[Row]:
    """`test/SUBJECT_test.csv`, of the task `mmlu_SUBJECT`.

    Fields are the question, four choices and the answer, 0 to 3, or A to D as in the first publication; a header may
    come first. Rows also hold `subject`, in words.
    """
    return _mmlu(folder, "test", task)


def read_mmlu_dev(folder: Path, task: str) -> list[Row]:
    """The same of `dev/SUBJECT_dev.csv`, five rows to show."""
    return _mmlu(folder, "dev", task)


def _mmlu(folder: Path, split: str, task: str) -> list[Row]:
    subject = task.removeprefix("mmlu_")
    file = folder / split / f"{subject}_{split}.csv"
    reader = csv.reader(io.StringIO(read_text(file)), strict=True)
    rows: list[Row] = []
    try:
        for number, fields in enumerate(reader):
            where = f"{file}: line {reader.line_num}"
            if number == 0 and fields == _HEADER:
                continue
            if len(fields) != len(_HEADER):
                raise TaskError(f"{where}: {len(fields)} fields, not a question, four choices and an answer")
            question, *choices, answer = fields
            if not question.strip() or not all(choices):
                raise TaskError(f"{where}: the question or a choice is empty")
            if answer not in _ANSWERS:
                raise TaskError(f"{where}: the answer is {answer!r}, not 0 to 3 or A to D")
            row = choice_row(f"{task}-{len(rows)}", question, choices, _ANSWERS[answer])
            rows.append({**row, "subject": subject.replace("_", " ")})
    except csv.Error as error:
        raise TaskError(f"{file}: line {reader.line_num}: not CSV: {error}") from error
    return rows
