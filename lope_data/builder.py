"""Building versions: source -> ingested version -> noisy version, each found if it is already there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lope_data.buffers import Mask
from lope_data.draft import Draft, draft_folder, drafted
from lope_data.engines.local import run_tasks
from lope_data.errors import NoiseError, StoreError
from lope_data.guard import Guard
from lope_data.ingest import INGEST_VERSION, ingest_table
from lope_data.locks import Notice, locked, locked_if_free
from lope_data.manifest import version_id
from lope_data.names import check_name
from lope_data.plan import Deal, OpPlan, Planner
from lope_data.recipe import Recipe, Step
from lope_data.registry import F64, get_op, op_version
from lope_data.rng import I64, row_hashes
from lope_data.samples import SPLITS
from lope_data.shapes import ROW_ID, SHAPE
from lope_data.shard import EDITS, Corrupted, corrupt_rows, protected_mask
from lope_data.source import open_source
from lope_data.store import Store
from lope_data.tally import Count, Tally
from lope_data.version import Version
from lope_data.writer import commit

Progress = Callable[[str, int, int], None]
"""Called with (what, shards done, shards in all)."""

SHARD_ROWS = 10_000  # what a killed build loses at most, of each worker


@dataclass(frozen=True)
class Built:
    """A version, and whether it was there before."""

    version: Version
    existed: bool


def _silent(*_: object) -> None:
    """Tells nobody."""


@dataclass(frozen=True)
class Options:
    """How to build, as opposed to what: none of this can change a version's content.

    Attributes:
        workers: threads.
        shard_rows: rows of a data file.
        progress: called as shards are done.
        notice: called with what the user should know while waiting.
    """

    store: Store
    workers: int = 1
    shard_rows: int = SHARD_ROWS
    progress: Progress = _silent
    notice: Notice = _silent


def ingest(source: str, recipe: Recipe, limit: int | None, options: Options, child: str | None = None) -> Built:
    """The source as a clean version of its own, named after it; `child`: what is to be built on it."""
    opened = open_source(source)
    name = check_name(_as_name(opened.name) + (f"-{limit}" if limit else ""))
    _check_child(child, name)
    how = {
        "ingest": INGEST_VERSION,
        "shape": recipe.shape,
        "columns": recipe.columns.model_dump(exclude_none=True),
        "limit": limit,
    }
    seed = recipe.seed if limit else 0
    version = version_id("ingest", how, seed, {}, opened.fingerprint, 0)

    def make() -> Version:
        rows = ingest_table(opened.read(), opened.where, recipe.shape, recipe.columns, limit, seed)
        description = {
            "kind": "ingest",
            "name": name,
            "version": version,
            "rows": len(rows),
            "touched": 0,
            "shapes": _count_shapes(rows),
            "parents": [],
            "depth": 0,
            "source": {"name": opened.name, "fingerprint": opened.fingerprint},
            "seed": seed,
            "recipe": how,
            "ops": {},
            "report": [],
            "hints": {},
        }

        def write(draft: Draft, index: int, low: int, high: int) -> dict[str, Any]:
            return draft.write(index, rows.slice(low, high - low), EDITS.empty_table())

        return _written(description, options, write, lambda _: {})

    return _obtained(name, version, options, make)


def build(
    parent: Version, recipe: Recipe, name: str | None, options: Options, *, allow_shortfall: bool = False
) -> Built:
    """The noisy version of a parent.

    Raises:
        NoiseError: the mix cannot touch as many rows as the ratio asks for.
        StoreError: the parent cannot be read or has the same name, or the store cannot be written.
    """
    name = check_name(name or f"{parent.manifest['name']}-{recipe.name}")
    _check_child(name, parent.manifest["name"])
    resolved = recipe.resolved()
    ops = op_versions(recipe)
    context = (recipe.seed, int(parent.manifest["depth"]) + 1)
    version = version_id("build", resolved, recipe.seed, ops, parent.manifest["content_digest"], context[1])

    def make() -> Version:
        rows = parent.rows
        deals, plans = plan(rows, recipe, context, allow_shortfall=allow_shortfall)
        description = {
            "kind": "build",
            "name": name,
            "version": version,
            "rows": len(rows),
            "touched": len(np.unique(np.concatenate([deal.rows for deal in deals]))),
            "shortfall": _shortfall(deals, plans),
            "shapes": parent.manifest["shapes"],
            "parents": [parent.link, *parent.manifest["parents"]],
            "depth": context[1],
            "source": parent.manifest["source"],
            "seed": recipe.seed,
            "recipe": resolved,
            "ops": ops,
            "hints": {"embedding_alpha": recipe.embedding.alpha},
        }

        def write(draft: Draft, index: int, low: int, high: int) -> dict[str, Any]:
            done = _noisy(rows, low, high, deals, context, recipe.guard)
            return draft.write(index, done.rows, done.edits, done.tally.plain())

        def report(notes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
            tally = Tally()
            for note in notes:
                tally.add(Tally.of(note["said"]))
            return {"report": _report(recipe, plans, tally)}

        return _written(description, options, write, report)

    built = _obtained(name, version, options, make)
    hints = {"embedding_alpha": recipe.embedding.alpha}
    if built.version.manifest["hints"] != hints:  # outside the id, so the version is the same and cannot say both
        raise StoreError(
            f"{built.version.ref} exists with the hints {built.version.manifest['hints']}, not {hints}; give another "
            "--name"
        )
    return built


def _obtained(name: str, version: str, options: Options, make: Callable[[], Version]) -> Built:
    """The version: the one that is there, or the one that another process is making, or else what `make` makes."""
    store = options.store
    found = store.find(name, version)
    if found is None:
        with locked(store, name, version, options.notice):
            found = store.find(name, version)
            if found is None:
                made = make()
                store.set_ref(name, "latest", version)
                return Built(made, False)
    if draft_folder(store, name, version).exists():  # of a process that was killed between its rename and its end
        with locked_if_free(store, name, version) as free:
            if free:
                shutil.rmtree(draft_folder(store, name, version), ignore_errors=True)
    try:
        store.set_ref(name, "latest", version)
    except StoreError as error:
        options.notice(str(error))  # the version is there all the same
    return Built(found, True)


def _written(
    description: Mapping[str, Any],
    options: Options,
    write: Callable[[Draft, int, int, int], dict[str, Any]],
    report: Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]],
) -> Version:
    """Writes the shards that are not there yet, with `write(draft, index, low, high)`, and then the version.

    Args:
        report: from the notes of all shards what else the manifest says.
    """
    name, rows = description["name"], description["rows"]
    with drafted(options.store, name, description["version"], rows, options.shard_rows) as draft:
        notes = draft.notes()
        if notes:
            options.notice(f"going on with {name}: {len(notes)} of {draft.count} shards are there")
        missing = [index for index in range(draft.count) if index not in notes]

        def run(index: int) -> tuple[int, dict[str, Any]]:
            low = index * options.shard_rows
            return index, write(draft, index, low, min(low + options.shard_rows, rows))

        options.progress(f"{description['kind']} {name}", len(notes), draft.count)
        for index, note in run_tasks(run, missing, options.workers):
            notes[index] = note
            options.progress(f"{description['kind']} {name}", len(notes), draft.count)
        ordered = [notes[index] for index in range(draft.count)]
        return commit(options.store, draft, ordered, {**description, **report(ordered)})


def _noisy(
    rows: pa.Table, low: int, high: int, deals: Sequence[Deal], context: tuple[int, int], guard: Guard
) -> Corrupted:
    """Rows low to high of the parent with their noise."""
    part = rows.slice(low, high - low).combine_chunks()
    try:
        return corrupt_rows(part, row_hashes(part[ROW_ID]), [deal.part(low, high) for deal in deals], context, guard)
    except pa.ArrowInvalid as error:
        if "too large" not in str(error):
            raise
        raise NoiseError(
            f"rows {low} to {high} hold more than 2 GiB of text with noise; build with fewer --shard-rows"
        ) from error


def plan(
    rows: pa.Table, recipe: Recipe, context: tuple[int, int], *, allow_shortfall: bool = False
) -> tuple[list[Deal], list[list[OpPlan]]]:
    """The deals of all steps; each step is planned on the rows as the steps before it leave them."""
    hashes = row_hashes(rows[ROW_ID])
    planner = Planner(rows, hashes, context, recipe.guard, allow_shortfall)
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
    opened = open_source(source)
    rows = ingest_table(opened.read(), opened.where, recipe.shape, recipe.columns, None, 0)
    context = (recipe.seed, 1)
    deals, plans = plan(rows, recipe, context, allow_shortfall=True)
    places = np.unique(np.concatenate([deal.rows for deal in deals]))
    clean = rows.take(pa.array(places)).combine_chunks()
    done = corrupt_rows(clean, row_hashes(clean[ROW_ID]), [deal.pick(places) for deal in deals], context, recipe.guard)
    return Preview(clean, done.rows, done.edits, len(rows), _shortfall(deals, plans))


def _shortfall(deals: Sequence[Deal], plans: Sequence[Sequence[OpPlan]]) -> int:
    """How many rows the ratios asked for and no op could change."""
    return round(sum(plan.asked for planned in plans for plan in planned)) - sum(map(len, deals))


def _count_shapes(rows: pa.Table) -> dict[str, int]:
    counts = rows[SHAPE].combine_chunks().value_counts()
    return {count["values"]: count["counts"] for count in counts.to_pylist()}


def op_versions(recipe: Recipe) -> dict[str, str]:
    """The version of each op; where steps give one op other parameters, and so tables, of each in turn."""
    versions: dict[str, list[str]] = {}
    for step in recipe.steps:
        for op in step.weights:
            version = op_version(get_op(op), step.params_of(op))
            if version not in versions.setdefault(op, []):
                versions[op].append(version)
    return {op: ",".join(found) for op, found in versions.items()}


def _report(recipe: Recipe, plans: Sequence[Sequence[OpPlan]], tally: Tally) -> list[dict[str, Any]]:
    return [
        _line(step, plan, tally.counts.get((step.name, plan.op), Count()))
        for step, planned in zip(recipe.steps, plans, strict=True)
        for plan in planned
    ]


def _line(step: Step, plan: OpPlan, count: Count) -> dict[str, Any]:
    return {
        "step": step.name,
        "op": plan.op,
        "unit": get_op(plan.op).unit,
        "weight": str(plan.weight),
        "rows_asked": plan.asked,
        "rows": plan.dealt,
        "examined": plan.examined,
        "eligible": plan.eligible,
        "needs": plan.needs,
        "level": step.level,
        "units": count.units,
        "expected": plan.expected,
        "changed": count.changed,
        "interval": count.interval,
        "cer": count.cer,
        "cer_unmeasured": count.unmeasured,
    }


def _check_child(name: str | None, parent: str) -> None:
    if name == parent:
        raise StoreError(f"{name!r} is the parent's name; choose another, or its latest version would be the noisy one")


def _as_name(text: str) -> str:
    """A source's name with what a folder of the store cannot hold replaced."""
    kept = "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "-" for char in text)
    return kept.lstrip("._-")[:90] or "source"


def ingest_samples(recipe: Recipe, limit: int | None, options: Options, child: str | None = None) -> Built:
    """The embedded sample; its held-out split is ingested beside it, whole, for those who evaluate."""
    _check_child(child, f"sample-{limit}" if limit else "sample")
    built = {name: ingest(name, Recipe(), None, options) for name in SPLITS}
    return ingest("sample", recipe, limit, options) if limit else built["sample"]
