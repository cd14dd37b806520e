"""How well the poisoning expert's weight finds the noise, beside baselines: by op and by level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lope_train.detector.auroc import F64, Areas, Mask, areas
from lope_train.detector.token_edits import level_of

WEIGHTS = {"weight_mean": "mean weight", "weight_best": "best layer's weight"}
"""Detectors under test, and what tables call them."""
_UNTRAINED = {"weight_mean": "untrained_mean", "weight_best": "untrained_best"}
"""What each is before training. The best layer of that is chosen in the same way: choosing alone must win nothing."""
BASELINES = {
    "surprisal": "surprisal",
    "subwords": "sub-words",
    "untrained_mean": "untrained router's mean",
    "untrained_best": "untrained router's best layer",
}
"""Detectors to beat."""
DETECTORS = WEIGHTS | BASELINES

LEAST_ITEMS = 10
"""Fewer positives than these give no figure."""
LEAST_ROWS = 5
"""Positives from fewer rows neither: a bootstrap over rows has nothing to draw from."""

Unit = Literal["tokens", "rows"]


@dataclass(frozen=True)
class Figure:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Group:
    """The positives of one op, of one level (`op` None), or of all (`level` None too)."""

    unit: Unit
    level: str | None
    op: str | None
    positives: int
    negatives: int
    rows: int
    """From how many rows the positives are."""
    detectors: dict[str, Figure]
    """AUROC; empty where there are too few."""
    differences: dict[str, dict[str, Figure]]
    """AUROC of a weight minus that of a baseline, paired."""

    @property
    def name(self) -> str:
        return self.op or self.level or "all"


@dataclass(frozen=True)
class Verdict:
    """What one weight comes to on one level; names of baselines."""

    unit: Unit
    level: str
    detector: str
    beats: list[str]
    undecided: list[str]
    loses_to: list[str]
    sentence: str


def groups_of(
    unit: Unit, scores: Mapping[str, F64], ops: Sequence[Sequence[str]], row: npt.NDArray[np.int64]
) -> list[Group]:
    """Groups by level and op of `ops`, which are those of each item, and of all levels; items without are negative.

    `scores` are (items,) by detector, `row` (items,) says what row an item is of. An item with a score that is no
    number is left out of all.
    """
    usable: Mask = np.logical_and.reduce([np.isfinite(values) for values in scores.values()])
    scores = {name: values[usable] for name, values in scores.items()}
    ops = [ops[item] for item in np.flatnonzero(usable).tolist()]
    _, row = np.unique(row[usable], return_inverse=True)
    known = sorted({op for own in ops for op in own})
    levels = list(dict.fromkeys(map(level_of, known)))
    keys: list[tuple[str | None, str | None]] = [(None, None)] if len(levels) > 1 else []
    for level in levels:
        keys += [(level, None), *((level, op) for op in known if level_of(op) == level)]
    if not keys:
        return []
    masks = np.array([[_belongs(own, *key) for own in ops] for key in keys])
    negative = np.array([not own for own in ops])
    found = areas(scores, masks, negative, row)
    return [
        _group(unit, *key, mask, negative, row, number, found)
        for number, (key, mask) in enumerate(zip(keys, masks, strict=True))
    ]


def verdicts(groups: Sequence[Group]) -> list[Verdict]:
    """For each level with figures, and each weight: which baselines it beats, by paired intervals clear of zero."""
    found: list[Verdict] = []
    for group in groups:
        if group.level is None or group.op is not None:
            continue
        for detector, against in group.differences.items():
            beats = [name for name, difference in against.items() if difference.low > 0]
            loses = [name for name, difference in against.items() if difference.high < 0]
            open_ = [name for name in against if name not in beats and name not in loses]
            sentence = _sentence(group, detector, beats, open_, loses)
            found.append(Verdict(group.unit, group.level, detector, beats, open_, loses, sentence))
    return found


def _sentence(group: Group, detector: str, beats: list[str], undecided: list[str], loses: list[str]) -> str:
    def told(verb: str, names: list[str]) -> str:
        by = group.differences[detector]
        listed = [f"{BASELINES[name]} ({group.detectors[name].value:.2f}, {by[name].value:+.3f})" for name in names]
        return f"{verb} {' and '.join([', '.join(listed[:-1]), listed[-1]] if len(listed) > 1 else listed)}"

    figure = group.detectors[detector]
    parts = [
        told(verb, names)
        for verb, names in (
            ("beats", beats),
            ("is not told apart from", undecided),
            ("loses to", loses),
        )
        if names
    ]
    head = f"{group.level}, by {group.unit[:-1]}: {WEIGHTS[detector]}, "
    chance = ""
    if figure.high < 0.5:
        chance = "; it is lower where there is noise"
    elif figure.low <= 0.5:
        chance = "; it is not told apart from chance"
    return f"{head}AUROC {figure.value:.2f} [{figure.low:.2f}, {figure.high:.2f}], {', '.join(parts)}{chance}."


def _belongs(own: Sequence[str], level: str | None, op: str | None) -> bool:
    return op in own if op else any(level in (None, level_of(one)) for one in own)


def _group(
    unit: Unit,
    level: str | None,
    op: str | None,
    mask: Mask,
    negative: Mask,
    row: npt.NDArray[np.int64],
    number: int,
    found: Mapping[str, Areas],
) -> Group:
    positives, negatives, rows = int(mask.sum()), int(negative.sum()), len(np.unique(row[mask]))
    if positives < LEAST_ITEMS or rows < LEAST_ROWS or negatives < LEAST_ITEMS:
        return Group(unit, level, op, positives, negatives, rows, {}, {})

    def figure(area: Areas) -> Figure:
        return Figure(float(area.value[number]), *area.interval(number))

    return Group(
        unit,
        level,
        op,
        positives,
        negatives,
        rows,
        {name: figure(area) for name, area in found.items()},
        {
            weight: {name: figure(found[weight] - found[name]) for name in ("surprisal", "subwords", before)}
            for weight, before in _UNTRAINED.items()
            if weight in found
        },
    )


def as_dict(group: Group) -> dict[str, Any]:
    """For JSON; `detectors` and `differences` are empty where `too_few`."""

    def plain(figure: Figure) -> dict[str, float]:
        return {"value": figure.value, "low": figure.low, "high": figure.high}

    return {
        "unit": group.unit,
        "level": group.level,
        "op": group.op,
        "positives": group.positives,
        "negatives": group.negatives,
        "rows": group.rows,
        "too_few": not group.detectors,
        "detectors": {name: plain(figure) for name, figure in group.detectors.items()},
        "differences": {
            weight: {name: plain(figure) for name, figure in against.items()}
            for weight, against in group.differences.items()
        },
    }
