"""What `score` writes: the ranked list as csv, parquet or jsonl, the record, and the page."""

from __future__ import annotations

import io
from typing import Any, Literal

import numpy as np
import polars as pl

from lope_train.detector.auroc import RESAMPLES, SEED
from lope_train.detector.folder import REPORT, ScoreFolder
from lope_train.detector.judge import WEAK, sentences
from lope_train.detector.report import report
from lope_train.detector.request import Request
from lope_train.detector.scores import RANKING, Scored
from lope_train.errors import SettingsError

ListFormat = Literal["csv", "parquet", "jsonl"]


def write(folder: ScoreFolder, request: Request, scored: Scored, to: ListFormat, top: int | None) -> dict[str, Any]:
    """Write everything into the folder, which is open; returns the record. `top` is the number of rows to list."""
    listed = ranked(scored, top)
    record = summary(request, scored) | {"list": f"rows.{to}", "listed": len(listed)}
    folder.finish(
        record,
        {record["list"]: _written(listed, to), REPORT: report(request, scored, record).encode()},
    )
    return record


def check_top(top: int | None) -> None:
    """Raise SettingsError for a number of rows that cannot be listed."""
    if top is not None and top < 1:
        raise SettingsError(f"top is {top}; it must be at least 1")


def ranked(scored: Scored, top: int | None = None) -> pl.DataFrame:
    """The rows, the worst first: `rank` from 1, `row_id`, the score, why, and all measures."""
    order = scored.ranking.order[:top]
    columns: dict[str, Any] = {
        "rank": np.arange(1, len(order) + 1),
        "row_id": [scored.ids[row] for row in order],
        RANKING: scored.ranking.score[order],
        "reason": [scored.reasons[row] for row in order],
        **{name: [own[row] for row in order] for name, own in scored.listed.items()},
        **{
            name: [None if np.isnan(values[row]) else values[row] for row in order]
            for name, values in scored.values.items()
        },
    }
    return pl.DataFrame(columns)


def summary(request: Request, scored: Scored) -> dict[str, Any]:
    """scores.json; AUROCs are in 0..1, `low` and `high` their 95 % intervals."""
    return {
        "data": request.data.ref,
        "model": request.subject.model,
        "head": request.head,
        "run": None if request.subject.run is None else request.subject.run.name,
        "rows": len(scored.ids),
        "left_out": scored.left_out,
        "weak_below": WEAK,
        "bootstrap": {"unit": "rows", "resamples": RESAMPLES, "seed": SEED},
        "groups": [group.as_dict for group in scored.groups],
        "verdicts": sentences(scored.groups, RANKING, scored.labels),
    }


def _written(listed: pl.DataFrame, to: ListFormat) -> bytes:
    buffer = io.BytesIO()
    if to == "csv":
        listed.write_csv(buffer)
    elif to == "parquet":
        listed.write_parquet(buffer)
    else:
        listed.write_ndjson(buffer)
    return buffer.getvalue()
