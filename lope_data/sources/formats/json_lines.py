"""JSON and JSON lines, a row an object."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from lope_data.errors import SourceError
from lope_data.sources.formats.format import Format
from lope_data.sources.text import blocks, first_line

if TYPE_CHECKING:
    from lope_data.sources.chunks import Chunk
    from lope_data.sources.part import BrokenRow, Part, Task
    from lope_data.sources.reading import Reading

_ONE = 64  # blocks that one object may fill
_TOO_DEEP = "nested too deeply"
_FIRST = 1 << 20  # bytes of an array in which its first row must end, to be looked at


def read_json(path: Path, reading: Reading) -> Iterator[Task]:
    """A file with one array of objects, or with one object, on however many lines; any other is read as JSON lines.

    Raises:
        SourceError: it is not valid JSON, or a row is no object.
    """
    from lope_data.sources.chunks import item_chunks
    from lope_data.sources.objects import object_part

    text = (block.lstrip() for block in blocks(path, reading.said_encoding))
    if next(filter(None, text), b"")[:1] != b"[":
        one = _one_object(path, reading.said_encoding)
        if one is None:
            yield from read_json_lines(path, reading)
        else:
            again = partial(_one_careful, one, str(path))
            yield partial(object_part, [orjson.loads(one)], str(path), again)
        return
    keys = None
    for number, chunk in enumerate(item_chunks(path, reading.said_encoding)):
        if not number:
            keys = _keys_of_items(chunk)
        yield partial(_items, chunk, keys)


def read_json_lines(path: Path, reading: Reading) -> Iterator[Task]:
    """A file with one object a line; blank lines are passed over.

    Raises:
        SourceError: a line that is not valid JSON, or no object; says which line.
    """
    from lope_data.sources.chunks import line_chunks

    keys = None
    for number, chunk in enumerate(line_chunks(path, reading.said_encoding)):
        if not number:
            keys = _keys_of_line(chunk)
        yield partial(_lines, chunk, keys, each=reading.skip_broken > 0)


def _keys_of_line(chunk: Chunk) -> tuple[str, ...] | None:
    from lope_data.sources.plain_json import LEAST, keys_of

    if len(chunk.data) < LEAST:
        return None
    line = chunk.data.lstrip().partition(b"\n")[0]
    try:
        return keys_of(orjson.loads(line))
    except orjson.JSONDecodeError:
        return None


def _keys_of_items(chunk: Chunk) -> tuple[str, ...] | None:
    from lope_data.sources.plain_json import LEAST, keys_of

    if len(chunk.data) < LEAST:
        return None
    try:
        return keys_of(json.JSONDecoder().raw_decode(chunk.data[:_FIRST].decode("utf-8", "replace").lstrip())[0])
    except (ValueError, RecursionError):
        return None


def _lines(chunk: Chunk, keys: tuple[str, ...] | None, *, each: bool) -> Part:
    """The rows of lines. `each`: whether a line that is not UTF-8 is a broken row; else the file is no text."""
    from lope_data.sources.objects import object_part
    from lope_data.sources.plain_json import LEAST, plain_part

    if keys is not None and len(chunk.data) >= LEAST and (found := plain_part(chunk, keys, listed=False)) is not None:
        return found
    if not each:
        chunk.check()
    lines = chunk.data.splitlines()  # of bytes: at \n, \r\n and \r only
    numbers: Any = range(chunk.line, chunk.line + len(lines))
    broken: list[BrokenRow] = []
    try:
        rows = list(map(orjson.loads, lines))
    except orjson.JSONDecodeError:
        lines, numbers, rows, broken = _each_line(lines, chunk.line)

    def again() -> list[Any]:
        return [_careful(line) for line in lines]

    return object_part(rows, str(chunk.path), again, numbers, broken)


def _each_line(lines: list[bytes], first: int) -> tuple[list[bytes], list[int], list[Any], list[BrokenRow]]:
    """The lines that hold something and can be read, their numbers and rows; and those that cannot."""
    from lope_data.sources.part import BrokenRow

    kept, numbers, rows, broken = [], [], [], []
    for number, line in enumerate(lines, first):
        if not line.strip():
            continue
        try:
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError:
                row = _careful(line)
        except UnicodeDecodeError as error:
            broken.append(BrokenRow(f"byte {error.start} of it, {line[error.start]:#04x}, is not utf-8", number))
            continue
        except (ValueError, RecursionError) as error:
            broken.append(BrokenRow(f"not valid JSON ({_reason(error)})", number))
            continue
        kept.append(line)
        numbers.append(number)
        rows.append(row)
    return kept, numbers, rows, broken


def _items(chunk: Chunk, keys: tuple[str, ...] | None) -> Part:
    """The rows of a part of an array's inside."""
    from lope_data.sources.objects import object_part
    from lope_data.sources.plain_json import LEAST, plain_part

    if not chunk.data.strip():
        raise SourceError(f"{chunk.path}, line {chunk.line}: not valid JSON (nothing beside a comma)")
    if keys is not None and len(chunk.data) >= LEAST and (found := plain_part(chunk, keys, listed=True)) is not None:
        return found
    chunk.check()
    text = b"[" + chunk.data + b"]"
    again = partial(_careful_items, chunk, text)
    try:
        rows = orjson.loads(text)
    except orjson.JSONDecodeError:
        rows = again()
    return object_part(rows, str(chunk.path), again)


def _careful_items(chunk: Chunk, text: bytes) -> Any:
    try:
        return _careful(text)
    except (ValueError, RecursionError) as error:
        place = f", line {chunk.line_at(_bytes_before(error) - 1)}" if isinstance(error, json.JSONDecodeError) else ""
        raise SourceError(f"{chunk.path}{place}: not valid JSON ({_reason(error)})") from error


def _bytes_before(error: json.JSONDecodeError) -> int:
    return max(len(error.doc[: error.pos].encode()), 1)


def _careful(text: bytes) -> Any:
    """As the standard library reads it: integers of any size, NaN, surrogates alone.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deeply.
    """
    return json.loads(text.decode())


def _reason(error: ValueError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return _TOO_DEEP
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg}, column {error.colno}"
    return first_line(error)


def _one_careful(text: bytes, where: str) -> list[Any]:
    try:
        return [_careful(text)]
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{where}: not valid JSON ({_reason(error)})") from error


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


FORMATS = {".json": Format(read_json), ".jsonl": Format(read_json_lines), ".ndjson": Format(read_json_lines)}
