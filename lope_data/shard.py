"""What a step does to a slice of rows: a pure function of the rows and their deal, the same wherever it runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_data.cells import Cells, offsets_and_data
from lope_data.edits import Edits, splice
from lope_data.plan import Deal
from lope_data.registry import TextOp, get_op
from lope_data.rng import I64, U64, Draw
from lope_data.shapes import OPS, ROW_ID, cells_of, input_columns, owned

EDITS = pa.schema(
    [
        ("row_id", pa.string()),
        ("step", pa.string()),
        ("seq", pa.int32()),
        ("path", pa.string()),
        ("op", pa.string()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("new_end", pa.int64()),
        ("before", pa.string()),
        ("after", pa.string()),
        ("detail", pa.string()),
    ]
)


@dataclass
class Tally:
    """Per (step, op): units in the rows it touched, and units it changed."""

    units: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    changed: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))

    def add(self, other: Tally) -> None:
        for mine, its in ((self.units, other.units), (self.changed, other.changed)):
            for key, count in its.items():
                mine[key] = mine.get(key, 0) + count


def corrupt_rows(
    rows: pa.Table, hashes: U64, deals: Sequence[Deal], context: tuple[int, int]
) -> tuple[pa.Table, pa.Table, Tally]:
    """Applies the deals, step after step, to rows of the parent.

    Args:
        rows: any slice or selection of the parent.
        hashes: `row_hashes` of their ids.
        deals: of these rows, places counted within `rows`.
        context: (seed, chain depth).

    Returns:
        (the rows with `lope_ops` anew, their edits in row order, the tally).
    """
    ids = rows[ROW_ID].combine_chunks()
    tally = Tally()
    records: list[pa.Table] = []
    for number, deal in enumerate(deals):
        updates: dict[str, list[tuple[I64, pa.Array]]] = defaultdict(list)
        for i, name in enumerate(deal.ops):
            mine = np.flatnonzero(deal.op == i)
            if not len(mine):
                continue
            op, places = get_op(name), deal.rows[mine]
            key = (deal.step.name, name)
            if isinstance(op, TextOp):
                part = rows.take(pa.array(places))
                cells = cells_of(part)
                draw = Draw((*context, *key), hashes[places])
                edits, spans = op.apply(cells, draw, deal.step.level, deal.step.params_of(name))
                records.append(_text_records(edits, cells, input_columns(part), ids, places, (number, name)))
                tally.units[key] += int(spans.size.sum())
                tally.changed[key] += len(edits) * op.per_hit
                for column, values in _columns(splice(cells, edits), part).items():
                    updates[column].append((places, values))
            else:
                after = deal.after.take(pa.array(mine))
                detail = deal.detail.take(pa.array(mine))
                records.append(_label_records(rows, op.column, after, detail, ids, places, (number, name)))
                tally.units[key] += len(mine)
                tally.changed[key] += len(mine)
                updates[op.column].append((places, after))
        rows = _updated(rows, updates)
    edits_table = _ordered(records, [deal.step.name for deal in deals])
    return (
        rows.set_column(rows.column_names.index(OPS), OPS, _ops_column(len(rows), deals)),
        edits_table,
        tally,
    )


def _columns(values: pa.Array, rows: pa.Table) -> dict[str, pa.Array]:
    """Cells back to columns, null where the row had null or lacks the column."""
    names = input_columns(rows)
    columns = {}
    for i, name in enumerate(names):
        old = rows[name].combine_chunks()
        mine = values.take(pa.array(np.arange(i, len(values), len(names))))
        keep = pc.and_(old.is_valid(), owned(rows, name))
        columns[name] = pc.if_else(keep, mine, old.cast(pa.large_string()))
    return columns


def _updated(rows: pa.Table, updates: dict[str, list[tuple[I64, pa.Array]]]) -> pa.Table:
    for column, parts in updates.items():
        places = np.concatenate([places for places, _ in parts])
        values = pa.concat_arrays([values for _, values in parts])
        order = np.argsort(places)
        mask = np.zeros(len(rows), np.bool_)
        mask[places] = True
        kind = rows.schema.field(column).type
        new = values.take(pa.array(order)).cast(kind)
        old = rows[column].combine_chunks()
        rows = rows.set_column(rows.column_names.index(column), column, pc.replace_with_mask(old, pa.array(mask), new))
    return rows


def _text_records(
    edits: Edits, cells: Cells, columns: list[str], ids: pa.Array, places: I64, source: tuple[int, str]
) -> pa.Table:
    shift = cells.bounds[edits.cell]
    offsets, _ = offsets_and_data(edits.after)
    return _records(
        ids,
        places[edits.row],
        source,
        path=pa.array(columns).take(pa.array(edits.cell % len(columns))),
        start=edits.start - shift,
        end=edits.end - shift,
        new_end=edits.start - shift + np.diff(offsets),
        before=cells.text(edits.start, edits.end),
        after=edits.after,
        detail=pa.nulls(len(edits), pa.string()) if edits.detail is None else edits.detail,
    )


def _label_records(
    rows: pa.Table,
    column: str,
    after: pa.Array,
    detail: pa.Array,
    ids: pa.Array,
    places: I64,
    source: tuple[int, str],
) -> pa.Table:
    before = rows[column].combine_chunks().take(pa.array(places)).cast(pa.string())
    return _records(
        ids,
        places,
        source,
        path=pa.array([column]).take(pa.array(np.zeros(len(places), np.int64))),
        start=np.zeros(len(places), np.int64),
        end=np.asarray(pc.binary_length(before)),
        new_end=np.asarray(pc.binary_length(after)),
        before=before,
        after=after,
        detail=detail,
    )


def _records(
    ids: pa.Array,
    places: I64,
    source: tuple[int, str],
    *,
    path: pa.Array,
    start: I64,
    end: I64,
    new_end: I64,
    before: pa.Array,
    after: pa.Array,
    detail: pa.Array,
) -> pa.Table:
    number, op = source
    return pa.table(
        {
            "place": pa.array(places),
            "number": pa.array(np.full(len(places), number)),
            "row_id": ids.take(pa.array(places)),
            "path": path,
            "op": pa.array([op]).take(pa.array(np.zeros(len(places), np.int64))),
            "start": pa.array(start, pa.int64()),
            "end": pa.array(end, pa.int64()),
            "new_end": pa.array(new_end, pa.int64()),
            "before": before.cast(pa.large_string()).cast(pa.string()),
            "after": after.cast(pa.large_string()).cast(pa.string()),
            "detail": detail.cast(pa.string()),
        }
    )


def _ordered(records: list[pa.Table], steps: list[str]) -> pa.Table:
    """All records by row, then step, then place in the text, with `seq` counted within row and step."""
    if not records:
        return EDITS.empty_table()
    table = pa.concat_tables(records)
    place, number = np.asarray(table["place"]), np.asarray(table["number"])
    order = np.lexsort((number, place))
    table = table.take(pa.array(order))
    group = place[order] * len(steps) + number[order]
    seq = np.arange(len(group)) - np.searchsorted(group, group)
    table = table.append_column("seq", pa.array(seq.astype(np.int32)))
    table = table.append_column("step", pa.array(steps).take(table["number"].combine_chunks()))
    return table.select(EDITS.names).cast(EDITS).combine_chunks()


def _ops_column(rows: int, deals: Sequence[Deal]) -> pa.Array:
    place = np.concatenate([deal.rows for deal in deals])
    names = pa.concat_arrays([pa.array(deal.ops).take(pa.array(deal.op)) for deal in deals])
    order = np.argsort(place, kind="stable")
    offsets = np.concatenate(([0], np.cumsum(np.bincount(place, minlength=rows))))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), names.take(pa.array(order)))
