"""What a step does to a slice of rows: a pure function of the rows and their deal, the same wherever it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_data.inject.planner import Deal
from lope_data.inject.tally import Tally
from lope_data.noise.op import F64, LabelOp, TextOp
from lope_data.recipe.guard import Guard
from lope_data.rows.fields import Inputs, Targets, inputs_of, put_targets, targets_of
from lope_data.rows.shapes import OPS, ROW_ID
from lope_data.text import kernels
from lope_data.text.buffers import Mask, binary, offsets_and_data, whole
from lope_data.text.cells import Cells
from lope_data.text.draws import I64, U64, Draw, ranges
from lope_data.text.edits import Edits, splice

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


@dataclass(frozen=True)
class Corrupted:
    """What became of rows.

    Attributes:
        rows: with `lope_ops` anew.
        edits: in row order.
        spent: the share of its units that each row changed, shape (rows,).
        protected: what `protection` found, in its new places.
    """

    rows: pa.Table
    edits: pa.Table
    tally: Tally
    spent: F64
    protected: pa.Array | None


def protection(rows: pa.Table, guard: Guard) -> pa.Array | None:
    """For each row and each of its input texts a byte of 1 or 0 for each of its bytes: whether patterns protect it."""
    if not guard.protect:
        return None
    cells = inputs_of(rows).cells()
    found = guard.find(cells)
    assert found is not None
    return pa.LargeListArray.from_arrays(pa.array(cells.row_bounds), binary(cells.bounds, found.view(np.uint8)))


def protected_mask(protected: pa.Array | None) -> Mask | None:
    """The same as one mask over the rows' cells."""
    return None if protected is None else offsets_and_data(protected.flatten())[1].view(np.bool_)


def corrupt_rows(
    rows: pa.Table, hashes: U64, deals: Sequence[Deal], context: tuple[int, int], guard: Guard
) -> Corrupted:
    """Applies the deals, step after step, to rows of the parent.

    Args:
        rows: any slice or selection of the parent.
        hashes: `row_hashes` of their ids.
        deals: of these rows, places counted within `rows`.
        context: (seed, chain depth).
    """
    tally = Tally()
    records: list[pa.Table] = []
    spent = np.zeros(len(rows))
    protected = protection(rows, guard)
    for number, deal in enumerate(deals):
        touched = pa.array(deal.rows)
        part = rows.take(touched).combine_chunks()
        mine = None if protected is None else protected.take(touched)
        work = _Step(part, mine, hashes[deal.rows], deal, number, context, guard, tally)
        part, mine = work.texts(spent, records)
        part = work.labels(part, records)
        source = np.arange(len(rows))
        source[deal.rows] = len(rows) + np.arange(len(deal.rows))
        rows = pa.concat_tables([rows, part]).combine_chunks().take(pa.array(source))
        if protected is not None:
            protected = pa.concat_arrays([protected, mine]).take(pa.array(source))
    names = [deal.step.name for deal in deals]
    return Corrupted(
        rows.set_column(rows.column_names.index(OPS), rows.schema.field(OPS), _ops_column(len(rows), deals)),
        _ordered(records, names),
        tally,
        spent,
        protected,
    )


@dataclass(frozen=True)
class _Step:
    """One deal and the rows it touches."""

    rows: pa.Table
    protected: pa.Array | None
    hashes: U64
    deal: Deal
    number: int
    context: tuple[int, int]
    guard: Guard
    tally: Tally

    def texts(self, spent: F64, records: list[pa.Table]) -> tuple[pa.Table, pa.Array | None]:
        """The rows after the text ops, and what is protected in them; adds to `spent`, the shares of all rows, and to
        `records`.
        """
        deal, step = self.deal, self.deal.step
        mine = [(name, np.flatnonzero(deal.op == i)) for i, name in enumerate(deal.ops)]
        mine = [(name, places) for name, places in mine if len(places) and isinstance(step.ops[name], TextOp)]
        if not mine:
            return self.rows, self.protected
        inputs = inputs_of(self.rows)
        everything = self.guard.bar(inputs.cells(), protected_mask(self.protected))
        changed, source = [inputs.values], np.arange(len(inputs.values))
        masks = None if self.protected is None else [self.protected.flatten()]
        share = self.guard.share(spent[deal.rows])
        for name, places in mine:
            op = step.ops[name]
            assert isinstance(op, TextOp)
            cells = everything.take(places)
            draw = Draw((*self.context, step.name, name), self.hashes[places])
            mine_share = None if share is None else share[places]
            edits, ground = op.apply(cells, draw, step.level, step.params_of(name), mine_share)
            noisy = splice(cells, edits)
            units = np.bincount(edits.row, minlength=len(places)) * op.per_hit
            self.tally.text((step.name, name), ground.size, units, cells, noisy)
            spent[deal.rows[places]] += units / np.maximum(ground.size, 1)
            where = _cell_places(everything, places)
            source[where] = sum(map(len, changed)) + np.arange(len(where))
            changed.append(noisy)
            if masks is not None:
                masks.append(_carried(masks[0].take(pa.array(where)), edits, noisy))
            records.append(self._text_records(name, places, inputs, where, edits, cells))
        rows = inputs.put(self.rows, pa.concat_arrays(changed).take(pa.array(source)))
        if masks is None:
            return rows, None
        carried = pa.concat_arrays(masks).take(pa.array(source))
        return rows, pa.LargeListArray.from_arrays(pa.array(everything.row_bounds), carried)

    def labels(self, rows: pa.Table, records: list[pa.Table]) -> pa.Table:
        """The rows after the label ops; adds to `records`."""
        deal = self.deal
        for i, name in enumerate(deal.ops):
            op, places = deal.step.ops[name], np.flatnonzero(deal.op == i)
            if not len(places) or not isinstance(op, LabelOp):
                continue
            after, detail = deal.after.take(pa.array(places)), deal.detail.take(pa.array(places))
            targets = targets_of(rows, op.kind)
            targets = targets.take(np.searchsorted(targets.places, places))
            records.append(self._label_records(name, places, targets, after, detail))
            self.tally.labels((deal.step.name, name), len(places))
            rows = put_targets(rows, op.kind, places, after)
        return rows

    def _text_records(self, name: str, places: I64, inputs: Inputs, where: I64, edits: Edits, cells: Cells) -> pa.Table:
        shift = cells.bounds[edits.cell]
        offsets, _ = offsets_and_data(edits.after)
        return self._records(
            name,
            places[edits.row],
            path=inputs.path.take(pa.array(where[edits.cell])),
            start=edits.start - shift,
            end=edits.end - shift,
            new_end=edits.start - shift + np.diff(offsets),
            before=cells.text(edits.start, edits.end),
            after=edits.after,
            detail=pa.nulls(len(edits), pa.string()) if edits.detail is None else edits.detail,
        )

    def _label_records(self, name: str, places: I64, targets: Targets, after: pa.Array, detail: pa.Array) -> pa.Table:
        before = whole(targets.table["target"])
        return self._records(
            name,
            places,
            path=targets.path,
            start=np.zeros(len(places), np.int64),
            end=np.asarray(pc.binary_length(before)).astype(np.int64),
            new_end=np.asarray(pc.binary_length(after)).astype(np.int64),
            before=before,
            after=after,
            detail=detail,
        )

    def _records(
        self,
        op: str,
        places: I64,
        *,
        path: pa.Array,
        start: I64,
        end: I64,
        new_end: I64,
        before: pa.Array,
        after: pa.Array,
        detail: pa.Array,
    ) -> pa.Table:
        return pa.table(
            {
                "place": pa.array(self.deal.rows[places]),
                "number": pa.array(np.full(len(places), self.number)),
                "row_id": whole(self.rows[ROW_ID]).take(pa.array(places)),
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


def _carried(masks: pa.Array, edits: Edits, noisy: pa.Array) -> pa.Array:
    """The masks of some cells after their edits: what edits put there is not protected."""
    _, before = offsets_and_data(masks)
    offsets, after = offsets_and_data(edits.after)
    data = kernels.spliced(before, edits.start, edits.end, offsets, np.zeros(len(after), np.uint8))
    return binary(offsets_and_data(noisy)[0], data)


def _cell_places(cells: Cells, rows: I64) -> I64:
    """Where the cells of some rows stand among all."""
    counts = np.diff(cells.row_bounds)[rows]
    return np.repeat(cells.row_bounds[rows], counts) + ranges(counts)


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
    table = table.append_column("step", pa.array(steps).take(whole(table["number"])))
    return table.select(EDITS.names).cast(EDITS).combine_chunks()


def _ops_column(rows: int, deals: Sequence[Deal]) -> pa.Array:
    place = np.concatenate([deal.rows for deal in deals])
    names = pa.concat_arrays([pa.array(deal.ops).take(pa.array(deal.op)) for deal in deals])
    order = np.argsort(place, kind="stable")
    offsets = np.concatenate(([0], np.cumsum(np.bincount(place, minlength=rows))))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), names.take(pa.array(order)))
