"""Strict reading of published files: what is malformed is named by file and line."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lope_train.errors import LopeTrainError

Row = dict[str, Any]

_SURROGATE = re.compile(r"[\ud800-\udfff]")
"""What JSON can escape, and no UTF-8 can hold."""


class TaskError(LopeTrainError):
    """A task that is not known, or a file of one that is missing or not as it should be."""


def choice_row(row_id: str, question: str, choices: Sequence[str], answer: int) -> Row:
    """A multiple-choice row; `answer` is the index of the right choice."""
    return {
        "lope_row_id": row_id,
        "lope_shape": "multiple_choice",
        "question": question,
        "choices": list(choices),
        "answer": answer,
    }


def read_text(file: Path) -> str:
    """Raises FileNotFoundError, which the caller can tell where to get; TaskError where it cannot be read."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise TaskError(f"{file}: line {line}: cannot be read as UTF-8: {error.reason}") from error
    except OSError as error:
        raise TaskError(f"{file}: cannot be read: {error}") from error


def read_json(text: str, file: Path, line: int | None) -> Any:
    """`line` is the number of a JSONL's line. Raises TaskError."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise TaskError(f"{file}: line {line or error.lineno}: not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # of numbers and nesting; these tell no line
        where = f"{file}: line {line}" if line else f"{file}"
        reason = "nested too deeply" if isinstance(error, RecursionError) else "a number has too many digits"
        raise TaskError(f"{where}: cannot be read: {reason}") from error


def json_lines(file: Path) -> Iterator[tuple[str, Any]]:
    """Where a line is, for messages, and what it holds."""
    for number, line in enumerate(io.StringIO(read_text(file)), start=1):  # not splitlines: JSON may hold U+2028
        yield f"{file}: line {number}", read_json(line, file, number)


def labelled_lines(file: Path, label_file: Path, labels: Sequence[str]) -> Iterator[tuple[str, Any, int]]:
    """As `json_lines`, with the index in `labels` of what stands on the same line of `label_file`."""
    lines, found = list(json_lines(file)), read_text(label_file).split()
    if len(lines) != len(found):
        raise TaskError(f"{label_file}: {len(found)} labels for the {len(lines)} lines of {file.name}")
    for number, ((where, record), label) in enumerate(zip(lines, found, strict=True), start=1):
        if label not in labels:
            *others, last = labels
            known = f"{', '.join(others)} or {last}"
            raise TaskError(f"{label_file}: line {number}: the label is {label!r}, not {known}")
        yield where, record, labels.index(label)


def texts(record: Any, keys: Sequence[str], where: str) -> Iterator[str]:
    """The texts under `keys`; each must be there, not blank, and such as can be written."""
    for key in keys:
        value = record.get(key) if isinstance(record, dict) else None
        if not isinstance(value, str) or not value.strip():
            raise TaskError(f"{where}: {key!r} is missing or not a text")
        if half := _SURROGATE.search(value):
            raise TaskError(f"{where}: {key!r} holds {half[0]!r}, half of a character")
        yield value
