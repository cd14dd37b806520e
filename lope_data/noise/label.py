"""Noise on the target of a row: a wrong class, a wrong choice, another row's response."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lope_data.registry import Params, label_op
from lope_data.rng import I64, Draw, row_hashes

_Proposal = tuple[pa.Array, pa.Array]


@label_op("label.flip", version=1, kind="class", needs="a classification row, and two classes in the dataset")
def flip(rows: pa.Table, population: pa.Table, draw: Draw, params: Params) -> _Proposal:  # noqa: ARG001
    """Replaces the label by another class, each equally likely."""
    labels = rows["target"].combine_chunks()
    classes = pc.unique(population["target"]).drop_null()
    classes = classes.take(pc.sort_indices(classes))
    if len(classes) < 2:
        return pa.nulls(len(rows), pa.large_string()), pa.nulls(len(rows), pa.string())
    own = np.asarray(pc.fill_null(pc.index_in(labels, classes), 0)).astype(np.int64)
    other = draw.below(len(classes) - 1, "class")
    other += other >= own
    return pc.if_else(labels.is_valid(), classes.take(pa.array(other)), None), pa.nulls(len(rows), pa.string())


@label_op("label.choice", version=1, kind="choice", needs="a multiple-choice row with a choice unlike the right one")
def choice(rows: pa.Table, population: pa.Table, draw: Draw, params: Params) -> _Proposal:  # noqa: ARG001
    """Makes another choice the answer, one whose text differs from the right one's."""
    answers: list[str | None] = []
    pick = draw.bits("choice")
    for i, (choices, target) in enumerate(zip(rows["choices"].to_pylist(), rows["target"].to_pylist(), strict=True)):
        answer = -1 if target is None else int(target)
        if choices is None or not 0 <= answer < len(choices):
            answers.append(None)
            continue
        wrong = [j for j, text in enumerate(choices) if text is not None and text != choices[answer]]
        answers.append(str(wrong[int(pick[i]) % len(wrong)]) if wrong else None)
    return pa.array(answers, pa.large_string()), pa.nulls(len(rows), pa.string())


@label_op("label.swap_response", version=1, kind="response", needs="a response, and another row with another one")
def swap_response(rows: pa.Table, population: pa.Table, draw: Draw, params: Params) -> _Proposal:  # noqa: ARG001
    """Replaces the response by another row's; which one is a derangement of the whole dataset."""
    responses = population.filter(population["target"].is_valid())
    ids = responses["lope_row_id"].combine_chunks()
    outputs = responses["target"].combine_chunks()
    donor = _derangement(outputs, Draw(draw.context, row_hashes(ids)))
    mine = pc.index_in(rows["lope_row_id"].combine_chunks(), ids)
    place = pa.array(donor).take(mine)
    after, before = outputs.take(place), rows["target"].combine_chunks()
    after = pc.if_else(pc.fill_null(pc.not_equal(after, before), False), after, None)
    return after, pc.if_else(after.is_valid(), ids.take(place).cast(pa.string()), None)


def _derangement(outputs: pa.Array, draw: Draw) -> I64:
    """For each row a donor whose text differs, if there is one.

    Rows are put in a keyed order with equal texts side by side, and each takes the text that stands as many places on
    as the most frequent text has rows: a derangement with one donor a row. Where one text has more than half of the
    rows there is none; what would get its own text back draws among the others.
    """
    codes = outputs.dictionary_encode()
    group = np.asarray(codes.indices).astype(np.int64)
    texts = Draw(draw.context, row_hashes(codes.dictionary)).bits("group")
    order = np.lexsort((draw.bits("order"), texts[group]))
    sizes = np.bincount(group)
    donor = np.empty(len(group), np.int64)
    donor[order] = np.roll(order, -int(sizes.max(initial=0)))
    stuck = np.flatnonzero((group[donor] == group) & (sizes[group] < len(group)))
    block = np.zeros(len(sizes), np.int64)  # where each text begins in the order
    block[group[order][::-1]] = np.arange(len(order))[::-1]
    other = draw.below(len(group) - sizes[group[stuck]], "donor", stuck)
    donor[stuck] = order[(block[group[stuck]] + sizes[group[stuck]] + other) % len(order)]
    return donor
