"""Making versions: what is done once it is known that a version is not there yet. Imported only then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lope_common.threads import run_tasks
from lope_data.errors import NoiseError, SourceError
from lope_data.inject.apply import EDITS, Corrupted, corrupt_rows
from lope_data.inject.planner import Deal, OpPlan
from lope_data.inject.planning import plan, shortfall
from lope_data.inject.tally import Count, Tally
from lope_data.recipe.guard import Guard
from lope_data.recipe.recipe import Recipe, Step
from lope_data.rows.canonical import count_shapes
from lope_data.rows.layout import Layout
from lope_data.rows.shapes import ROW_ID
from lope_data.store.commit import commit
from lope_data.store.draft import Shard, drafted
from lope_data.store.manifest import FORMAT, libraries
from lope_data.store.manifest_model import BuildFacts, Facts, Hints, IngestFacts, IngestRecipe, Line, Skipped
from lope_data.store.manifest_model import Layout as LayoutFacts
from lope_data.store.manifest_model import Recipe as Resolved
from lope_data.store.manifest_model import Source as Origin
from lope_data.store.store import shard_rows
from lope_data.store.verify import check_files
from lope_data.store.version import Version
from lope_data.text import kernels
from lope_data.text.draws import row_hashes

_TOLD = 3  # skipped rows

if TYPE_CHECKING:
    from lope_data.builds.obtain import Options
    from lope_data.builds.wanted import Clean, Wanted
    from lope_data.sources.part import BrokenRow


def make_clean(clean: Clean, options: Options) -> Version:
    """The clean version of a source."""
    rows, opened, wanted = clean.read(options), clean.opened, clean.wanted

    def shard(low: int, high: int) -> Iterator[Shard]:
        try:
            for part in rows.parts(low, high):
                said = {"shapes": dict(count_shapes(part)), "raw": rows.canonical.raw(part)}
                yield Shard(part, EDITS.empty_table(), said)
                del part  # before the next is made
        except SourceError:
            opened.check()  # which says better what is wrong with a file that is being written
            raise
        opened.check()  # before the shard is noted as whole, which the next build may go by

    def layout(said: Sequence[Any]) -> Layout:
        return rows.layout({name for one in said for part in one for name in part["raw"]})

    def facts(digest: str, said: Sequence[Any]) -> Facts:
        shapes: Counter[str] = Counter()
        for part in (part for one in said for part in one):
            shapes.update(part["shapes"])
        left_out = [Skipped(reason=one.reason, file=one.file, line=one.line, row=one.row) for one in rows.skipped]
        more: dict[str, Any] = {"skipped": left_out} if left_out else {}
        if rows.left_out is not None:
            more["without"] = rows.left_out.facts
        return IngestFacts(
            format=FORMAT,
            kind="ingest",
            name=wanted.name,
            version=wanted.version,
            rows=len(rows),
            touched=0,
            shapes=dict(shapes),
            layout=LayoutFacts.model_validate(layout(said).plain),
            content_digest=digest,
            depth=0,
            parents=[],
            source=Origin(name=opened.name, fingerprint=opened.fingerprint),
            seed=wanted.seed,
            recipe=IngestRecipe.model_validate(wanted.recipe),
            ops={},
            report=[],
            hints=Hints(),
            libraries=libraries(),
            **more,
        )

    made = written(wanted, "ingest", len(rows), layout, options, shard, facts)
    rows.canonical.say(clean.notice)  # not before: what is refused is one line
    if rows.skipped:
        clean.notice(_told(opened.where, rows.skipped))
    if rows.left_out is not None:
        clean.notice(f"{opened.where}: {rows.left_out.facts.told}")
    return made


def make_noisy(parent: Version, recipe: Recipe, wanted: Wanted, options: Options, *, allow_shortfall: bool) -> Version:
    """The noisy version of a parent."""
    kernels.prepare(options.notice)
    if parent.existed:  # what it says of itself goes into the child's lineage
        check_files(parent)
    rows, origin = parent.rows, parent.manifest
    context = (recipe.seed, origin.depth + 1)
    deals, plans = plan(rows, recipe, context, allow_shortfall=allow_shortfall, workers=options.workers)

    def shard(low: int, high: int) -> Iterator[Shard]:
        done = _noisy(rows, low, high, deals, context, recipe.guard)
        yield Shard(done.rows, done.edits, done.tally.plain())

    def facts(digest: str, said: Sequence[Any]) -> Facts:
        tally = Tally()
        for (counts,) in said:
            tally.add(Tally.of(counts))
        return BuildFacts(
            format=FORMAT,
            kind="build",
            name=wanted.name,
            version=wanted.version,
            rows=len(rows),
            touched=len(np.unique(np.concatenate([deal.rows for deal in deals]))),
            shortfall=shortfall(deals, plans),
            shapes=origin.shapes,
            layout=origin.layout,
            content_digest=digest,
            depth=context[1],
            parents=[parent.link, *origin.parents],
            source=origin.source,
            seed=wanted.seed,
            recipe=Resolved.model_validate(wanted.recipe),
            ops=wanted.ops,
            **({"op_modules": wanted.op_modules} if wanted.op_modules else {}),
            report=_report(recipe, plans, tally),
            hints=Hints(embedding_alpha=recipe.embedding.alpha),
            libraries=libraries(),
        )

    return written(wanted, "build", len(rows), lambda _: Layout.of(rows), options, shard, facts)


def _told(where: str, skipped: Sequence[BrokenRow]) -> str:
    """What to say of rows that were skipped."""
    first = "; ".join(f"{one.place}: {one.reason}" for one in skipped[:_TOLD])
    more = f"; and {len(skipped) - _TOLD:,} more, which the manifest lists" if len(skipped) > _TOLD else ""
    return f"{where}: {len(skipped):,} broken row{'s' * (len(skipped) != 1)} skipped: {first}{more}"


def written(
    wanted: Wanted,
    kind: str,
    rows: int,
    layout: Callable[[Sequence[Any]], Layout],
    options: Options,
    shard: Callable[[int, int], Iterable[Shard]],
    facts: Callable[[str, Sequence[Any]], Facts],
) -> Version:
    """Writes the shards that are not there yet, and then the version.

    Args:
        layout: of the rows, from what was `said` of each shard, in order.
        shard: makes the one of rows low to high, part after part.
        facts: what the manifest says, from the content digest, and what was `said` of each shard in order.
    """
    name = wanted.name
    size = options.shard_rows or shard_rows(rows)
    with drafted(options.store, name, wanted.version, rows, size) as draft:
        notes = draft.notes()
        if notes:
            options.notice(f"resuming {name}: {len(notes)} of {draft.count} shards are there")
        missing = [index for index in range(draft.count) if index not in notes]

        def run(index: int) -> tuple[int, dict[str, Any]]:
            return index, draft.write(index, shard(index * size, min(index * size + size, rows)))

        options.progress(f"{kind} {name}", len(notes), draft.count)
        for index, note in run_tasks(run, missing, options.workers):
            notes[index] = note
            options.progress(f"{kind} {name}", len(notes), draft.count)
        ordered = [notes[index] for index in range(draft.count)]
        said = [note["said"] for note in ordered]
        return commit(options.store, draft, ordered, facts(draft.digest(ordered, layout(said)), said))


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


def _report(recipe: Recipe, plans: Sequence[Sequence[OpPlan]], tally: Tally) -> list[Line]:
    return [
        _line(step, plan, tally.counts.get((step.name, plan.op), Count()))
        for step, planned in zip(recipe.steps, plans, strict=True)
        for plan in planned
    ]


def _line(step: Step, plan: OpPlan, count: Count) -> Line:
    return Line(
        step=step.name,
        op=plan.op,
        unit=step.ops[plan.op].unit,
        weight=str(plan.weight),
        rows_asked=plan.asked,
        rows=plan.dealt,
        examined=plan.examined,
        eligible=plan.eligible,
        needs=plan.needs,
        level=step.level,
        units=count.units,
        expected=plan.expected,
        changed=count.changed,
        interval=None if count.interval is None else list(count.interval),
        cer=count.cer,
        cer_unmeasured=count.unmeasured,
    )
