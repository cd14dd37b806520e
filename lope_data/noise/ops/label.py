"""Noise on a label: a wrong class, a wrong choice."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from lope_common.errors import shown, suggest
from lope_data.errors import NoiseError
from lope_data.noise.op import Params
from lope_data.noise.registry import label_op
from lope_data.text.buffers import whole
from lope_data.text.draws import I64, Draw

_Proposal = tuple[pa.Array, pa.Array]
_Matrix = Mapping[str, Mapping[str, float]]


class FlipParams(Params):
    """Which class a label becomes."""

    transition: str | _Matrix = Field(
        "uniform",
        description="`uniform`, `pairwise` (the next class in the order of their names), or a table of weights "
        "{class: {class: weight}}",
    )

    @field_validator("transition", mode="plain")
    @classmethod
    def _checked(cls, value: Any) -> Any:
        if isinstance(value, str) and value in ("uniform", "pairwise"):
            return value
        if not isinstance(value, Mapping):
            raise ValueError("must be 'uniform', 'pairwise' or a table {class: {class: weight}}")
        if not any(isinstance(row, Mapping) and row for row in value.values()):
            raise ValueError("the table {class: {class: weight}} is empty")
        return {str(name): _weights(str(name), row) for name, row in value.items()}


def _weights(name: str, row: Any) -> dict[str, float]:
    """A row of the matrix, checked."""
    if not isinstance(row, Mapping):
        raise ValueError(f"{name!r} must have a table {{class: weight}}, not {shown(row)}")
    for other, weight in row.items():
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 <= weight <= 1e300:
            raise ValueError(f"the weight of {name!r} to {other!r} must be a number from 0 on, not {shown(weight)}")
    return {str(other): float(weight) for other, weight in row.items()}


@label_op(
    "label.flip",
    version=1,
    kind="class",
    params=FlipParams,
    needs="a classification row, and another class in the dataset to flip to",
)
def flip(rows: pa.Table, population: pa.Table, draw: Draw, params: FlipParams) -> _Proposal:
    """Replaces the label by another class; by default each is equally likely.

    With transition `pairwise` each class becomes the next in the order of their names as text, the last the first. With
    a table {class: {class: weight}} the new class is drawn in proportion to the weights of its class's row, the
    diagonal left out; a class without a row, or without weight off the diagonal, is not flipped. How many rows are
    flipped is the ratio's business alone: the diagonal has no say in it.
    """
    labels = whole(rows["target"])
    classes = pc.unique(population["target"]).drop_null()
    classes = classes.take(pc.sort_indices(classes))
    matrix = None if isinstance(params.transition, str) else _matrix(params.transition, classes)
    if len(classes) < 2:
        return pa.nulls(len(rows), pa.large_string()), pa.nulls(len(rows), pa.string())
    own = np.asarray(pc.fill_null(pc.index_in(labels, classes), 0)).astype(np.int64)
    if matrix is not None:
        other = _drawn(matrix, own, draw)
    elif params.transition == "pairwise":
        other = (own + 1) % len(classes)
    else:
        other = draw.below(len(classes) - 1, "class")
        other += other >= own
    changed = pc.and_(labels.is_valid(), pa.array(other >= 0))
    return pc.if_else(changed, classes.take(pa.array(np.maximum(other, 0))), None), pa.nulls(len(rows), pa.string())


def _matrix(weights: _Matrix, classes: pa.Array) -> dict[int, tuple[I64, list[float]]]:
    """For each class that can be flipped: the classes that it can become, and their weights added up, in their order.

    Raises:
        NoiseError: the matrix names a class that the dataset does not have.
    """
    number = {name: i for i, name in enumerate(classes.to_pylist())}
    for name in [*weights, *(other for row in weights.values() for other in row)]:
        if name not in number:
            raise NoiseError(
                f"label.flip: its transition names {name!r}, which is no class of the dataset{suggest(name, number)}"
            )
    rows = {}
    for name, row in weights.items():
        others = sorted((number[other], weight) for other, weight in row.items() if weight > 0 and other != name)
        if others:
            index, drawn = zip(*others, strict=True)
            rows[number[name]] = (np.array(index), list(accumulate(drawn)))
    return rows


def _drawn(matrix: dict[int, tuple[I64, list[float]]], own: I64, draw: Draw) -> I64:
    """For each row its new class, -1 where its class cannot be flipped."""
    other = np.full(len(own), -1)
    share = draw.unit("class")
    order = np.argsort(own, kind="stable")
    for name, (index, sums) in matrix.items():
        low, high = np.searchsorted(own[order], (name, name + 1))
        mine = order[low:high]
        place = np.searchsorted(sums, share[mine] * sums[-1], side="right")
        other[mine] = index[np.minimum(place, len(index) - 1)]  # tiny sums round
    return other


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
