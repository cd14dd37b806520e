"""report.html: what the ranking is worth, and the worst rows with the reason for each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lope_common.page import environment
from lope_common.shown import brief
from lope_train.data.prompts import spoken
from lope_train.detector.request import Request
from lope_train.detector.scores import RANKING, Scored

_WORST = 50
_MOST = 1200
"""Characters of a text."""


@dataclass(frozen=True)
class Shown:
    """One row on the page."""

    rank: int
    row_id: str
    reason: str
    measures: list[tuple[str, str]]
    ops: tuple[str, ...]
    prompt: str
    response: str


def report(request: Request, scored: Scored, record: dict[str, Any]) -> str:
    """One page that needs no network and runs no script; all text is escaped."""
    order = scored.ranking.order[:_WORST].tolist()
    table = request.data.dataset().select([scored.rows[row] for row in order])
    shown = [
        _shown(request, scored, rank, row, view)
        for rank, (row, view) in enumerate(zip(order, map(request.data.layout.view, table), strict=True), start=1)
    ]
    return (
        environment(Path(__file__).parent)
        .get_template("report.html.jinja")
        .render(record=record, scored=scored, groups=scored.groups, ranking=RANKING, worst=shown)
    )


def _shown(request: Request, scored: Scored, rank: int, row: int, view: dict[str, Any]) -> Shown:
    prompt, response = spoken(view) or ("", "")
    values = {name: values[row] for name, values in scored.values.items()}
    return Shown(
        rank,
        scored.ids[row],
        scored.reasons[row],
        [(scored.labels[name], f"{value:.2f}") for name, value in values.items() if np.isfinite(value)],
        tuple(request.ops.get(scored.ids[row], ())),
        brief(prompt, _MOST),
        brief(response, _MOST),
    )
