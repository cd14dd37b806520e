"""What a source was found to be: one table or several splits, and what is opened of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lope_common.progress import silent
from lope_data.sources.files import check_kinds, folder_fingerprint, read_files
from lope_data.sources.index import LARGE, Place, SourceIndex, Stamp
from lope_data.sources.naming import of_split
from lope_data.sources.reading import Reading
from lope_data.sources.splits import Grouped
from lope_data.sources.text import changed
from lope_data.text import kernels

if TYPE_CHECKING:
    import pyarrow as pa

    from lope_data.sources.part import Task


@dataclass(frozen=True)
class Source:
    """What was opened.

    Attributes:
        name: what its version is called by default.
        where: the source, for messages.
        fingerprint: sha256 over its bytes; of an object in memory over its values.
        reading: what was asked for, with what it was found to mean: the split's own name, the commit of a revision.
        place: where it is.
        tasks: give what reads the rows, part after part.
        check: raises SourceError where its files are not what they were when it was opened.
    """

    name: str
    where: str
    fingerprint: str
    reading: Reading
    place: Place
    tasks: Callable[[], Iterator[Task]]
    index: SourceIndex | None
    check: Callable[[], None] = silent

    def read(self) -> pa.Table:
        """All rows, in memory."""
        from lope_data.sources.gathered import Reader, gather

        rows = gather(self.tasks(), Reader(self.where, skip=self.reading.skip_broken)).table()
        self.check()
        return rows

    def remember(self) -> None:
        """Notes in the index where the source is; for when a version of it is there."""
        if self.index is not None:
            self.index.record(self.place, self.fingerprint)


@dataclass(frozen=True)
class Found:
    """What a source is, before it is known which split of it is read.

    Attributes:
        open: opens a split, or all of it where it has none.
        splits: in the order in which they are listed.
        others: files beside them that are of no split.
    """

    where: str
    open: Callable[[str | None, Reading], Source]
    splits: Sequence[str] = ()
    others: Sequence[str] = ()


def on_disk(
    source: str,
    where: str,
    name: str,
    files: Sequence[Path],
    reading: Reading,
    index: SourceIndex | None,
    fingerprint_of: Callable[[], str],
    tasks: Callable[[], Iterator[Task]],
) -> Source:
    """A source that is files, which may not change while they are read.

    Args:
        source: what it is found by another time: a path made absolute.
    """
    stamps = tuple(Stamp.of(file) for file in files)  # before the bytes are read
    place = Place(source, reading.split or "", stamps)
    fingerprint = (index and index.known(place)) or _hashed(fingerprint_of, sum(stamp.size for stamp in stamps))

    def check() -> None:
        try:
            same = tuple(map(Stamp.of, files)) == stamps
        except OSError:  # it is not there any more
            same = False
        if not same:
            raise changed(where)

    return Source(name, where, fingerprint, reading, place, tasks, index, check)


def _hashed(fingerprint_of: Callable[[], str], size: int) -> str:
    """The fingerprint. While a large source is hashed, in code that lets others run, what reads it is loaded."""
    if size <= LARGE:
        return fingerprint_of()
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(fingerprint_of)
        kernels.prepare_reading()
        return found.result()


def of_files(
    source: str,
    where: str,
    folder: Path,
    names: Grouped,
    called: tuple[str, str],
    index: SourceIndex | None,
) -> Found:
    """A source that is several files of a folder.

    Args:
        source: as for `on_disk`.
        names: of its files; all of them are read, if none is of a split.
        called: what all of them are called, and what a split is called after.
    """
    whole, dataset = called

    def open_(split: str | None, reading: Reading) -> Source:
        files = [folder / name for name in (names.others if split is None else names.splits[split])]
        check_kinds(where, files, reading)
        part = where if split is None else str(files[0]) if len(files) == 1 else f"{where}, split {split}"
        name = whole if split is None else of_split(dataset, split)
        fingerprint, tasks = partial(folder_fingerprint, folder, files), partial(read_files, files, reading)
        return on_disk(source, part, name, files, reading, index, fingerprint, tasks)

    return Found(where, open_, list(names.splits), names.others)
