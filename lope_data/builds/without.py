"""Rows of a source that stand in another version too: questions of a test set, which no model may be trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_common.errors import shown
from lope_common.places import typed_path
from lope_common.progress import Progress
from lope_common.threads import run_tasks
from lope_data.errors import SourceError, StoreError
from lope_data.rows.asked import ASKED, asked_digests, comparable
from lope_data.store.manifest import NAME
from lope_data.store.manifest_model import Link, Without
from lope_data.store.store import Store
from lope_data.store.verify import check_files
from lope_data.store.version import Version
from lope_data.text.buffers import Mask
from lope_data.text.draws import I64

_ROWS = 20_000  # of the version that are compared at once
_LISTED = 100  # rows that the manifest names


@dataclass(frozen=True)
class LeftOut:
    """What of a source was left out since it stands in another version.

    Attributes:
        version: the other one.
        rows: which rows of the source, by their numbers in it, ascending.
        found: how many rows of the other version they are.
    """

    version: Version
    rows: I64
    found: int

    @property
    def facts(self) -> Without:
        """As a manifest has it."""
        first = self.rows[:_LISTED].tolist()
        return Without(**vars(self.version.link), rows=len(self.rows), found=self.found, first=first)


def find_without(given: Any, store: Store) -> Version:
    """The version whose rows are to be left out of a source.

    Args:
        given: the version, or a reference to it.

    Raises:
        StoreError: there is none, which says what to do where it is a file or an object in memory; or it has noise.
    """
    if isinstance(given, Version):
        found = Version.at(given.folder)  # as it is now, whoever wrote it
    elif isinstance(given, str | PathLike) and isinstance(ref := fspath(given), str):
        try:
            found = store.resolve(ref)
        except StoreError as error:
            if not _is_source(ref):
                raise StoreError(f"without (--without): {error}") from error
            raise StoreError(
                f"without (--without): {shown(ref)} is a file or folder, not a version; ingest it first, as the source "
                "is read, and name the version"
            ) from error
    else:
        raise StoreError(f"without (--without): must be a version, not {shown(given)}; ingest it first")
    if found.manifest.parents:
        clean = found.manifest.parents[-1].ref
        raise StoreError(f"without (--without): {found.ref} has noise in its texts; name the clean version, {clean}")
    return found


def _is_source(ref: str) -> bool:
    """Whether there is something of that name that a version can be made of."""
    try:
        path = typed_path(ref)
        return path.exists() and not (path / NAME).exists()
    except (OSError, ValueError):  # no file has such a name
        return False


def held_without(link: Link, folders: Iterable[Path]) -> Version | None:
    """The version that a manifest means, or one with the same rows under another name, in one of these stores."""
    for store in map(Store, folders):
        named = [(link.name, link.version)]
        others = ((name, version) for name in store.names() for version in store.versions(name))
        for name, version in (*named, *others):
            try:
                found = store.find(name, version)
            except StoreError:  # damaged, or of an older format
                continue
            if found is not None and found.manifest.content_digest == link.content_digest:
                return found
    return None


def standing_in(
    version: Version,
    where: str,
    shapes: Iterable[str],
    parts: Callable[[int, int], Iterator[pa.Table]],
    spans: range,
    workers: int,
    progress: Progress,
) -> tuple[Mask, int]:
    """Which rows of a source ask what a row of the version asks, shape (rows,); and of how many of its rows that holds.

    Kept of each row are 16 bytes, and the rows of a few spans.

    Args:
        where: the source, for messages.
        shapes: of its rows.
        parts: its rows from one number to another, with their layout, some at a time.
        spans: where those begin that are compared at once.

    Raises:
        SourceError: no row of such shapes can stand in the version, or all do; or as `parts`.
        StoreError: the version is not as it was written.
    """
    theirs = sorted(version.manifest.shapes)
    if not comparable(mine := sorted(shapes), theirs):
        raise SourceError(
            f"{where}: has rows of shape {', '.join(mine)}, and {version.ref} has {', '.join(theirs)}: questions with "
            "choices are compared with each other only, so leave --without out"
        )
    check_files(version)
    held, total = version.rows, spans.stop

    def of_version(low: int) -> pa.Array:
        return asked_digests(held.slice(low, _ROWS))

    def of_source(low: int) -> pa.ChunkedArray:
        return pa.chunked_array(list(map(asked_digests, parts(low, min(low + spans.step, total)))), ASKED)

    asked_there = pa.chunked_array(list(run_tasks(of_version, range(0, len(held), _ROWS), workers)), ASKED)
    chunks: list[pa.Array] = []
    for low, found in zip(spans, run_tasks(of_source, spans, workers), strict=True):
        chunks += found.chunks
        progress(f"compare {where} with {version.ref}", min(low + spans.step, total), total)
    asked_here = pa.chunked_array(chunks, ASKED)
    hit: Mask = _in(asked_here, asked_there)
    if hit.all():
        raise SourceError(f"{where}: all of its rows stand in {version.ref}, so none is left; is it the same data?")
    return hit, int(np.count_nonzero(_in(asked_there, asked_here.filter(pa.array(hit)))))


def _in(some: pa.ChunkedArray, others: pa.ChunkedArray) -> Mask:
    """Which of some digests are among the others; null never is."""
    return np.asarray(pc.is_in(some, value_set=others, skip_nulls=True), np.bool_)
