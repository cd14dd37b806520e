"""What a recipe would do to a source, in memory."""

from __future__ import annotations

from dataclasses import dataclass

from lope_data.builds.clean import CleanRows
from lope_data.inject.planning import Noisy, noisy_rows
from lope_data.recipe.recipe import Recipe
from lope_data.sources import InMemory, open_source


@dataclass(frozen=True)
class Preview(Noisy):
    """What a build would do, to a source of how many rows."""

    rows: int

    def __repr__(self) -> str:
        short = f", {self.shortfall:,} rows fewer than asked for" if self.shortfall else ""
        return f"Preview: {len(self.noisy):,} of {self.rows:,} rows with noise, {len(self.edits):,} edits{short}"


def preview(source: str | InMemory, recipe: Recipe) -> Preview:
    """What `build` would do to a source, in memory.

    Raises:
        LopeDataError: as ingest and build.
    """
    opened = open_source(source, recipe.source)
    rows = CleanRows.read(opened, recipe, None, 0).table()
    return Preview(**vars(noisy_rows(rows, recipe)), rows=len(rows))
