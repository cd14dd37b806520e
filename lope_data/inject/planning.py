"""The plan of a whole recipe: its steps one after the other, each on the rows as those before it leave them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lope_data.inject.apply import corrupt_rows, protected_mask
from lope_data.inject.planner import Deal, OpPlan, Planner
from lope_data.noise.op import F64
from lope_data.recipe.recipe import Recipe
from lope_data.rows.shapes import ROW_ID
from lope_data.text.buffers import Mask
from lope_data.text.draws import I64, row_hashes


@dataclass(frozen=True)
class Noisy:
    """Noise on rows in memory: the touched rows clean and noisy, every edit, and how many rows it falls short of."""

    clean: pa.Table
    noisy: pa.Table
    edits: pa.Table
    shortfall: int


def noisy_rows(rows: pa.Table, recipe: Recipe) -> Noisy:
    """What a build on canonical rows would do, in memory, without what too few rows can take.

    Raises:
        NoiseError: an op cannot be run here.
    """
    context = (recipe.seed, 1)
    deals, plans = plan(rows, recipe, context, allow_shortfall=True)
    places = np.unique(np.concatenate([deal.rows for deal in deals]))
    clean = rows.take(pa.array(places)).combine_chunks()
    done = corrupt_rows(clean, row_hashes(clean[ROW_ID]), [deal.pick(places) for deal in deals], context, recipe.guard)
    return Noisy(clean, done.rows, done.edits, shortfall(deals, plans))


def plan(
    rows: pa.Table, recipe: Recipe, context: tuple[int, int], *, allow_shortfall: bool = False, workers: int = 1
) -> tuple[list[Deal], list[list[OpPlan]]]:
    """The deals of all steps, and what the plan says of their ops; `context`: (seed, chain depth)."""
    hashes = row_hashes(rows[ROW_ID])
    planner = Planner(rows, hashes, context, recipe.guard, allow_shortfall, workers)
    deals: list[Deal] = []
    plans: list[list[OpPlan]] = []

    def current(places: I64) -> tuple[pa.Table, F64, Mask | None]:
        taken = rows.take(pa.array(places)).combine_chunks()
        if not deals:
            return taken, np.zeros(len(places)), None
        done = corrupt_rows(taken, hashes[places], [deal.pick(places) for deal in deals], context, recipe.guard)
        return done.rows, done.spent, protected_mask(done.protected)

    for step in recipe.steps:
        deal, planned = planner.plan(step, current)
        deals.append(deal)
        plans.append(planned)
    return deals, plans


def shortfall(deals: Sequence[Deal], plans: Sequence[Sequence[OpPlan]]) -> int:
    """How many rows the ratios asked for and no op could change."""
    return round(sum(plan.asked for planned in plans for plan in planned)) - sum(map(len, deals))
