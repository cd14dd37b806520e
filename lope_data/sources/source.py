"""Sources: a file, a folder, a saved dataset, the hub, an embedded sample or an object, as one Arrow table and a
fingerprint.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lope_common.errors import shown
from lope_common.places import typed_path
from lope_common.progress import Progress, silent
from lope_data.errors import SourceError
from lope_data.sources.fetched import by_url, is_stream, stream
from lope_data.sources.files import (
    check_kind,
    file_fingerprint,
    folder_fingerprint,
    is_known,
    matching,
    read_files,
    saved_splits,
    shards,
    split_files,
)
from lope_data.sources.found import Found, Source, of_files, on_disk
from lope_data.sources.given import InMemory
from lope_data.sources.index import Place, SourceIndex
from lope_data.sources.naming import dataset_name, file_name, folder_name, of_split
from lope_data.sources.reading import Reading
from lope_data.sources.sample import FINGERPRINTS, sample_tasks
from lope_data.sources.splits import ALL, Grouped, chosen, grouped, listed
from lope_data.sources.urls import is_url, local_file

if TYPE_CHECKING:
    from lope_data.sources.part import Task


def open_source(
    source: str | InMemory,
    reading: Reading | None = None,
    index: SourceIndex | None = None,
    progress: Progress = silent,
) -> Source:
    """The source that a path, a URL, `-`, a hub id, the name of a sample or an object means. Reads no rows yet, only
    bytes; of an object the values.

    Args:
        reading: its split, the encoding of its text, and the pattern of its lines.
        index: knows large files that have not changed, which are then not read either.
        progress: called with how many bytes have come through a pipe, or of a download.

    Raises:
        SourceError: there is none, it is of no known kind, or it has several splits and none of them was asked for.
    """
    reading = reading or Reading()
    found = _find(source, reading, index, progress)
    if not found.splits:
        if reading.split is not None:
            raise SourceError(f"{found.where}: has no splits; leave --split out")
        return _opened(found, None, reading)
    split = chosen(found.splits, reading.split, found.where, found.others)
    asked = None if reading.split is None else split
    return _opened(found, split, reading.model_copy(update={"split": asked}))


def open_splits(
    source: str | InMemory, reading: Reading, index: SourceIndex | None = None, progress: Progress = silent
) -> dict[str, Source]:
    """Every split of a source, as `open_source` opens one.

    Raises:
        SourceError: it has none, or holds files that are of none.
    """
    found = _find(source, reading, index, progress)
    if not found.splits:
        raise SourceError(f"{found.where}: has no splits; leave --split out")
    if found.others:
        one = len(found.others) == 1
        raise SourceError(
            f"{found.where}: {listed(found.others)} {'is' if one else 'are'} of no split; "
            f"move {'it' if one else 'them'}, or name one split instead of {ALL}"
        )
    return {split: _opened(found, split, reading.model_copy(update={"split": split})) for split in found.splits}


def _opened(found: Found, split: str | None, reading: Reading) -> Source:
    try:
        return found.open(split, reading)
    except OSError as error:
        raise SourceError(f"{found.where}: cannot be read ({error.strerror or error})") from error


def _find(source: str | InMemory, reading: Reading, index: SourceIndex | None, progress: Progress) -> Found:
    if isinstance(source, InMemory):
        if reading.of_files:
            raise SourceError(f"{source}: {reading.of_files[0]} is for files; leave it out")
        _check_local(str(source), reading)
        from lope_data.sources.memory import find_object

        return find_object(source)
    if not source.strip():
        raise SourceError("source: an empty name; say which file, folder or dataset")
    if source in FINGERPRINTS and not reading.of_files:  # a file of that name is ./sample
        _check_local(source, reading)
        return _sample(source, index)
    if source.startswith("hf://"):
        from lope_data.sources.remote import hub_files

        return hub_files(source, reading, index)
    if is_url(source):
        _check_local(source, reading)
        if not source.lower().startswith("file:"):
            return by_url(source, reading, index, progress)
        source = local_file(source)
    path = typed_path(source)
    if is_stream(source, path):
        _check_local(source, reading)
        return stream(source, path, reading, index, progress)
    try:
        path.stat()
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise SourceError(f"{shown(source)}: cannot be read ({why})") from error
    try:
        if (local := _local(path, reading, index)) is not None:
            _check_local(str(path), reading)
            return local
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror or error})") from error
    if path.exists():
        raise SourceError(f"{path}: neither a file nor a folder")
    if is_known(path) or not re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", source):
        raise SourceError(f"{path if source.startswith('~') else source}: no such file or folder")
    if source in FINGERPRINTS:
        raise SourceError(f"{source}: the embedded sample; leave out {listed(reading.of_files)}, which is for files")
    if reading.of_files:
        raise SourceError(f"{source}: no such file; for a dataset on the hub, leave out {listed(reading.of_files)}")
    from lope_data.sources.remote import hub_dataset

    return hub_dataset(source, reading, index)


def _check_local(where: str, reading: Reading) -> None:
    if reading.of_hub:
        option = "config" if reading.config is not None else "revision"
        raise SourceError(f"{where}: --{option} is for a dataset on the hub; leave it out")


def _local(path: Path, reading: Reading, index: SourceIndex | None) -> Found | None:
    if path.is_dir():
        return _folder(path, reading, index)
    if path.is_file():
        return _file(path, reading, index)
    if files := matching(path, reading):
        return _pattern(path, *files, index)
    return None


def _sample(name: str, index: SourceIndex | None) -> Found:
    def open_(_: str | None, reading: Reading) -> Source:
        return Source(name, name, FINGERPRINTS[name], reading, Place(name), partial(sample_tasks, name), index)

    return Found(name, open_)


def _file(path: Path, reading: Reading, index: SourceIndex | None) -> Found:
    check_kind(path, reading)
    if path.stat().st_size == 0:
        raise SourceError(f"{path}: the file is empty")

    def open_(_: str | None, reading: Reading) -> Source:
        fingerprint, tasks = partial(file_fingerprint, path), partial(read_files, [path], reading)
        return on_disk(_absolute(path), str(path), file_name(path), [path], reading, index, fingerprint, tasks)

    return Found(str(path), open_)


def _folder(path: Path, reading: Reading, index: SourceIndex | None) -> Found:
    if (path / "manifest.json").is_file():
        raise SourceError(f"{path} is a version; build on it with --from {path}")
    if (path / "dataset_dict.json").is_file():
        return _saved_dict(path, index)
    if (path / "state.json").is_file():
        return Found(str(path), _saved(path, folder_name(path), index))
    names = split_files(path, reading)
    if not names.splits:
        names = Grouped(others=[file.name for file in shards(path, reading)])
    return of_files(_absolute(path), str(path), path, names, (folder_name(path), dataset_name(path)), index)


def _pattern(path: Path, folder: Path, files: list[Path], index: SourceIndex | None) -> Found:
    names = grouped([file.relative_to(folder).as_posix() for file in files], str(path))
    return of_files(_absolute(path), str(path), folder, names, (folder_name(folder), dataset_name(folder)), index)


def _saved_dict(path: Path, index: SourceIndex | None) -> Found:
    splits = saved_splits(path)
    if not splits:
        raise SourceError(f"{path}: a saved DatasetDict without a split; save it again")

    def open_(split: str | None, reading: Reading) -> Source:
        assert split is not None
        return _saved(path / split, of_split(dataset_name(path), split), index)(split, reading)

    return Found(str(path), open_, splits)


def _saved(path: Path, name: str, index: SourceIndex | None) -> Callable[[str | None, Reading], Source]:
    def tasks() -> Iterator[Task]:
        from lope_data.sources.saved import saved_tasks

        return saved_tasks(path)

    def open_(split: str | None, reading: Reading) -> Source:
        if reading.of_files:
            raise SourceError(f"{path}: a saved dataset; leave out {listed(reading.of_files)}, which other files need")
        files = sorted(p for p in path.rglob("*") if p.is_file())
        fingerprint = partial(folder_fingerprint, path, files)
        source = _absolute(path if split is None else path.parent)
        return on_disk(source, str(path), name, files, reading, index, fingerprint, tasks)

    return open_


def _absolute(path: Path) -> str:
    return str(path.absolute())
