"""Importing a version: an exported folder, or a copy of a version's own, becomes that version again. All is checked."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lope_common.progress import Notice, Progress
from lope_data.errors import StoreError
from lope_data.inject.apply import EDITS
from lope_data.rows.layout import Layout
from lope_data.rows.shapes import OPS, ROW_ID, SHAPE
from lope_data.rows.stored import storable
from lope_data.store.commit import commit
from lope_data.store.digest import ContentDigest
from lope_data.store.draft import Shard, drafted
from lope_data.store.locks import locked
from lope_data.store.manifest import FORMAT, NAME, libraries, read_manifest
from lope_data.store.manifest_model import Manifest, facts_of
from lope_data.store.store import Store, shard_rows
from lope_data.store.verify import expected_id, inner_file
from lope_data.store.version import Version
from lope_data.transfer.exporting import SCHEMA
from lope_data.transfer.row_text import from_json_lines

_LINES = 5000  # at once


def import_folder(folder: Path, store: Store, notice: Notice, progress: Progress) -> Version:
    """The folder as a version of the store: made now, or the one that is there.

    Raises:
        StoreError: the folder is no exported version, or what is in it is not what its manifest says; the store has
            another version of that id, or cannot be written to. The store stays as it was.
    """
    if folder.is_file() or (folder.is_dir() and not (folder / NAME).exists()):
        raise StoreError(
            f"{folder} is not a version: it has no {NAME}, which export --as version writes; rows alone are read with "
            f"`python -m lope_data ingest {folder}`"
        )
    manifest = read_manifest(folder)
    name, version = manifest.name, manifest.version
    if version != expected_id(manifest):
        raise StoreError(f"{folder / NAME} names the version {version}, which is not that of its recipe and parents")
    parts = _rows(folder, manifest)  # before the store is touched: a folder that is none is refused
    first = next(_checked(folder, parts), None)
    if first is None:
        raise StoreError(f"{folder} holds no rows")
    with locked(store, name, version, notice):
        found = store.find(name, version)
        if found:
            _check_same(found, manifest)
        made = found or _write(folder, manifest, itertools.chain([first], parts), store, progress)
        store.set_ref(name, "latest", version)
    return made


def _check_same(found: Version, manifest: Manifest) -> None:
    mine, theirs = found.manifest.plain, manifest.plain
    for key in sorted(mine.keys() | theirs.keys()):
        if key not in ("libraries", "files", "manifest_sha256") and mine.get(key) != theirs.get(key):
            raise StoreError(
                f"{found.ref} is in the store already, with another {key!r}; import it into another --store"
            )


def _write(folder: Path, manifest: Manifest, parts: Iterator[pa.Table], store: Store, progress: Progress) -> Version:
    name, version, count = manifest.name, manifest.version, manifest.rows
    edits = _Edits(folder)
    # If this is killed, no build may take up its shards, which are not checked yet: hence the purpose.
    size = shard_rows(count)
    with drafted(store, name, version, count, size, "import") as draft:
        notes: list[dict[str, Any]] = []
        digest, touched, shapes = ContentDigest(count), 0, Counter[str]()
        schema: pa.Schema = None
        done = 0
        for rows in _shards(_checked(folder, parts), size):
            done += len(rows)
            if done > count:
                break
            mine = edits.of(rows[ROW_ID])
            schema = rows.schema
            digest.add(rows, mine)
            touched += pc.sum(pc.greater(pc.list_value_length(rows[OPS]), 0)).as_py() or 0
            shapes.update({entry["values"]: entry["counts"] for entry in pc.value_counts(rows[SHAPE]).to_pylist()})
            notes.append(draft.write(len(notes), [Shard(rows, mine)]))
            progress(f"import {name}", done, count)
        if done != count:
            raise StoreError(f"{folder}: its manifest says {count:,} rows, which is not how many there are")
        layout = Layout.from_plain(manifest.layout.plain)
        if edits.left() or digest.finish(schema, layout) != manifest.content_digest:
            raise StoreError(f"the rows or edits of {folder} are not those of its manifest: their digest is another")
        for key, said, counted in (
            ("touched", manifest.touched, touched),
            ("shapes", manifest.shapes, dict(shapes)),
        ):
            if counted != said:
                raise StoreError(f"{folder}: its manifest says {key} {said}, the rows say {counted}")
        return commit(store, draft, notes, facts_of(manifest, format=FORMAT, libraries=libraries()))


def _rows(folder: Path, manifest: Manifest) -> Iterator[pa.Table]:
    """The rows of a folder, part after part, in whichever of the formats it has them."""
    arrow = [file.path for file in manifest.files if file.path.endswith(".arrow")]
    if (folder / "rows.parquet").exists():
        return _of_parquet(inner_file(folder, "rows.parquet"))
    if (folder / "rows.jsonl").exists():
        return _of_jsonl(inner_file(folder, "rows.jsonl"), inner_file(folder, SCHEMA))
    return _of_arrow([inner_file(folder, name) for name in arrow])


def _of_parquet(path: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_LINES):
            yield pa.Table.from_batches([batch])


def _of_arrow(paths: list[Path]) -> Iterator[pa.Table]:
    for path in paths:
        with pa.memory_map(str(path)) as file:
            for batch in pa.ipc.open_stream(file):
                batch.validate(full=True)
                yield pa.Table.from_batches([batch])


def _of_jsonl(path: Path, types: Path) -> Iterator[pa.Table]:
    schema = pa.ipc.read_schema(pa.py_buffer(types.read_bytes()))
    with path.open("rb") as file:
        for first in itertools.count(1, _LINES):
            lines = list(itertools.islice(file, _LINES))
            if not lines:
                return
            try:
                yield from_json_lines(lines, schema, first)
            except ValueError as error:
                raise StoreError(f"{path}: {error}") from None


def _checked(folder: Path, parts: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The parts, their columns checked and without metadata; what cannot be read is a StoreError."""
    schema: pa.Schema = None
    try:
        for part in parts:
            if schema is None:
                schema = part.schema.remove_metadata()
                _check_columns(folder, schema)
            yield part.select(schema.names).cast(schema)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise StoreError(f"the rows of {folder} cannot be read ({error})") from error


def _check_columns(folder: Path, schema: pa.Schema) -> None:
    ours = {ROW_ID: pa.string(), SHAPE: pa.string(), OPS: pa.list_(pa.string())}
    for name, kind in ours.items():
        if schema.get_field_index(name) < 0 or not schema.field(name).type.equals(kind):
            raise StoreError(f"the rows of {folder} have no column {name!r} of type {kind}, so they are no version's")
    for field in schema:
        if not storable(field.type):
            raise StoreError(
                f"the rows of {folder} have a column {field.name!r} of {field.type}, which no version holds"
            )


def _shards(parts: Iterator[pa.Table], size: int) -> Iterator[pa.Table]:
    """The parts, cut into shards of this size."""
    held: list[pa.Table] = []
    for part in parts:
        held.append(part)
        while sum(map(len, held)) >= size:
            whole = pa.concat_tables(held)
            yield whole.slice(0, size).combine_chunks()
            held = [whole.slice(size)]
    if rest := pa.concat_tables(held) if held else None:
        yield rest.combine_chunks()


class _Edits:
    """The edits of a folder, which stand in the order of the rows, given out shard by shard."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.next = EDITS.empty_table()
        paths = sorted(path.name for path in (folder / "edits").glob("*.parquet"))
        self.batches = self._read([inner_file(folder, f"edits/{name}") for name in paths])

    def of(self, ids: pa.ChunkedArray) -> pa.Table:
        """The edits of the next rows."""
        found = []
        while len(self.next) or self._go_on():
            inside = pc.is_in(self.next["row_id"], value_set=ids)
            end = pc.index(inside, False).as_py()
            found.append(self.next.slice(0, None if end < 0 else end))
            self.next = self.next.slice(len(found[-1]))
            if end >= 0:
                break
        return pa.concat_tables(found).combine_chunks() if found else EDITS.empty_table()

    def left(self) -> bool:
        """Whether there are edits that no row had."""
        return len(self.next) > 0 or self._go_on()

    def _go_on(self) -> bool:
        self.next = next(self.batches, EDITS.empty_table())
        return len(self.next) > 0

    def _read(self, paths: list[Path]) -> Iterator[pa.Table]:
        try:
            for path in paths:
                with pq.ParquetFile(path) as file:
                    if not file.schema_arrow.remove_metadata().equals(EDITS):
                        raise StoreError(f"{path} has other columns than a file of edits")
                    for batch in file.iter_batches():
                        if len(batch):
                            yield pa.Table.from_batches([batch]).cast(EDITS)
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"the edits of {self.folder} cannot be read ({error})") from error
