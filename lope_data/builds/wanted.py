"""What version is wanted: its name, its id, what it is made of; and that its name is not another source's."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lope_common.progress import Notice
from lope_data.errors import StoreError
from lope_data.names import check_name
from lope_data.recipe.recipe import Recipe
from lope_data.sources import Source, SourceIndex
from lope_data.store.manifest import INGEST, read_any, version_id
from lope_data.store.store import Store
from lope_data.store.version import Version

if TYPE_CHECKING:
    from lope_data.builds.clean import CleanRows
    from lope_data.builds.obtain import Options


@dataclass(frozen=True)
class Wanted:
    """A version that is to be made: its name, its id, and what in a recipe the id is a hash of (plain data).

    `op_modules` says where the ops of a user's own are defined, which the id does not: their sources are in `ops`.
    """

    name: str
    version: str
    seed: int
    recipe: dict[str, Any]
    ops: dict[str, str] = field(default_factory=dict)
    op_modules: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Clean:
    """The clean version of a source, whether it is there or not.

    Attributes:
        without: the version whose rows are left out of the source, if any.
        named: whether its name was given, and is not the source's.
        notice: called with which columns were recognised, when the source is read.
    """

    opened: Source
    recipe: Recipe
    limit: int | None
    without: Version | None
    wanted: Wanted
    named: bool
    notice: Notice
    _rows: list[CleanRows] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        opened: Source,
        recipe: Recipe,
        limit: int | None,
        name: str | None,
        notice: Notice,
        without: Version | None = None,
    ) -> Clean:
        """The version that is wanted of a source, by default named after it."""
        how: dict[str, Any] = {
            "ingest": INGEST,
            "shape": recipe.shape,
            "columns": recipe.columns.model_dump(mode="json", exclude_none=True),
            "limit": limit,
        }
        if reading := opened.reading.model_dump(exclude_defaults=True):
            how["source"] = reading
        if without is not None:
            how["without"] = without.manifest.content_digest  # the same rows under another name leave out the same
        seed = recipe.seed if limit else 0
        version = version_id("ingest", how, seed, {}, opened.fingerprint, 0)
        called = check_name(_as_name(opened.name) + (f"-{limit}" if limit else "") if name is None else name)
        return cls(opened, recipe, limit, without, Wanted(called, version, seed, how), name is not None, notice)

    def read(self, options: Options) -> CleanRows:
        """The rows of the version, from the source; once.

        Raises:
            SourceError: the source cannot be read, or nothing of it is left.
            StoreError: the disk of the store is full, where some of its rows are kept for a while; or the version that
                it is compared with is not as it was written.
        """
        if self._rows:
            return self._rows[0]
        from lope_data.builds.clean import CleanRows
        from lope_data.text import kernels

        folder = options.store.root
        try:
            with kernels.telling(options.notice):
                rows = CleanRows.read(
                    self.opened,
                    self.recipe,
                    self.limit,
                    self.wanted.seed,
                    folder,
                    options.workers,
                    options.progress,
                    self.without,
                )
        except OSError as error:
            raise StoreError(
                f"cannot keep rows on the disk of the store {folder} ({error.strerror or error}); make room, or choose "
                "another store with --store"
            ) from error
        self._rows.append(rows)
        return rows

    def check_holder(self, store: Store) -> None:
        """That the latest version of its name is not another source's, or a noisy one; a name that was given is meant.

        Where the store does not know where the latest came from (an import, `.sources` deleted), nothing is refused.

        Raises:
            StoreError: it is, so that `latest` would stand for something else from now on; says whose it is.
        """
        name, where = self.wanted.name, self.opened.where
        latest = store.refs(name).get("latest")
        if self.named or latest is None or latest == self.wanted.version:
            return
        todo = "ingest this one under another --name"
        if _is_noisy(store, name, latest):
            raise StoreError(f"{where}: {name!r} is the name of a noisy version in this store; {todo}")
        held = SourceIndex(store.root).holder(name, latest)
        if held is not None and not held.known & self.opened.place.known:
            moved = f"--name {name} if it is the same data in a new place"
            raise StoreError(f"{where}: {name!r} is the name of {held.source} in this store; {todo}, or {moved}")

    def remember(self, store: Store) -> None:
        """Notes where its source is, and that its name is this source's from now on; for when it is there."""
        self.opened.remember()
        index, wanted = SourceIndex(store.root), self.wanted
        if self.named or index.holder(wanted.name, wanted.version) is None:  # a copy of a source does not take its name
            index.hold(wanted.name, wanted.version, self.opened.place)


def _is_noisy(store: Store, name: str, version: str) -> bool:
    with suppress(StoreError):  # a damaged version holds no name
        return read_any(store.folder(name, version)).kind == "build"
    return False


def _as_name(text: str) -> str:
    """A source's name with what a folder of the store cannot hold replaced."""
    kept = "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "-" for char in text)
    kept = kept.lstrip("._-")[:90]
    return "source" if kept in ("", "refs") else kept
