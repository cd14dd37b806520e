"""How well scores of rows find the rows with noise, beside baselines: AUROC by op and by level of the edit records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lope_train.data.edits import level_of
from lope_train.detector.auroc import F64, Areas, Mask, areas

LEAST = 10
"""Fewer rows than these, with noise or without, give no figure."""
WEAK = 0.8
"""An AUROC below this is called weak: of the worst-scored rows too many are right."""


@dataclass(frozen=True)
class Figure:
    """A value with its 95 % interval, by a bootstrap over rows."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Group:
    """The rows that one op touched, or the ops of one level (`op` None), or any (`level` None too)."""

    level: str | None
    op: str | None
    positives: int
    negatives: int
    """Rows that no op touched, the same for every group."""
    figures: dict[str, Figure]
    """AUROC by score; empty where there are too few rows."""
    differences: dict[str, Figure]
    """That of the ranking minus that of each baseline, paired."""

    @property
    def name(self) -> str:
        return self.op or self.level or "all"

    @property
    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"name": self.name, **asdict(self), "too_few": not self.figures}


def judge(
    scores: Mapping[str, F64], ops: Sequence[Sequence[str]], ranking: str, baselines: Iterable[str]
) -> list[Group]:
    """Groups by level and op, and of all levels; none where no row was touched.

    `scores` are (rows,) by name, higher for a row that is more likely wrong; NaN, where there is nothing to score by,
    counts as less than any other. `ops` says which touched each row, `ranking` which of the scores is compared with
    the `baselines`.
    """
    known = sorted({op for own in ops for op in own})
    levels = list(dict.fromkeys(map(level_of, known)))
    keys: list[tuple[str | None, str | None]] = [(None, None)] if len(levels) > 1 else []
    for level in levels:
        keys += [(level, None), *((level, op) for op in known if level_of(op) == level)]
    if not keys:
        return []
    masks: Mask = np.array([[_belongs(own, *key) for own in ops] for key in keys])
    negative: Mask = np.array([not own for own in ops])
    found = areas({name: _finite(values) for name, values in scores.items()}, masks, negative, np.arange(len(ops)))
    enough = [bool(min(mask.sum(), negative.sum()) >= LEAST) for mask in masks]
    return [
        Group(
            *key,
            int(mask.sum()),
            int(negative.sum()),
            {name: _figure(area, number) for name, area in found.items()} if figures else {},
            {name: _figure(found[ranking] - found[name], number) for name in baselines} if figures else {},
        )
        for number, (key, mask, figures) in enumerate(zip(keys, masks, enough, strict=True))
    ]


def sentences(groups: Sequence[Group], ranking: str, names: Mapping[str, str]) -> list[str]:
    """What the ranking is worth on each op, and which baselines it beats, by paired intervals clear of zero."""
    said: list[str] = []
    for group in groups:
        if group.op is None or not group.figures:
            continue
        figure = group.figures[ranking]
        worth = "no better than chance" if figure.low <= 0.5 else "weak" if figure.value < WEAK else "good"
        parts = [f"{group.op}: {worth}, AUROC {figure.value:.2f} [{figure.low:.2f}, {figure.high:.2f}]"]
        for verb, chosen in (
            ("beats", [name for name, one in group.differences.items() if one.low > 0]),
            ("loses to", [name for name, one in group.differences.items() if one.high < 0]),
        ):
            if chosen:
                listed = (f"{names[name]} ({group.figures[name].value:.2f})" for name in chosen)
                parts.append(f"{verb} {', '.join(listed)}")
        said.append(", ".join(parts))
    return said


def _finite(values: F64) -> F64:
    known = values[np.isfinite(values)]
    return np.where(np.isfinite(values), values, known.min() - 1 if len(known) else 0.0)


def _belongs(own: Sequence[str], level: str | None, op: str | None) -> bool:
    return op in own if op else any(level in (None, level_of(one)) for one in own)


def _figure(area: Areas, number: int) -> Figure:
    return Figure(float(area.value[number]), *area.interval(number))
