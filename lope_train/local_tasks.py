"""Public benchmarks from local files, as multiple-choice rows: PIQA and ARC-Easy."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lope_train.errors import LopeTrainError, suggest

Row = dict[str, Any]


class TaskError(LopeTrainError):
    """A task that is not known, or a file of one that is missing or not as it should be."""


def load_task(name: str, data_dir: Path) -> list[Row]:
    """The task's rows in file order: `lope_row_id`, `lope_shape`, `question`, `choices`, `answer`.

    Raises TaskError that names the file and the line (or row, in a JSON array).
    """
    if name not in TASKS:
        raise TaskError(f"no task {name!r}{suggest(name, TASKS)}")
    if not data_dir.is_dir():
        raise TaskError(f"no folder {data_dir}: --data-dir names the one that holds {name}/")
    rows = TASKS[name](data_dir / name)
    if not rows:
        raise TaskError(f"{data_dir / name}: no rows")
    return rows


def _piqa(folder: Path) -> list[Row]:
    """`valid.jsonl` (goal, sol1, sol2) and `valid-labels.lst` (0 or 1 a line), as published."""
    file, label_file = folder / "valid.jsonl", folder / "valid-labels.lst"
    lines, labels = _read(file).splitlines(), _read(label_file).split()
    if len(lines) != len(labels):
        raise TaskError(f"{label_file}: {len(labels)} labels for the {len(lines)} lines of {file.name}")
    rows = []
    for number, (line, label) in enumerate(zip(lines, labels, strict=True), start=1):
        if label not in ("0", "1"):
            raise TaskError(f"{label_file}: line {number}: the label is {label!r}, neither 0 nor 1")
        question, *choices = _texts(_json(line, file, number), ("goal", "sol1", "sol2"), f"{file}: line {number}")
        rows.append(_row(f"piqa-{number - 1}", question, choices, int(label)))
    return rows


_ARC_ROW = re.compile(
    r"Please choose the correct answer to the question: (?P<question>.+?)\s*"
    r"(?P<options>\bAnswer1: .+?)\s*Answer format: ",
    re.DOTALL,
)
_ARC_OPTION = re.compile(r"\s*\bAnswer(\d+): ")


def _arc_easy(folder: Path) -> list[Row]:
    """`ARC-Easy_test.json` in the form of LLM-Adapters: options inline in `instruction`, `answer` is `answerN`."""
    file = folder / "ARC-Easy_test.json"
    records = _json(_read(file), file, None)
    if not isinstance(records, list):
        raise TaskError(f"{file}: must hold a JSON array of rows")
    return [_arc_row(record, number, f"{file}: row {number}") for number, record in enumerate(records, start=1)]


def _arc_row(record: Any, number: int, where: str) -> Row:
    instruction, answer = _texts(record, ("instruction", "answer"), where)
    found = _ARC_ROW.match(instruction)
    if found is None:
        raise TaskError(f"{where}: 'instruction' has no question with 'Answer1: ... Answer format: ...' after it")
    _, *parts = _ARC_OPTION.split(found["options"])
    numbers, choices = parts[::2], [part.strip() for part in parts[1::2]]
    if numbers != [str(i + 1) for i in range(len(choices))] or len(choices) < 2 or not all(choices):
        raise TaskError(f"{where}: the options are not Answer1, Answer2, ... with a text each")
    known = [f"answer{i}" for i in numbers]
    if answer not in known:
        raise TaskError(f"{where}: the answer is {answer!r}, not one of {', '.join(known)}")
    return _row(f"arc_easy-{number - 1}", found["question"], choices, known.index(answer))


TASKS: dict[str, Callable[[Path], list[Row]]] = {"arc_easy": _arc_easy, "piqa": _piqa}


def _row(row_id: str, question: str, choices: Sequence[str], answer: int) -> Row:
    return {
        "lope_row_id": row_id,
        "lope_shape": "multiple_choice",
        "question": question,
        "choices": list(choices),
        "answer": answer,
    }


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise TaskError(f"{file}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"{file}: cannot be read: {error}") from error


def _json(text: str, file: Path, line: int | None) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise TaskError(f"{file}: line {line or error.lineno}: not JSON: {error.msg}") from error


def _texts(record: Any, keys: Sequence[str], where: str) -> Iterator[str]:
    """The texts under `keys`; each must be there and not blank."""
    for key in keys:
        value = record.get(key) if isinstance(record, dict) else None
        if not isinstance(value, str) or not value.strip():
            raise TaskError(f"{where}: {key!r} is missing or not a text")
        yield value
