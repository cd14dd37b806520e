"""A version in the making: shards, each with a note that is written when it is whole, so that a killed build goes on.

A draft is the folder `.<version>.partial` beside the version's place; its `version/` becomes the version, by a rename.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lope_common.files import HashedFile, canonical, described, write_whole
from lope_data.errors import LopeDataError, StoreError
from lope_data.rows.layout import Layout
from lope_data.store.digest import block_digest, block_digests, combined
from lope_data.store.manifest import BLOCK, FORMAT, libraries
from lope_data.store.store import Store

_BUFFER = 1 << 20  # bytes that are hashed and written at once


@dataclass(frozen=True)
class Shard:
    """Some rows, their edits, and what else is to be known of them when the version is complete (plain data)."""

    rows: pa.Table
    edits: pa.Table
    said: Any = None

    @property
    def tables(self) -> tuple[pa.Table, pa.Table]:
        return self.rows, self.edits


@dataclass(frozen=True)
class Draft:
    """`folder`: of the draft; `rows`: how many the version will have; `shard_rows`: how many a shard has."""

    folder: Path
    rows: int
    shard_rows: int

    @property
    def count(self) -> int:
        """How many shards the version will have."""
        return -(-self.rows // self.shard_rows)

    @property
    def version(self) -> Path:
        """The folder that becomes the version."""
        return self.folder / "version"

    @property
    def schema(self) -> pa.Schema:
        """Of the rows, from the first shard, which is written."""
        with pa.memory_map(str(self.version / self.data_name(0))) as file:
            return pa.ipc.open_stream(file).schema

    def data_name(self, index: int) -> str:
        return f"data-{index:05d}-of-{self.count:05d}.arrow"

    def edits_name(self, index: int) -> str:
        return f"edits/{index:05d}-of-{self.count:05d}.parquet"

    def write(self, index: int, parts: Iterable[Shard]) -> dict[str, Any]:
        """Writes a shard that comes part after part, then its note: its `files` as in a manifest, the digests of the
        `blocks` that lie in it, by their numbers, and what is `said` of each part (plain data). A part that is not the
        last has so many rows that blocks end with it.
        """
        data, edits = self.data_name(index), self.edits_name(index)
        first = index * self.shard_rows
        made: list[pa.Table] = []
        said: list[Any] = []
        blocks: dict[int, str] = {}
        with HashedFile(self.version / data) as sink, ExitStack() as stack:
            stream = stack.enter_context(pa.output_stream(sink, buffer_size=_BUFFER))
            writer = None
            for part in parts:
                rows = part.rows.replace_schema_metadata(None)  # the manifest has the layout
                writer = writer or stack.enter_context(pa.ipc.new_stream(stream, rows.schema))
                writer.write_table(rows, max_chunksize=BLOCK)
                made.append(part.edits)
                said.append(part.said)
                blocks |= block_digests(part.rows, part.edits, first, self.rows)
                first += len(rows)
                del part, rows  # before the next are made
            stack.close()
            files = [sink.described(data)]
        with HashedFile(self.version / edits) as sink:
            pq.write_table(pa.concat_tables(made), sink, compression="zstd")
            files.append(sink.described(edits))
        note = {"files": files, "said": said, "blocks": {str(block): found for block, found in blocks.items()}}
        write_whole(self._note(index), canonical(note))
        return note

    def read(self, index: int) -> Shard:
        """A shard that was written."""
        with pa.memory_map(str(self.version / self.data_name(index))) as file:
            return Shard(pa.ipc.open_stream(file).read_all(), pq.read_table(self.version / self.edits_name(index)))

    def notes(self) -> dict[int, dict[str, Any]]:
        """The notes of the shards that an earlier process has left whole, by their hashes."""
        found = {}
        for index in range(self.count):
            try:
                note = json.loads(self._note(index).read_text(encoding="utf-8"))
                whole = all(described(self.version, entry["path"]) == entry for entry in note["files"])
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if whole:
                found[index] = note
        return found

    def digest(self, notes: Sequence[Mapping[str, Any]], layout: Layout) -> str:
        """The content digest, from the notes of all shards. Blocks that no shard holds whole are read."""
        blocks = {int(block): found for note in notes for block, found in note["blocks"].items()}
        for block in range(-(-self.rows // BLOCK)):
            if block not in blocks:
                low, high = block * BLOCK, min((block + 1) * BLOCK, self.rows)
                first = low // self.shard_rows
                shards = [self.read(index) for index in range(first, -(-high // self.shard_rows))]
                rows, edits = (pa.concat_tables(part) for part in zip(*(one.tables for one in shards), strict=True))
                begin = first * self.shard_rows
                blocks[block] = block_digest(rows, edits, low - begin, high - begin)
        return combined(blocks, self.schema, self.rows, layout)

    def _note(self, index: int) -> Path:
        return self.folder / "notes" / f"{index:05d}.json"


@contextmanager
def drafted(
    store: Store, name: str, version: str, rows: int, shard_rows: int, purpose: str = "build"
) -> Iterator[Draft]:
    """The draft of a version, resumed if one was left for the same purpose, with the same libraries and shards.

    What fails leaves no draft; what is interrupted or killed leaves the shards that it has. The caller holds the lock.

    Raises:
        StoreError: the store cannot be written to.
    """
    folder = store.draft(name, version)
    draft = Draft(folder, rows, shard_rows)
    start = canonical(
        {"purpose": purpose, "format": FORMAT, "rows": rows, "shard_rows": shard_rows, "libraries": libraries()}
    )
    try:
        if not _begun_as(draft, start):
            if folder.is_symlink():
                folder.unlink()
            shutil.rmtree(folder, ignore_errors=True)
            _make(draft.version / "edits")
            (folder / "notes").mkdir()
            (folder / "start.json").write_bytes(start)
        yield draft
    except OSError as error:
        _remove(folder)
        raise StoreError(
            f"cannot write to the store {store.root} ({error.strerror or error}); nothing was kept of this version: "
            "make room, or choose another store with --store"
        ) from error
    except LopeDataError:
        _remove(folder)
        raise
    except BaseException:  # an interrupt, for one: what there is saves work the next time
        if not any((folder / "notes").glob("*.json")):
            _remove(folder)
        raise


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
    except FileNotFoundError:  # a build of the same name that failed has just taken the dataset's folder away
        folder.mkdir(parents=True, exist_ok=True)


def _remove(folder: Path) -> None:
    """Takes a draft away, and the dataset's folder if there is nothing else in it."""
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        folder.parent.rmdir()


def _begun_as(draft: Draft, start: bytes) -> bool:
    """Whether there is a draft that was begun so, with all its folders and without links, which could lead out."""
    folder = draft.folder
    if folder.is_symlink() or not all(part.is_dir() for part in (draft.version / "edits", folder / "notes")):
        return False
    if any(path.is_symlink() for path in folder.rglob("*")):
        return False
    try:
        return (folder / "start.json").read_bytes() == start
    except FileNotFoundError:
        return False
