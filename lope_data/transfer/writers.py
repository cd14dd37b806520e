"""Tables that come part after part as files of Parquet, CSV and Arrow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from lope_common.progress import Progress
from lope_data.store.commit import write_datasets_files
from lope_data.transfer.row_text import to_flat

_ROWS = 20_000  # at once


def counted(rows: pa.Table, progress: Progress) -> Iterator[pa.Table]:
    """The rows part after part, each told once it is written."""
    for low in range(0, len(rows), _ROWS):
        yield rows.slice(low, _ROWS)
        progress("rows written", min(low + _ROWS, len(rows)), len(rows))


def write_parquet(file: BinaryIO, schema: pa.Schema, parts: Iterable[pa.Table], features: Any = None) -> None:
    """Writes Parquet; with `features`, where `datasets` looks for the names of classes."""
    metadata = None if features is None else {"huggingface": json.dumps({"info": {"features": features}})}
    schema = schema.with_metadata(metadata)
    with pq.ParquetWriter(file, schema, compression="zstd", use_compliant_nested_type=False) as writer:  # keeps names
        for part in parts:
            writer.write_table(part.replace_schema_metadata(schema.metadata))


def write_csv(file: BinaryIO, parts: Iterable[pa.Table]) -> None:
    """Writes CSV. Text is quoted and null is not, so that a reader can distinguish the two."""
    writer: Any = None
    for part in map(to_flat, parts):
        writer = writer or pcsv.CSVWriter(file, part.schema)
        writer.write_table(part)
    writer.close()


def write_saved(
    folder: Path, schema: pa.Schema, parts: Iterable[pa.Table], features: Mapping[str, Any], key: str
) -> None:
    """Writes what `datasets.load_from_disk` opens; `key` says what the rows are, for its caches."""
    name = "data-00000-of-00001.arrow"
    with pa.OSFile(str(folder / name), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for part in parts:
            writer.write_table(part)
    write_datasets_files(folder, features, [name], hashlib.sha256(key.encode()).hexdigest()[:16])
