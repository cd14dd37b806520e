"""What a recipe would do to a source, in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lope_data.inject.apply import corrupt_rows
from lope_data.inject.planning import plan, shortfall
from lope_data.recipe.recipe import Recipe
from lope_data.rows.canonical import ingest_table
from lope_data.rows.shapes import ROW_ID
from lope_data.sources import open_source
from lope_data.text.draws import row_hashes


@dataclass(frozen=True)
class Preview:
    """What a build would do: its touched rows clean and noisy, of how many, every edit, and rows it falls short of."""

    clean: pa.Table
    noisy: pa.Table
    edits: pa.Table
    rows: int
    shortfall: int


def preview(source: str, recipe: Recipe) -> Preview:
    """What `build` would do to a source, in memory.

    Raises:
        LopeDataError: as ingest and build.
    """
    opened = open_source(source, recipe.source)
    rows = ingest_table(opened.read(), opened.where, recipe.shape, recipe.columns, None, 0)
    context = (recipe.seed, 1)
    deals, plans = plan(rows, recipe, context, allow_shortfall=True)
    places = np.unique(np.concatenate([deal.rows for deal in deals]))
    clean = rows.take(pa.array(places)).combine_chunks()
    done = corrupt_rows(clean, row_hashes(clean[ROW_ID]), [deal.pick(places) for deal in deals], context, recipe.guard)
    return Preview(clean, done.rows, done.edits, len(rows), shortfall(deals, plans))
