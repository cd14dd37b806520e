"""A version without some of its rows, or with other targets or weights of some, by lists of row ids.

The result is a clean version of its own (FORMAT.md, Curated versions): its source is the version that it was made of.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_common.errors import shown, suggest
from lope_common.files import canonical
from lope_data.builds.obtain import Options, obtained
from lope_data.builds.row_lists import ID, TARGET, WEIGHT, read_list
from lope_data.builds.row_weights import as_weights, other_weights, weighted, weights_of
from lope_data.builds.wanted import Wanted
from lope_data.errors import SourceError, StoreError
from lope_data.inject.apply import EDITS
from lope_data.names import check_name
from lope_data.rows.canonical import count_shapes
from lope_data.rows.fields import put_targets, targets_of
from lope_data.rows.layout import Layout
from lope_data.rows.shapes import OPS as ROW_OPS
from lope_data.rows.shapes import ROW_ID, SHAPES
from lope_data.rows.shapes import WEIGHT as ROW_WEIGHT
from lope_data.store.draft import Shard
from lope_data.store.manifest import BLOCK, FORMAT, INGEST, libraries, version_id
from lope_data.store.manifest_model import Curated, Facts, Hints, IngestFacts, IngestRecipe
from lope_data.store.manifest_model import Layout as LayoutFacts
from lope_data.store.manifest_model import Source as Origin
from lope_data.store.verify import check_files
from lope_data.store.version import Version
from lope_data.text.draws import I64

_SPAN = BLOCK  # rows that are looked at or made at once
_KINDS = tuple(dict.fromkeys(shape.target_kind for shape in SHAPES.values() if shape.target_kind is not None))


@dataclass(frozen=True)
class Curation:
    """What is done to the rows of a version: `dropped` ids, new `targets` (their texts) and new `weights` by id."""

    source: Version
    dropped: frozenset[str]
    targets: dict[str, str]
    weights: dict[str, float]
    same: int = 0
    """How many rows were listed with the target or the weight that they have."""

    @property
    def digest(self) -> str:
        """Of what the lists say, whatever they were written in."""
        said: dict[str, Any] = {"drop": sorted(self.dropped), "relabel": self.targets}
        if self.weights:
            said["weight"] = self.weights
        return f"sha256:{hashlib.sha256(canonical(said)).hexdigest()}"

    @property
    def kept(self) -> I64:
        """The rows of the source that stay, by their numbers."""
        return np.flatnonzero(~_listed(self.source.rows, self.dropped))


def read_curation(source: Version, drop: Any, relabel: Any, weight: Any) -> Curation:
    """The curation that lists ask for; targets and weights that a row has already are left out of it.

    Raises:
        SourceError: a list cannot be read, names rows that the version lacks, drops all, or gives a row a target or
            weight that it cannot have; or nothing would change.
        StoreError: the version is not as it was written.
    """
    check_files(source)
    dropped = frozenset(() if drop is None else _ids(source, drop, "drop (--drop)", (ID,), frozenset())[ID])
    if len(dropped) == len(source.rows):
        raise SourceError(f"drop (--drop): lists all {len(dropped):,} rows of {source.ref}, so none is left")
    targets: dict[str, str] = {}
    weights: dict[str, float] = {}
    same = 0
    if relabel is not None:
        option = "relabel (--relabel)"
        listed = _ids(source, relabel, option, (ID, TARGET), dropped)
        targets = _changed(source, dict(zip(listed[ID], listed[TARGET], strict=True)), option)
        same += len(listed[ID]) - len(targets)
    if weight is not None:
        option = "weight (--weight)"
        listed = _ids(source, weight, option, (ID, WEIGHT), dropped)
        given = dict(zip(listed[ID], as_weights(listed[WEIGHT], option), strict=True))
        after = weighted(_ids_and_weights(source.rows), given)
        weights = other_weights(source.rows, after)
        same += len(given) - len(weights)
    if not (dropped or targets or weights):
        options = " and ".join(name for name, one in (("--relabel", relabel), ("--weight", weight)) if one is not None)
        raise SourceError(f"{options}: all rows listed are in {source.ref} as the list has them; nothing would change")
    found = Curation(source, dropped, targets, weights, same)
    if weights or ROW_WEIGHT in source.rows.column_names:
        left = weights_of(weighted(_ids_and_weights(source.rows), weights))[found.kept]
        if not left.any():
            option = "drop (--drop)" if weight is None else "weight (--weight)"
            raise SourceError(f"{option}: all {len(left):,} rows that are left weigh 0, so none counts")
    return found


def curate(curation: Curation, name: str | None, options: Options) -> Version:
    """The curated version: the one that is there, or made now.

    Args:
        name: by default the source's with `-curated`.

    Raises:
        StoreError: the name is the source's, or the store cannot be written.
    """
    source = curation.source.manifest
    called = check_name(f"{source.name}-curated" if name is None else name)
    if called == source.name:
        raise StoreError(f"{called!r} is the name of the version that rows are taken from; choose another --name")
    how: dict[str, Any] = {"ingest": INGEST, "shape": None, "columns": {}, "limit": None, "curated": curation.digest}
    version = version_id("ingest", how, 0, {}, source.content_digest, 0)
    wanted = Wanted(called, version, 0, how)
    made = obtained(called, version, options, lambda: _made(curation, wanted, options))
    if curation.same:
        options.notice(f"{curation.same:,} of the rows listed have these targets or weights already")
    return made


def derived(version: Version, source: Version) -> Curation:
    """What was done to the source to make a curated version of it, from their rows.

    Raises:
        StoreError: the rows are not those of the source in another way than a curation makes.
    """
    own, rows = source.rows[ROW_ID], version.rows
    found = pc.index_in(rows[ROW_ID], value_set=own)
    numbers = np.asarray(pc.fill_null(found, -1), np.int64)
    if (np.diff(numbers, prepend=-1) <= 0).any():  # of a row that is not there, too
        raise StoreError(f"{version.ref}: its rows are not rows of {source.ref}, in order")
    left = np.ones(len(own), np.bool_)
    left[numbers] = False
    dropped = frozenset(own.filter(pa.array(left)).to_pylist())
    targets: dict[str, str] = {}
    for low in range(0, len(rows), _SPAN):
        pair = _rows(source.rows, numbers[low : low + _SPAN]), rows.slice(low, _SPAN).combine_chunks()
        for kind in _KINDS:
            before, after = (targets_of(part, kind).table for part in pair)
            if not before[ROW_ID].equals(after[ROW_ID]):
                raise StoreError(f"{version.ref}: some of its rows have another shape than in {source.ref}")
            changed = after.filter(pc.fill_null(pc.not_equal(before["target"], after["target"]), False))
            targets |= zip(changed[ROW_ID].to_pylist(), changed["target"].to_pylist(), strict=True)
    weights: dict[str, float] = {}
    if ROW_WEIGHT in rows.column_names:
        weights = other_weights(_ids_and_weights(source.rows).take(pa.array(numbers)), rows)
    return Curation(source, dropped, targets, weights)


def _made(curation: Curation, wanted: Wanted, options: Options) -> Version:
    from lope_data.builds.make import written

    source, kept = curation.source, curation.kept

    def shard(low: int, high: int) -> Iterator[Shard]:
        begins = [low, *range((low // _SPAN + 1) * _SPAN, high, _SPAN)]  # so that blocks of the digest are in one
        for first, last in pairwise([*begins, high]):
            part = _relabelled(_rows(source.rows, kept[first:last]), curation.targets)
            untouched = pa.array([[]] * len(part), part.schema.field(ROW_OPS).type)
            part = part.set_column(part.column_names.index(ROW_OPS), part.schema.field(ROW_OPS), untouched)
            part = weighted(part, curation.weights) if curation.weights else part
            yield Shard(part, EDITS.empty_table(), dict(count_shapes(part)))

    def facts(digest: str, said: Sequence[Any]) -> Facts:
        shapes: Counter[str] = Counter()
        for counts in (part for one in said for part in one):
            shapes.update(counts)
        return IngestFacts(
            format=FORMAT,
            kind="ingest",
            name=wanted.name,
            version=wanted.version,
            rows=len(kept),
            touched=0,
            shapes=dict(shapes),
            layout=LayoutFacts.model_validate(source.manifest.layout.plain),
            content_digest=digest,
            depth=0,
            parents=[],
            source=Origin(name=source.manifest.name, fingerprint=source.manifest.content_digest),
            seed=0,
            recipe=IngestRecipe.model_validate(wanted.recipe),
            ops={},
            report=[],
            hints=Hints(),
            libraries=libraries(),
            curated=Curated(
                **vars(source.link),
                dropped=len(curation.dropped),
                relabelled=len(curation.targets),
                weighted=len(curation.weights) or None,
                list=curation.digest,
            ),
        )

    return written(wanted, "curate", len(kept), lambda _: Layout.of(source.rows), options, shard, facts)


def _ids(
    source: Version, given: Any, option: str, columns: tuple[str, ...], dropped: frozenset[str]
) -> dict[str, list[str]]:
    """The list, of whose ids all are of the source, and none is dropped."""
    listed = read_list(given, option, columns)
    known = np.asarray(pc.is_in(pa.array(listed[ID], pa.string()), value_set=source.rows[ROW_ID]))
    if not known.all():
        first = int(np.flatnonzero(~known)[0])
        raise SourceError(
            f"{option}: {np.count_nonzero(~known):,} of {len(known):,} rows are not in {source.ref}, the first of them "
            f"{shown(listed[ID][first])} (row {first + 1} of the list); is the list of another version?"
        )
    if (both := next((row for row in listed[ID] if row in dropped), None)) is not None:
        raise SourceError(f"{option}: row {shown(both)} is dropped too; list it once")
    return listed


def _ids_and_weights(rows: pa.Table) -> pa.Table:
    return rows.select([name for name in (ROW_ID, ROW_WEIGHT) if name in rows.column_names])


def _listed(rows: pa.Table, ids: frozenset[str]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.asarray(pc.is_in(rows[ROW_ID], value_set=pa.array(sorted(ids), pa.string())), np.bool_)


def _rows(rows: pa.Table, numbers: I64) -> pa.Table:
    """Rows with these ascending numbers, with the layout. Few are taken at once: `take` joins all chunks before."""
    if not len(numbers):
        return rows.slice(0, 0).combine_chunks()
    begins = np.arange(numbers[0], numbers[-1] + 1, _SPAN)
    parts = np.split(numbers, np.searchsorted(numbers, begins[1:]))
    pieces = [
        rows.slice(begin, _SPAN).take(pa.array(part - begin))
        for begin, part in zip(begins.tolist(), parts, strict=True)
        if len(part)
    ]
    return pa.concat_tables(pieces).combine_chunks()


def _changed(source: Version, targets: dict[str, str], option: str) -> dict[str, str]:
    """Those that differ from what the rows have, checked."""
    numbers = np.flatnonzero(_listed(source.rows, frozenset(targets)))
    known = _classes(source)
    changed: dict[str, str] = {}
    seen: set[str] = set()
    for low in range(0, len(numbers), _SPAN):
        rows = _rows(source.rows, numbers[low : low + _SPAN])
        for kind in _KINDS:
            found = targets_of(rows, kind).table
            for number, row in enumerate(found[ROW_ID].to_pylist()):
                old, new = found["target"][number].as_py(), targets[row]
                if old is None:
                    continue
                seen.add(row)
                choices = found["choices"][number].as_py() if kind == "choice" else None
                if (why := _unfit(kind, new, known, choices)) is not None:
                    raise SourceError(f"{option}: row {shown(row)}: {why}")
                if new != old:
                    changed[row] = new
    if without := [row for row in targets if row not in seen]:
        raise SourceError(f"{option}: row {shown(without[0])} has no target to replace")
    return changed


def _classes(source: Version) -> set[str | None]:
    """The labels that rows have."""
    if not any(SHAPES[shape].target_kind == "class" for shape in source.manifest.shapes):
        return set()
    return {
        label
        for low in range(0, len(source.rows), _SPAN)
        for label in pc.unique(targets_of(source.rows.slice(low, _SPAN), "class").table["target"]).to_pylist()
    }


def _unfit(kind: str, new: str, known: set[str | None], choices: Sequence[str] | None) -> str | None:
    """Why a row cannot have the target; None if it can."""
    if kind == "class" and new not in known:
        return f"no row has the label {shown(new)}{suggest(new, [one for one in known if one is not None])}"
    if choices is not None and not (new.isascii() and new.isdigit() and len(new) < 10 and int(new) < len(choices)):
        return f"the answer {shown(new)} is not the number of a choice, 0 to {len(choices) - 1}"
    return "an empty target" if not new.strip() else None


def _relabelled(rows: pa.Table, targets: dict[str, str]) -> pa.Table:
    for kind in _KINDS if targets else ():
        found = targets_of(rows, kind)
        own = found.table[ROW_ID].to_pylist()
        hit = [number for number, row in enumerate(own) if row in targets]
        if hit:
            new = pa.array([targets[own[number]] for number in hit], pa.large_string())
            rows = put_targets(rows, kind, found.places[hit], new)
    return rows
