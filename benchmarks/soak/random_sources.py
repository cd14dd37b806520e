"""Random source files of every kind, whole and broken, for `fuzz_sources`."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import pyarrow as pa
import pyarrow.parquet as pq

Cells = dict[str, Any]
WORDS = [
    "a",
    "Hello",
    "number 3",
    "naïve",
    "日本語",
    "👩‍👩‍👧",
    "x,y",
    'say "hi"',
    "two\nlines",
    "tab\tbed",
    "",
    " ",
    "é\u0301",
    "\u202e!",
]
ODD_TEXT = [
    "\x00",
    "\x1b[31m",
    "\ud800",
    "\ufeff",
    "a" * 5000,
    "'); DROP TABLE",
    "=1+1",
    "\r",
    "\u2028",
    '"',
    "{}",
    "NaN",
]
ODD_NUMBERS = [
    0,
    -1,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**63,
    2**64,
    -(2**63) - 1,
    10**400,
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
]
ODD_NAMES = [
    "",
    "a.b",
    "\x00",
    "lope_ops",
    "lope_row_id",
    "n" * 3000,
    "text ",
    "Ünï",
    "\ud800",
    "choices",
    "answer",
    "'",
    "label",
]
SUFFIXES = [".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow"]
PATTERNS = [
    r"(?P<label>\w+):(?P<text>.*)",
    r"(?P<text>.*)",
    r"(?P<label>\S+) (?P<text>.*)",
    r"(?P<text>.*)(?P<label>x)?",
]
ENCODINGS = [
    "utf-8",
    "latin-1",
    "utf-16",
    "utf-32",
    "cp1252",
    "shift_jis",
    "utf-7",
    "ascii",
    "utf-8-sig",
    "cp037",
    "big5",
    "idna",
]


def words(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(1, 8)))


def shape_row(rng: random.Random, shape: int) -> Cells:
    if shape == 0:
        return {"instruction": words(rng), "input": rng.choice(["", None, words(rng)]), "output": words(rng)}
    if shape == 1:
        return {"question": words(rng), "choices": [words(rng) for _ in range(rng.randint(1, 4))], "answer": 0}
    if shape == 2:
        return {"text": words(rng), "label": rng.choice(["x", "y"])}
    roles = rng.choice([("user", "assistant"), ("human", "gpt"), ("system", "tool")])
    return {"messages": [{"role": role, "content": words(rng)} for role in roles]}


def odd_value(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.randrange(8)
    if kind == 0:
        return None
    if kind == 1:
        return rng.choice(ODD_NUMBERS)
    if kind == 2:
        return rng.choice(ODD_TEXT)
    if kind == 3:
        return rng.random() < 0.5
    if kind == 4 and depth < 3:
        return [odd_value(rng, depth + 1) for _ in range(rng.randint(0, 3))]
    if kind == 5 and depth < 3:
        return {rng.choice(ODD_NAMES): odd_value(rng, depth + 1) for _ in range(rng.randint(0, 3))}
    if kind == 6 and depth == 0:
        value: Any = 1
        for _ in range(rng.choice([10, 70, 500, 1500])):
            value = [value]
        return value
    return words(rng)


def make_rows(rng: random.Random) -> list[Cells]:
    count = rng.choice([0, 1, 2, 3, 10, 10, 40, 40, 40])
    shape = rng.randrange(4)
    rows = [shape_row(rng, rng.randrange(4) if rng.random() < 0.02 else shape) for _ in range(count)]
    for _ in range(rng.choice([0, 0, 0, 1, 1, 3])):  # what does not belong there
        if not rows:
            break
        row = rng.choice(rows)
        action = rng.randrange(4)
        if action == 0:
            row[rng.choice(list(row) or ["text"])] = odd_value(rng)
        elif action == 1 and row:
            row.pop(rng.choice(list(row)))
        elif action == 2:
            name = rng.choice(ODD_NAMES)
            for other in rows:
                other[name] = odd_value(rng) if rng.random() < 0.3 else 1
        else:
            rows.append(dict(row))
    return rows


def dumps(value: Any, rng: random.Random) -> str:
    try:
        return json.dumps(value, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, None, 2]))
    except RecursionError:
        return "[" * 3000


def as_json(rows: list[Cells], rng: random.Random) -> bytes:
    whole: Any = {"data": rows} if rng.random() < 0.05 else rows
    return dumps(whole, rng).encode("utf-8", "surrogatepass")


def as_lines(rows: list[Cells], rng: random.Random) -> bytes:
    ends = rng.choice(["\n", "\n", "\r\n", "\r", "\n\n"])
    return ends.join(dumps(row, rng).replace("\n", " ") for row in rows).encode("utf-8", "surrogatepass")


def plain(value: Any) -> str:
    try:
        return "" if value is None else str(value)
    except RecursionError:
        return "[["


def as_csv(rows: list[Cells], rng: random.Random, separator: str) -> bytes:
    names = list(dict.fromkeys(name for row in rows for name in row))
    file = io.StringIO()
    quoting = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    writer = csv.writer(file, delimiter=separator, quoting=quoting, lineterminator=rng.choice(["\n", "\r\n", "\r"]))
    writer.writerow(names)
    for row in rows:
        writer.writerow([plain(row.get(name)) for name in names][: None if rng.random() < 0.99 else -1])
    return file.getvalue().encode("utf-8", "surrogatepass")


def as_arrow(rows: list[Cells], rng: random.Random, write: Callable[[pa.Table, io.BytesIO], None]) -> bytes:
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = []
    for name in names:
        try:
            column = pa.array([row.get(name) for row in rows])
            if rng.random() < 0.1 and pa.types.is_string(column.type):
                column = rng.choice(
                    [column.dictionary_encode(), column.cast(pa.large_string()), column.cast(pa.binary())]
                )
            elif rng.random() < 0.05:
                kind = rng.choice(
                    [pa.timestamp("s"), pa.timestamp("s", "no/where"), pa.date64(), pa.binary(), pa.null()]
                )
                column = pa.nulls(len(rows), kind) if rng.random() < 0.5 else pa.array([2**62] * len(rows)).cast(kind)
        except (pa.ArrowException, UnicodeError, OverflowError, RecursionError):
            column = pa.array([str(i) for i in range(len(rows))])
        columns.append(column)
    if columns and rng.random() < 0.02:
        names, columns = [*names, names[0]], [*columns, columns[0]]
    file = io.BytesIO()
    try:
        write(pa.Table.from_arrays(columns, [name.encode("utf-8", "replace").decode() for name in names]), file)
    except (pa.ArrowException, OverflowError, ValueError):
        return b"PAR1"
    return file.getvalue()


def write_ipc(table: pa.Table, file: io.BytesIO, new: Callable[..., Any]) -> None:
    with new(file, table.schema) as writer:
        writer.write_table(table)


def content(kind: str, rows: list[Cells], rng: random.Random) -> bytes:
    if kind == ".json":
        return as_json(rows, rng)
    if kind in (".jsonl", ".ndjson"):
        return as_lines(rows, rng)
    if kind in (".csv", ".tsv"):
        return as_csv(rows, rng, "," if kind == ".csv" else "\t")
    if kind == ".parquet":
        return as_arrow(rows, rng, pq.write_table)
    if kind == ".arrow":
        new = rng.choice([pa.ipc.new_file, pa.ipc.new_stream])
        return as_arrow(rows, rng, lambda table, file: write_ipc(table, file, new))
    lines = [f"{rng.choice(['x', 'y:z', ''])}{rng.choice([' ', ':'])}{words(rng)}" for _ in rows]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Some of the files stay whole, the others lose, gain or change bytes, or are in another encoding."""
    action = rng.randrange(16)
    if action == 0 and data:
        return data[: rng.randrange(len(data))]
    if action == 1 and data:
        changed = bytearray(data)
        for _ in range(rng.randint(1, 8)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        return bytes(changed)
    if action == 2:
        place = rng.randint(0, len(data))
        return data[:place] + rng.randbytes(rng.randint(1, 30)) + data[place:]
    if action == 3:
        return data.decode("utf-8", "replace").encode(
            rng.choice(["utf-16", "utf-32", "latin-1", "utf-8-sig"]), "replace"
        )
    if action == 4:
        return rng.choice(
            [b"", b"\n\n  \n", b"\xef\xbb\xbf", b"[", b"{}", b"null", b'"', b"[" * 100_000, b"\x00" * 50, data + data]
        )
    return data


def write_source(rng: random.Random, folder: Path) -> tuple[str, dict[str, Any]]:
    """A random source, and a random recipe for it."""
    recipe: dict[str, Any] = {}
    kind = rng.choice([*SUFFIXES, *SUFFIXES, ".txt", "folder", "saved", "name"])
    if rng.random() < 0.1 or (kind == ".txt" and rng.random() < 0.9):
        recipe["source"] = {"pattern": rng.choice(PATTERNS)}
    if rng.random() < 0.1:
        recipe.setdefault("source", {})["encoding"] = rng.choice(ENCODINGS)
    if rng.random() < 0.1:
        names = ["text", "label", "instruction", "question", "a.b", "choices", "answer"]
        recipe["columns"] = {rng.choice(["id", "text", "output", "question"]): rng.choice(names)}
        if rng.random() < 0.5:
            recipe["columns"]["choices"] = rng.sample(names, 2)
    if kind == "name":
        return rng.choice(
            ["sample", "nobody/nothing", "a" * 300, "\x00", "..", "x\ny", "no.jsonl.gz", str(folder)]
        ), recipe
    if kind == "folder":
        suffix = rng.choice(SUFFIXES)
        for i in range(rng.randint(0, 4)):
            name = f"{i}{suffix if rng.random() < 0.95 else rng.choice([*SUFFIXES, '.md'])}"
            (folder / name).write_bytes(mutated(content(suffix, make_rows(rng), rng), rng))
        return str(folder), recipe
    if kind == "saved":
        return str(saved(rng, folder)), recipe
    data = mutated(content(kind, make_rows(rng), rng), rng)
    suffix = kind if rng.random() < 0.95 else rng.choice([*SUFFIXES, ".txt", "", ".JSON", ".exe"])
    if rng.random() < 0.15:
        packed, suffix = rng.choice(
            [(gzip.compress(data), suffix + ".gz"), (pa.compress(data, "zstd", asbytes=True), suffix + ".zst")]
        )
        data = mutated(packed, rng)
    path = folder / (rng.choice(["rows", "-", "sp ace", "ünï", "%", "a\nb", "x" * 200, "latest"]) + suffix)
    path.write_bytes(data)
    return str(path), recipe


def saved(rng: random.Random, folder: Path) -> Path:
    import datasets

    datasets.disable_progress_bars()
    table = pa.Table.from_pylist([{"text": words(rng), "label": rng.choice([0, 1])} for _ in range(5)])
    dataset = datasets.Dataset(table)
    if rng.random() < 0.5:
        dataset = dataset.cast_column("label", datasets.ClassLabel(names=["no", "yes"]))
    whole: Any = datasets.DatasetDict({"train": dataset}) if rng.random() < 0.2 else dataset
    whole.save_to_disk(str(folder / "saved"))
    for path in sorted(p for p in (folder / "saved").rglob("*") if p.is_file()):
        if rng.random() < 0.2:
            path.write_bytes(mutated(path.read_bytes(), rng))
    return folder / "saved"
