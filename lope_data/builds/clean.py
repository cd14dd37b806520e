"""The rows of a clean version, made of a source that is read part after part: some at a time, in several threads.

Reading comes first, since types, keys and ids are only known when all rows have been seen. Then any rows of the version
can be made, each time from the parts that they are in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from lope_common.progress import Progress, silent
from lope_common.threads import run_tasks
from lope_data.builds.without import LeftOut, standing_in
from lope_data.errors import SourceError
from lope_data.recipe.recipe import Recipe
from lope_data.rows.canonical import (
    WIDE,
    Canonical,
    Ids,
    in_order_of_ids,
    own_values,
    sample,
)
from lope_data.rows.ids import ContentIds, GivenIds, content_digests, given_ids
from lope_data.rows.json_type import is_json
from lope_data.rows.layout import Layout
from lope_data.rows.stored import stored, widened
from lope_data.sources.found import Source
from lope_data.sources.gathered import Gathered, Reader, gather
from lope_data.sources.part import BrokenRow
from lope_data.sources.spool import Spool
from lope_data.store.version import Version
from lope_data.text.buffers import whole
from lope_data.text.draws import I64

_BLOCK = 2_000  # rows that are made at once, or a multiple of them: as the content digest takes them
_SIZE = 1 << 23  # bytes of rows that are made at once, as a rule


class CleanRows:
    """The rows of a source as those of a version."""

    def __init__(
        self,
        gathered: Gathered,
        canonical: Canonical,
        ids: Ids,
        order: I64 | None,
        raw: Collection[str] = (),
        left_out: LeftOut | None = None,
    ) -> None:
        """Use `read`."""
        self._gathered, self._canonical = gathered, canonical
        self._ids, self._order, self._raw = ids, order, raw
        self.left_out = left_out

    @classmethod
    def read(
        cls,
        source: Source,
        recipe: Recipe,
        limit: int | None,
        seed: int,
        folder: Path | None = None,
        workers: int = 1,
        progress: Progress = silent,
        without: Version | None = None,
    ) -> CleanRows:
        """Reads all of a source.

        Args:
            limit: keep this many rows, a keyed sample in the source's order; `seed` draws them.
            folder: on whose disk rows may be kept for a while; by default they are kept in memory.
            without: leave out the rows that stand in this version, before those of the limit are drawn.

        Raises:
            SourceError: it cannot be read, has no rows, or its columns fit no shape; all rows stand in the version.
            StoreError: that version is not as it was written.
            OSError: the disk is full.
        """
        columns, where = recipe.columns, source.where

        def digest(rows: pa.Table) -> bytes:
            return content_digests(own_values(rows, where), where)

        reader = Reader(
            where,
            None if folder is None else Spool(partial(_made, folder)),
            workers,
            source.reading.skip_broken,
            digest if columns.id is None else None,
            columns.id is not None,
            progress,
        )
        try:
            gathered = gather(source.tasks(), reader)
        except SourceError:
            source.check()  # which says better what is wrong with a file that is being written
            raise
        source.check()
        if not len(gathered) or not gathered.schema.names:
            raise SourceError(f"{where}: has no rows")
        some = next(gathered.tables(0, len(gathered), _BLOCK))
        canonical = Canonical.of(gathered.schema, gathered.sizes, some, where, recipe.shape, columns)
        ids: Ids
        order = None
        if columns.id is not None:
            own = _column(gathered, columns.id, where)
            ids = GivenIds(given_ids(own, where))
            order = in_order_of_ids(own)
        else:
            ids = ContentIds(gathered.digests)
        left_out = None
        if without is not None:
            order, left_out = cls(gathered, canonical, ids, order)._without(without, workers, progress)
        raw: set[str] = set()
        if limit is not None and limit < (len(gathered) if order is None else len(order)):
            order = sample(ids, order, limit, seed)
            raw = _raw(gathered, canonical)  # of all rows, whichever are kept
        return cls(gathered, canonical, ids, order, raw, left_out)

    def __len__(self) -> int:
        return len(self._gathered) if self._order is None else len(self._order)

    @property
    def canonical(self) -> Canonical:
        """What is done to each row."""
        return self._canonical

    @property
    def skipped(self) -> list[BrokenRow]:
        """The rows of the source that were left out since they are broken."""
        return list(self._gathered.skipped)

    def parts(self, low: int, high: int) -> Iterator[pa.Table]:
        """Rows low to high of the version, some at a time.

        Raises:
            SourceError: a column of the wrong type, a row without text; says row and column.
        """
        for first, rows in self._some(low, high):
            places = np.arange(first, first + len(rows))
            if self._order is not None:
                places = self._order[places]
            yield self._canonical.rows(rows, self._ids.take(places), partial(_number, places))
            del rows  # before the next are made

    def _without(self, version: Version, workers: int, progress: Progress) -> tuple[I64, LeftOut]:
        """The rows that do not stand in the version, in their order, and what the others are."""
        layout, where = self._canonical.layout, self._canonical.where

        def parts(low: int, high: int) -> Iterator[pa.Table]:
            return map(layout.on, self.parts(low, high))

        spans = range(0, len(self), self._size)
        hit, found = standing_in(version, where, layout.columns, parts, spans, workers, progress)
        places = np.arange(len(self)) if self._order is None else self._order
        return places[~hit], LeftOut(version, np.sort(places[hit]), found)

    def check(self, workers: int) -> None:
        """Makes all rows and forgets them. Raises SourceError: as `parts`."""
        step = 16 * self._size

        def made(low: int) -> None:
            for _ in self.parts(low, min(low + step, len(self))):
                pass

        for _ in run_tasks(made, range(0, len(self), step), workers):
            pass

    def table(self) -> pa.Table:
        """All rows, in memory, with their layout."""
        rows = pa.concat_tables(list(self.parts(0, len(self)))).combine_chunks()
        return self.layout(set(self._canonical.raw(rows))).on(rows)

    def layout(self, raw: set[str]) -> Layout:
        """The layout. `raw`: what `raw` gave for some of the rows."""
        kept = tuple(name for name in self._canonical.schema.names if name in raw or name in self._raw)
        plain = self._canonical.layout
        return Layout(plain.columns, plain.classes, plain.absent, kept)

    @property
    def _size(self) -> int:
        """Rows that are made at once."""
        each = sum(self._gathered.sizes.values()) / len(self._gathered)
        return _BLOCK * int(min(max(_SIZE // max(each * _BLOCK, 1), 1), 10))

    def _some(self, low: int, high: int) -> Iterator[tuple[int, pa.Table]]:
        """The rows of the source that are some rows of the version, and the number of the first."""
        size = self._size
        begins = [low, *range((low // size + 1) * size, high, size)]  # so that blocks of the digest are in one
        if self._order is None:
            yield from zip(begins, self._gathered.tables(low, high, size), strict=True)
            return
        for first, last in pairwise([*begins, high]):
            yield first, self._gathered.take(self._order[first:last])


def _raw(gathered: Gathered, canonical: Canonical) -> set[str]:
    """The columns of JSON of all rows that readers with numbers of 64 bits would not give back exactly."""
    found: set[str] = set()
    if any(is_json(field.type) or field.type.num_fields for field in gathered.schema):
        for rows in gathered.tables(0, len(gathered), 10 * _BLOCK):
            found.update(canonical.raw(own_values(rows, canonical.where)))
    return found


def _number(places: I64, row: int) -> int:
    return int(places[row])


def _column(gathered: Gathered, name: str, where: str) -> pa.Array:
    """A column of all rows, in the type in which a version holds it."""
    place = f"{where}, column {name!r}"
    pieces = [stored(whole(table[name]), place) for table in gathered.tables(0, len(gathered), 10 * _BLOCK)]
    if gathered.sizes[name] >= WIDE:
        pieces = [piece.cast(widened(piece.type)) for piece in pieces]
    return whole(pa.chunked_array(pieces))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
