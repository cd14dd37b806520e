"""Kinds of files, told by their suffixes; one file, or a folder of files of one kind."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from glob import has_magic
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from lope_common.errors import suggest
from lope_data.errors import SourceError
from lope_data.sources.formats import FORMATS, Format
from lope_data.sources.reading import Reading
from lope_data.sources.splits import Grouped, grouped
from lope_data.sources.text import COMPRESSIONS, NotTextError, first_line, suffix_of

if TYPE_CHECKING:
    import pyarrow as pa

    from lope_data.sources.part import Part, Task

_HEAD = 1024  # bytes in which a file that is no text has a zero
_OF_TEXT = ("encoding", "pattern")
_ABOUT = ("config.json", "dataset_info.json", "dataset_infos.json")  # say something of a dataset, and are no rows


def is_known(path: Path) -> bool:
    """Whether the suffix is one of a kind that can be read without a pattern."""
    return _format(path) is not None


def check_kind(path: Path, reading: Reading) -> None:
    """Raises SourceError: the file is of no known kind, or cannot be read in the way asked."""
    suffix, found = suffix_of(path), _format(path)
    takes = found.takes if found is not None and reading.pattern is None else ()
    if (other := next((name for name in reading.of_files if name not in (*_OF_TEXT, *takes)), None)) is not None:
        *most, last = (suffix for suffix, one in FORMATS.items() if other in one.takes)
        raise SourceError(f"{path}: {other} is for {', '.join(most)}{' and ' * bool(most)}{last} files")
    if reading.pattern is not None:
        if found is not None and not found.text:
            raise SourceError(f"{path}: a pattern reads the lines of a text file, and {suffix} is none")
        return
    if found is None:
        if Path(suffix).stem in FORMATS:
            raise SourceError(f"{path}: {Path(suffix).stem[1:]} files are compressed inside; unpack it")
        if _is_binary(path):
            known = ", ".join(FORMATS)
            raise SourceError(f"{path}: no text, and of a kind that is not read; save its rows as one of {known}")
        hint = suggest(suffix, FORMATS) if suffix else f"; known: {', '.join(FORMATS)}"
        raise SourceError(
            f"{path}: cannot tell the kind of file from its suffix {suffix!r}{hint}; plain text needs a --pattern"
        )
    if not found.text and reading.encoding != "utf-8":
        raise SourceError(f"{path}: an encoding is for text files; {suffix} holds its own")


def _is_binary(path: Path) -> bool:
    """Whether a file begins with bytes that no text has; False where there is no such file."""
    try:
        with path.open("rb") as file:
            return b"\0" in file.read(_HEAD)
    except OSError:
        return False


def shards(folder: Path, reading: Reading) -> list[Path]:
    """The files of a folder that are its rows, by name.

    Raises:
        SourceError: there are none, or they are of several kinds.
    """
    files = _readable([path for path in _visible(folder) if path.is_file()], reading)
    if not files:
        raise SourceError(
            f"{folder}: a folder, but not one that datasets.Dataset.save_to_disk wrote, and without files of a kind "
            f"that can be read ({', '.join(FORMATS)})"
        )
    check_kinds(str(folder), files, reading)
    return files


def check_kinds(where: str, files: Sequence[Path], reading: Reading) -> None:
    """Raises SourceError: one of several files cannot be read in the way asked, or they are of several kinds."""
    for path in files:
        check_kind(path, reading)
        if reading.pattern is None and suffix_of(path) != suffix_of(files[0]):
            raise SourceError(
                f"{where}: holds files of several kinds ({files[0].name}, {path.name}); "
                "name one of them, or move them apart"
            )


def split_files(folder: Path, reading: Reading) -> Grouped:
    """The files of a folder by the split that they name; none where no name says that it is of a split.

    Those of the folder itself, as `shards`; where it has none, those in folders below it.

    Raises:
        SourceError: names that cannot be told which split they are of.
    """

    def readable(paths: Iterable[Path]) -> list[Path]:
        return _readable([path for path in paths if path.is_file() and path.name not in _ABOUT], reading)

    def named(files: Sequence[Path]) -> Grouped:
        return grouped([path.relative_to(folder).as_posix() for path in files], str(folder))

    if files := readable(_visible(folder)):
        return named(files)
    return Grouped(named(readable(_below(folder))).splits)  # what names no split there has never been read


def matching(pattern: Path, reading: Reading) -> tuple[Path, list[Path]] | None:
    """The files that fit a pattern such as data/train-*.parquet, and the folder that all of them lie in."""
    if not has_magic(str(pattern)):
        return None
    folder = Path(*takewhile(lambda part: not has_magic(part), pattern.parts))
    try:
        found = sorted(folder.glob(str(pattern.relative_to(folder))))
    except ValueError:  # `a**b`, which is no pattern to every Python
        return None
    files = [
        path
        for path in found
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    files = _readable(files, reading)
    return (folder, files) if files else None


def _readable(files: list[Path], reading: Reading) -> list[Path]:
    """Those of some files that hold rows: of a known kind, unless a pattern says how lines are read."""
    if reading.pattern is not None:
        return files
    kinds = {path: found for path in files if (found := _format(path)) is not None}
    rows = [path for path in kinds if not kinds[path].notes]
    return rows or list(kinds)


def _below(folder: Path) -> Iterator[Path]:
    """What is in folders below, except hidden ones and those that are a dataset or a version of their own."""
    for path in _visible(folder):
        if path.is_dir() and not (path.is_symlink() or path.name.startswith("__") or _is_dataset(path)):
            yield from _visible(path)
            yield from _below(path)


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _is_dataset(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("state.json", "dataset_dict.json", "manifest.json"))


def saved_splits(folder: Path) -> list[str]:
    """The splits of a folder that `DatasetDict.save_to_disk` wrote."""
    try:
        found = json.loads((folder / "dataset_dict.json").read_bytes())["splits"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        found = []
    listed = [name for name in found if isinstance(name, str)] if isinstance(found, list) else []
    inside = [name for name in dict.fromkeys(listed) if Path(name).name == name != ".."]  # others would lead out
    return inside or sorted(path.parent.name for path in folder.glob("*/state.json"))


def file_fingerprint(path: Path) -> str:
    """sha256 over the bytes and the suffix: the same bytes are other rows as csv and as tsv."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(suffix_of(path).encode())
    return f"sha256:{digest.hexdigest()}"


def folder_fingerprint(folder: Path, files: Sequence[Path]) -> str:
    """sha256 over the names and bytes of files of a folder."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.relative_to(folder).as_posix().encode("utf-8", "surrogateescape") + b"\0")
        with path.open("rb") as data:
            digest.update(hashlib.file_digest(data, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"


def read_files(files: Sequence[Path], reading: Reading) -> Iterator[Task]:
    """What reads the rows of several files of one kind, one after the other.

    Raises:
        SourceError: one cannot be read, or has a column of another type than those before it; so do the tasks.
    """
    found = None if reading.pattern is not None else _format(files[0])
    schema = None
    if found is not None and found.schema is not None and len(files) > 1:
        schema = _common(files, found.schema)
    for path in files:
        kind = suffix_of(path)[1:] if reading.pattern is None else "text"
        tasks = _tasks(path, reading)
        while True:
            with _reading(path, kind):
                task = next(tasks, None)
            if task is None:
                break
            yield partial(_part, task, path, kind, schema)


def _tasks(path: Path, reading: Reading) -> Iterator[Task]:
    if reading.pattern is not None:
        from lope_data.sources.lines import read_lines

        return read_lines(path, reading.said_encoding, reading.pattern)
    found = _format(path)
    assert found is not None  # checked when it was opened
    return found.read(path, reading)


def _part(task: Task, path: Path, kind: str, schema: pa.Schema | None) -> Part:
    from lope_data.sources.columns import conformed

    with _reading(path, kind):
        part = task()
    if part.again is not None:
        part = replace(part, again=partial(_again, part.again, path, kind, schema))
    if schema is None:
        return part
    try:
        return replace(part, table=conformed(part.table, schema))
    except (ValueError, OverflowError) as error:  # an integer that no double is, beside doubles
        raise SourceError(f"{path}: does not fit the types of the other files ({first_line(error)})") from error


def _again(again: Callable[[], pa.Table], path: Path, kind: str, schema: pa.Schema | None) -> pa.Table:
    from lope_data.sources.columns import conformed

    with _reading(path, kind):
        table = again()
        return table if schema is None else conformed(table, schema)


def _common(files: Sequence[Path], schema_of: Callable[[Path], pa.Schema]) -> pa.Schema:
    """The schema that all files fit into."""
    from lope_data.rows.classes import class_names
    from lope_data.sources.columns import common_schema, conflict

    schemas = []
    for path in files:
        with _reading(path, suffix_of(path)[1:]):
            schemas.append(schema_of(path))
    classes = list(map(class_names, schemas))
    if other := next((i for i, names in enumerate(classes) if names != classes[0]), None):
        raise SourceError(f"{files[other]}: its class labels have other names than those of {files[0]}; make them one")
    return common_schema(schemas, partial(conflict, list(map(str, files)), schemas))


@contextmanager
def _reading(path: Path, kind: str) -> Iterator[None]:
    """Says of which file it is that something cannot be read."""
    import pyarrow as pa

    try:
        yield
    except (OSError, NotTextError, UnicodeDecodeError, pa.ArrowException) as error:
        raise SourceError(f"{path}: cannot be read as {kind} ({first_line(error)})") from error


def _format(path: Path) -> Format | None:
    """The format of a file's suffix, of text also where it is compressed; None for one that we do not know."""
    suffix = suffix_of(path)
    inside = FORMATS.get(Path(suffix).stem) if path.suffix.lower() in COMPRESSIONS else None
    return FORMATS.get(suffix) or (inside if inside is not None and inside.text else None)
