"""Reading a source: a file, a saved dataset, a hub id or an embedded sample, as one Arrow table and a fingerprint."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from lope_data.errors import SourceError, suggest
from lope_data.manifest import canonical
from lope_data.samples import SPLITS, generate


@dataclass(frozen=True)
class Source:
    """`name`: what its version is called by default; `where`: for messages; `fingerprint`: sha256 over its bytes."""

    name: str
    where: str
    fingerprint: str
    read: Callable[[], pa.Table]


def open_source(source: str) -> Source:
    """The source that a path, a hub id or the name of an embedded sample means. Reads no rows yet, only bytes.

    Raises:
        SourceError: there is none, or it is of no known kind.
    """
    path = Path(source)
    try:
        path.stat()
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        raise SourceError(f"{source[:80]}: cannot be read ({error})") from error
    if source in SPLITS and not path.exists():
        rows = [dict(row) for row in generate(SPLITS[source])]
        return Source(source, source, _sha256(canonical(rows)), lambda: _from_objects(rows, source))
    if path.is_dir():
        return _saved_dataset(path)
    if path.is_file():
        return _file(path)
    if path.suffix.lower() not in _READERS and re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", source):
        return _hub(source)
    raise SourceError(f"{source}: no such file or folder")


def _file(path: Path) -> Source:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        kinds = suggest(path.suffix, _READERS) if path.suffix else f"; known: {', '.join(_READERS)}"
        raise SourceError(f"{path}: cannot tell the kind of file from its suffix {path.suffix!r}{kinds}")
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            digest.update(path.suffix.lower().encode())  # the same bytes are other rows as csv and as tsv
            fingerprint = digest.hexdigest()
        if path.stat().st_size == 0:
            raise SourceError(f"{path}: the file is empty")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from error

    def read() -> pa.Table:
        try:
            return reader(path)
        except (OSError, UnicodeDecodeError, pa.ArrowException, pl.exceptions.PolarsError) as error:
            raise SourceError(f"{path}: cannot be read as {path.suffix[1:]} ({_first_line(error)})") from error

    return Source(path.stem, str(path), f"sha256:{fingerprint}", read)


def _read_json(path: Path) -> pa.Table:
    text = path.read_bytes().decode("utf-8-sig")
    if text.lstrip()[:1] != "[":
        return _read_jsonl(path)
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path}: not valid JSON ({error})") from error
    return _from_objects(rows, str(path))


def _read_jsonl(path: Path) -> pa.Table:
    rows = []
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    rows.append(json.loads(line))
                except (ValueError, RecursionError) as error:
                    raise SourceError(f"{path}, line {number}: not valid JSON ({error})") from error
    return _from_objects(rows, str(path))


def _from_objects(rows: list[Any], where: str) -> pa.Table:
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            kind = "null" if row is None else type(row).__name__
            raise SourceError(f"{where}, row {number}: {kind}, where an object is needed; remove the row or mend it")
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns: Mapping[str, list[Any]] = {name: [row.get(name) for row in rows] for name in names}
    return pa.table({name: _column(values, name, where) for name, values in columns.items()})


def _column(values: list[Any], name: str, where: str) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowException, UnicodeError, OverflowError) as error:
        kinds = Counter(type(value).__name__ for value in values if value is not None)
        if len(kinds) > 1:
            common = kinds.most_common(1)[0][0]
            number, odd = next((i, v) for i, v in enumerate(values) if v is not None and type(v).__name__ != common)
            shown = json.dumps(odd)[:60]
            raise SourceError(
                f"{where}, row {number}, column {name!r}: {shown} is {type(odd).__name__}, other rows hold {common}; "
                "make it one type"
            ) from error
        raise SourceError(f"{where}, column {name!r}: {_first_line(error)}") from error


def _read_csv(path: Path) -> pa.Table:
    """All columns as strings: a csv has no types, and a label 007 is not 7."""
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    frame = pl.scan_csv(path, separator=separator, infer_schema=False, empty_string_is_null=False, glob=False)
    return frame.collect().to_arrow()


def _read_arrow(path: Path) -> pa.Table:
    data = pa.memory_map(str(path))
    try:
        return pa.ipc.open_file(data).read_all()
    except pa.ArrowInvalid:
        data.seek(0)
        return pa.ipc.open_stream(data).read_all()


_READERS: dict[str, Callable[[Path], pa.Table]] = {
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": pq.read_table,
    ".arrow": _read_arrow,
}


def _saved_dataset(path: Path) -> Source:
    if (path / "manifest.json").is_file():
        raise SourceError(f"{path} is a version; build on it with --from {path}")
    if not (path / "state.json").is_file():
        raise SourceError(f"{path}: a folder, but not one that datasets.Dataset.save_to_disk wrote; name a file in it")
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        with file.open("rb") as data:
            digest.update(hashlib.file_digest(data, "sha256").digest())

    def read() -> pa.Table:
        import datasets  # slow to import, and only needed here

        try:
            return _plain(datasets.load_from_disk(str(path)))
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise SourceError(f"{path}: cannot be read as a saved dataset ({_first_line(error)})") from error

    return Source(path.name, str(path), f"sha256:{digest.hexdigest()}", read)


def _hub(name: str) -> Source:
    import datasets
    from huggingface_hub import HfApi, constants

    try:
        if not constants.HF_HUB_OFFLINE:
            HfApi().dataset_info(name, timeout=10)  # asks once; load_dataset would retry for half a minute
        dataset = datasets.load_dataset(name, split="train")
    except Exception as error:  # the hub client raises a great many kinds
        raise SourceError(
            f"{name}: no such file, embedded sample ({', '.join(SPLITS)}) or dataset on the hub ({_first_line(error)})"
        ) from error
    table = _plain(dataset)
    buffer = io.BytesIO()
    with pa.ipc.new_stream(buffer, table.schema.remove_metadata()) as writer:
        writer.write_table(table.combine_chunks())
    return Source(name.replace("/", "--"), name, _sha256(buffer.getvalue()), lambda: table)


def _plain(dataset: Any) -> pa.Table:
    """The table of a Dataset, with class labels as their names."""
    import datasets

    for name, feature in dataset.features.items():
        if isinstance(feature, datasets.ClassLabel):
            names = feature.names
            strings = [None if value is None or value < 0 else names[value] for value in dataset[name]]  # -1: no label
            dataset = dataset.remove_columns(name).add_column(name, strings)
    return dataset.with_format("arrow")[:]


def _sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
