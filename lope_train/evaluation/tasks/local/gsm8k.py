"""GSM8K: problems that are answered in words, with the number after `#### `."""

from __future__ import annotations

from pathlib import Path

from lope_train.evaluation.tasks.local.reading import Row, TaskError, json_lines, texts


def read_gsm8k(folder: Path, task: str) -> list[Row]:
    """`test.jsonl` (question, answer), as published; rows are instructions."""
    return _gsm8k(folder / "test.jsonl", task)


def read_gsm8k_train(folder: Path, task: str) -> list[Row]:
    """The same of `train.jsonl`."""
    return _gsm8k(folder / "train.jsonl", task)


def _gsm8k(file: Path, task: str) -> list[Row]:
    rows: list[Row] = []
    for where, record in json_lines(file):
        question, answer = texts(record, ("question", "answer"), where)
        if "#### " not in answer:
            raise TaskError(f"{where}: 'answer' has no number after '#### '")
        rows.append(
            {
                "lope_row_id": f"{task}-{len(rows)}",
                "lope_shape": "instruction",
                "instruction": question,
                "input": "",
                "output": answer,
            }
        )
    return rows
