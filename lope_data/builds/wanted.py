"""What version is wanted: its name, its id, and what it is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lope_common.progress import Notice
from lope_data.names import check_name
from lope_data.recipe.recipe import Recipe
from lope_data.sources import Source
from lope_data.store.manifest import INGEST, version_id

if TYPE_CHECKING:
    import pyarrow as pa


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
        notice: called with which columns were recognised, when the source is read.
    """

    opened: Source
    recipe: Recipe
    limit: int | None
    wanted: Wanted
    notice: Notice

    @classmethod
    def of(cls, opened: Source, recipe: Recipe, limit: int | None, name: str | None, notice: Notice) -> Clean:
        """The version that is wanted of a source, by default named after it."""
        how: dict[str, Any] = {
            "ingest": INGEST,
            "shape": recipe.shape,
            "columns": recipe.columns.model_dump(mode="json", exclude_none=True),
            "limit": limit,
        }
        if reading := opened.reading.model_dump(exclude_defaults=True):
            how["source"] = reading
        seed = recipe.seed if limit else 0
        version = version_id("ingest", how, seed, {}, opened.fingerprint, 0)
        called = check_name(_as_name(opened.name) + (f"-{limit}" if limit else "") if name is None else name)
        return cls(opened, recipe, limit, Wanted(called, version, seed, how), notice)

    @cached_property
    def rows(self) -> pa.Table:
        """The rows of the version, read from the source."""
        from lope_data.rows.canonical import ingest_table

        recipe, where, seed = self.recipe, self.opened.where, self.wanted.seed
        return ingest_table(self.opened.read(), where, recipe.shape, recipe.columns, self.limit, seed, self.notice)


def _as_name(text: str) -> str:
    """A source's name with what a folder of the store cannot hold replaced."""
    kept = "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "-" for char in text)
    kept = kept.lstrip("._-")[:90]
    return "source" if kept in ("", "refs") else kept
