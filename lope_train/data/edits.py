"""What noise did to the rows of a version, by its edit records and those of the versions that it was made from: the ops
of each row, and where their edits lie in the text as it is now.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from lope_train.data.versions import Version, parent
from lope_train.errors import VersionError


@dataclass(frozen=True)
class Edit:
    """One line of the edit records; `start`, `end` and `new_end` are bytes in the value as it was before the op."""

    application: tuple[int, str]
    """Version (0: the oldest) and step: with the op, what distinguishes one application from the next."""
    path: str
    op: str
    start: int
    end: int
    new_end: int


@dataclass(frozen=True)
class Mark:
    """What an edit left in the final text of the value at `path`: bytes from `start` to `end`, equal for a deletion."""

    path: str
    op: str
    start: int
    end: int

    def touches(self, start: int, end: int) -> bool:
        """Whether the bytes from `start` to `end` overlap it; a deletion touches both its neighbours."""
        if self.start == self.end:
            return start <= self.start <= end and start < end
        return start < self.end and self.start < end


def level_of(op: str) -> str:
    """`char` of `char.insert`."""
    return op.partition(".")[0]


def ops_by_row(version: Version, store: Path | None = None) -> dict[str, tuple[str, ...]]:
    """The ops by row id, each once, in the order in which they were first at work; rows without any are left out.

    A parent's noise is noise too, so the chain is read back to the ingested source. Raises VersionError where a noisy
    parent is missing, or where edit records cannot be read.
    """
    found: dict[str, dict[str, None]] = {}
    for _, (row, op) in _records(version, store, "row_id", "op"):
        found.setdefault(row, {})[op] = None
    return {row: tuple(ops) for row, ops in found.items()}


def read_marks(version: Version, store: Path | None = None) -> dict[str, list[Mark]]:
    """Marks by row id: what this version and the noisy ones that it was made from did to each row.

    Raises VersionError as `ops_by_row` does.
    """
    edits: dict[str, list[Edit]] = {}
    columns = ("row_id", "step", "path", "op", "start", "end", "new_end")
    for number, (row, step, *edit) in _records(version, store, *columns):
        edits.setdefault(row, []).append(Edit((number, step), *edit))
    return {row: place(made) for row, made in edits.items()}


def place(edits: Sequence[Edit]) -> list[Mark]:
    """The marks of one row's edits, which are in the order they were made in."""
    marks: list[Mark] = []
    for _, group in groupby(edits, key=lambda edit: (edit.application, edit.op)):
        by_path: dict[str, list[Edit]] = {}
        for edit in group:
            by_path.setdefault(edit.path, []).append(edit)
        marks = [_moved(mark, by_path.get(mark.path, ())) for mark in marks]
        for path, applied in by_path.items():
            shift = 0
            for edit in applied:
                marks.append(Mark(path, edit.op, edit.start + shift, edit.new_end + shift))
                shift += edit.new_end - edit.end
    return marks


def _moved(mark: Mark, edits: Sequence[Edit]) -> Mark:
    """The mark after a later op; what that replaced of it counts as its own, what was put in beside it does not."""
    end = _right(mark.end, edits)
    start = min(_left(mark.start, edits), end)  # an insertion at a deletion goes to the right of it
    return Mark(mark.path, mark.op, start, end)


def _left(at: int, edits: Sequence[Edit]) -> int:
    shift = 0
    for edit in edits:
        if edit.end > at:
            return min(at, edit.start) + shift
        shift += edit.new_end - edit.end
    return at + shift


def _right(at: int, edits: Sequence[Edit]) -> int:
    shift = 0
    for edit in edits:
        if edit.start >= at:
            break
        if edit.end > at:
            return edit.new_end + shift
        shift += edit.new_end - edit.end
    return at + shift


def _records(version: Version, store: Path | None, *columns: str) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """The edit records of the chain, oldest version first, as the values of the columns, each with the version's number
    (0: the oldest)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    chain = [version]
    while chain[-1].manifest["kind"] == "build" and len(chain[-1].manifest["parents"]) > 1:
        chain.append(parent(chain[-1], store))
    for number, one in enumerate(reversed(chain)):
        for file in sorted((one.path / "edits").glob("*.parquet")):
            try:
                table = pq.read_table(file, columns=list(columns))
            except (pa.ArrowException, OSError) as error:
                raise VersionError(f"{file}: edit records cannot be read: {error}; build the version again") from error
            for values in zip(*(table[name].to_pylist() for name in columns), strict=True):
                yield number, values
