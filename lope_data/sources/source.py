"""Sources: a file, a folder, a saved dataset, a hub id or an embedded sample, as one Arrow table and a fingerprint."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lope_common.places import typed_path
from lope_data.errors import SourceError
from lope_data.sources.files import (
    check_kind,
    file_fingerprint,
    folder_fingerprint,
    is_known,
    read_file,
    read_shards,
    shards,
    splits,
)
from lope_data.sources.index import SourceIndex, Stamp
from lope_data.sources.reading import Reading
from lope_data.sources.sample import FINGERPRINTS, read_sample
from lope_data.sources.text import COMPRESSIONS

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Source:
    """What was opened.

    Attributes:
        name: what its version is called by default.
        where: the source, for messages.
        fingerprint: sha256 over its bytes.
        read: gives the rows.
        remember: notes in the index where the source is; for when a version of it is there.
    """

    name: str
    where: str
    fingerprint: str
    read: Callable[[], pa.Table]
    remember: Callable[[], None]


def open_source(source: str, reading: Reading | None = None, index: SourceIndex | None = None) -> Source:
    """The source that a path, a hub id or the name of an embedded sample means. Reads no rows yet, only bytes.

    Args:
        reading: the encoding of its text, and the pattern of its lines.
        index: knows large files that have not changed, which are then not read either.

    Raises:
        SourceError: there is none, or it is of no known kind.
    """
    reading = reading or Reading()
    if source in FINGERPRINTS and reading == Reading():  # a file of that name is ./sample
        return _named(source, index)
    path = typed_path(source)
    try:
        path.stat()
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        raise SourceError(f"{source[:80]}: cannot be read ({error})") from error
    try:
        if path.is_dir():
            return _folder(path, reading, index)
        if path.is_file():
            return _file(path, reading, index)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror or error})") from error
    if path.exists():
        raise SourceError(f"{path}: neither a file nor a folder")
    if is_known(path) or not re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", source):
        raise SourceError(f"{path if source.startswith('~') else source}: no such file or folder")
    if reading != Reading():
        raise SourceError(f"{source}: no such file, and an encoding or a pattern is for text files")
    return _named(source, index)


def _file(path: Path, reading: Reading, index: SourceIndex | None) -> Source:
    check_kind(path, reading)
    if path.stat().st_size == 0:
        raise SourceError(f"{path}: the file is empty")
    name = path.stem if path.suffix.lower() not in COMPRESSIONS else path.stem.removesuffix(Path(path.stem).suffix)
    return _on_disk(path, name, [path], index, partial(file_fingerprint, path), partial(read_file, path, reading))


def _folder(path: Path, reading: Reading, index: SourceIndex | None) -> Source:
    name = path.name or path.resolve().name
    if (path / "manifest.json").is_file():
        raise SourceError(f"{path} is a version; build on it with --from {path}")
    if (path / "dataset_dict.json").is_file():
        found = ", ".join(f"{path}/{split}" for split in splits(path))
        raise SourceError(f"{path}: a saved DatasetDict, and a version holds one split; name one: {found}")
    if (path / "state.json").is_file():
        if reading != Reading():
            raise SourceError(f"{path}: a saved dataset; an encoding or a pattern is for text files")
        files = sorted(p for p in path.rglob("*") if p.is_file())
        return _on_disk(path, name, files, index, partial(folder_fingerprint, path, files), partial(_saved, path))
    files = shards(path, reading)
    read = partial(read_shards, files, reading)
    return _on_disk(path, name, files, index, partial(folder_fingerprint, path, files), read)


def _on_disk(
    path: Path,
    name: str,
    files: Sequence[Path],
    index: SourceIndex | None,
    fingerprint_of: Callable[[], str],
    read: Callable[[], pa.Table],
) -> Source:
    source = str(path.absolute())
    stamps = [Stamp.of(file) for file in files]  # before the bytes are read
    fingerprint = (index and index.known(source, stamps)) or fingerprint_of()

    def read_unchanged() -> pa.Table:
        table = read()
        if [Stamp.of(file) for file in files] != stamps:
            raise SourceError(f"{path}: changed while it was read; try again when it is written")
        return table

    name = os.fsencode(name).decode("utf-8", "replace")  # file names need not be UTF-8
    return Source(name, str(path), fingerprint, read_unchanged, _remember(index, source, stamps, fingerprint))


def _saved(path: Path) -> pa.Table:
    from lope_data.sources.saved import read_saved

    return read_saved(path)


def _named(source: str, index: SourceIndex | None) -> Source:
    if source in FINGERPRINTS:
        fingerprint, read = FINGERPRINTS[source], partial(read_sample, source)
        return Source(source, source, fingerprint, read, _remember(index, source, (), fingerprint))
    from lope_data.sources.hub import load

    try:
        table, fingerprint = load(source)
    except SourceError as error:
        samples = ", ".join(FINGERPRINTS)
        raise SourceError(
            f"{source}: no such file, embedded sample ({samples}) or dataset on the hub ({error})"
        ) from error
    name = source.replace("/", "--")
    return Source(name, source, fingerprint, lambda: table, _remember(index, source, (), fingerprint))


def _remember(index: SourceIndex | None, source: str, stamps: Sequence[Stamp], fingerprint: str) -> Callable[[], None]:
    return lambda: index.record(source, stamps, fingerprint) if index is not None else None
