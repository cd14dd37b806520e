"""JSON and JSON lines, a row an object."""

from __future__ import annotations

import json
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from lope_data.errors import SourceError
from lope_data.sources.formats.format import Format
from lope_data.sources.text import blocks, first_line, line_blocks

if TYPE_CHECKING:
    from lope_data.sources.objects import Objects

_ROWS = 50_000  # that are made into columns at a time
_ONE = 64  # blocks that one object may fill
_TOO_DEEP = "nested too deeply"


def read_json(path: Path, encoding: str | None, objects: Objects) -> None:
    """A file with one array of objects, or with one object, on however many lines; any other is read as JSON lines.

    Raises:
        SourceError: it is not valid JSON, or a row is no object.
    """
    if next((block.lstrip()[:1] for block in blocks(path, encoding) if block.strip()), b"") != b"[":
        one = _one_object(path, encoding)
        if one is None:
            read_json_lines(path, encoding, objects)
        else:
            objects.add([orjson.loads(one)], str(path), again=partial(_one_careful, one, str(path)))
        return
    text = b"".join(blocks(path, encoding))
    wide = False
    try:
        rows = orjson.loads(text)
    except orjson.JSONDecodeError:
        rows, wide = _careful(text, str(path)), True
    exact: list[Any] = rows if wide else []
    for low in range(0, len(rows), _ROWS):

        def again(low: int = low) -> list[Any]:
            exact[:] = exact or _careful(text, str(path))
            return exact[low : low + _ROWS]

        objects.add(rows[low : low + _ROWS], str(path), again=again, first=low)


def read_json_lines(path: Path, encoding: str | None, objects: Objects) -> None:
    """A file with one object a line; blank lines are passed over.

    Raises:
        SourceError: a line that is not valid JSON, or no object; says which line.
    """
    row = 0
    for first, many in line_blocks(path, encoding):
        for start in range(0, len(many), _ROWS):
            lines, number = many[start : start + _ROWS], first + start
            numbers: Any = range(number, number + len(lines))
            try:
                rows = list(map(orjson.loads, lines))
            except orjson.JSONDecodeError:
                kept = [(n, line) for n, line in zip(numbers, lines, strict=True) if line.strip()]
                numbers, lines = [n for n, _ in kept], [line for _, line in kept]
                rows = [_line(line, f"{path}, line {n}") for n, line in kept]

            def again(lines: list[bytes] = lines, numbers: Any = numbers) -> list[Any]:
                return [_careful(line, f"{path}, line {n}") for n, line in zip(numbers, lines, strict=True)]

            objects.add(rows, str(path), numbers, again, row)
            row += len(rows)


def _line(line: bytes, where: str) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return _careful(line, where)


def _careful(text: bytes, where: str) -> Any:
    """As the standard library reads it: integers of any size, NaN, surrogates alone. Says what is wrong and where."""
    try:
        return json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        reason = _TOO_DEEP if isinstance(error, RecursionError) else first_line(error)
        raise SourceError(f"{where}: not valid JSON ({reason})") from error


def _one_careful(text: bytes, where: str) -> list[Any]:
    return [_careful(text, where)]


def _one_object(path: Path, encoding: str | None) -> bytes | None:
    """The text of a file that is one object, and so one row.

    Raises:
        SourceError: it is an object around the rows, as many tools write it.
    """
    parts = list(islice(blocks(path, encoding), _ONE + 1))
    text = b"".join(parts)
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None  # lines, most likely
    if not isinstance(found, dict) or len(parts) > _ONE:
        return None
    if _is_by_column(found):
        raise SourceError(
            f"{path}: one object of columns, where a row must be an object; write it row by row, in pandas "
            "df.to_json(path, orient='records', lines=True)"
        )
    for name, value in found.items():
        if isinstance(value, list) and value and isinstance(value[0], dict) and not {"role", "from"} & value[0].keys():
            raise SourceError(
                f"{path}: one object, whose {name!r} holds {len(value)} rows; write that list alone, as in "
                f"jq '.{name}' {path.name}"
            )
    return text


def _is_by_column(found: dict[str, Any]) -> bool:
    """Whether an object holds columns: lists of as many values each, or objects numbered from 0, as pandas has them."""
    columns = list(found.values())
    if columns and all(isinstance(column, dict) and column for column in columns):
        return all(list(column) == [str(i) for i in range(len(columns[0]))] for column in columns)
    plain = (str, int, float, type(None))
    lists = [c for c in columns if isinstance(c, list) and len(c) > 1 and all(isinstance(value, plain) for value in c)]
    return len(lists) == len(columns) > 1 and len({len(column) for column in lists}) == 1


_LINES = Format(gather=lambda path, reading, objects: read_json_lines(path, reading.said_encoding, objects))
FORMATS = {
    ".json": Format(gather=lambda path, reading, objects: read_json(path, reading.said_encoding, objects)),
    ".jsonl": _LINES,
    ".ndjson": _LINES,
}
