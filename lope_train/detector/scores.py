"""Which rows of a version are likely wrong: measured, ranked, and judged by the edit records where there are any."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lope_train.detector import classes, responses
from lope_train.detector.auroc import F64
from lope_train.detector.folder import ScoreFolder
from lope_train.detector.judge import Group, judge
from lope_train.detector.ranking import Ranking, Score, rank
from lope_train.detector.request import Request
from lope_train.errors import VersionError

RANKING = "score"
"""What lists call the place on the common scale that rows are ranked by."""


class Kind(Protocol):
    """A kind of target and what is measured of it: a module of this room."""

    @property
    def SCORES(self) -> Mapping[str, Score]:  # noqa: N802
        """What the ranking is made of."""

    @property
    def BASELINES(self) -> Mapping[str, str]:  # noqa: N802
        """What it has to beat, and what tables call that."""

    @property
    def LISTED(self) -> tuple[str, ...]:  # noqa: N802
        """Columns that lists have beside the measures, for what is done with them."""

    def measure(
        self, request: Request, folder: ScoreFolder, before: int, advance: Callable[[int], object]
    ) -> list[dict[str, Any]]:
        """The measures of the rows after the first `before`, kept in the folder: `row` (its number), `row_id`, and the
        scores, baselines and what is `LISTED`, None where there is nothing to measure; or `skipped`, why it was not
        measured.
        """

    def reason(self, name: str, row: Mapping[str, Any], usual: float) -> str:
        """In words, what the score of this name says of a row, beside the median of all."""


KINDS: dict[str, Kind] = {"lm": responses, "classification": classes}
"""By the head of the model that judges."""


@dataclass(frozen=True)
class Scored:
    """The rows that were measured, in the version's order, and what comes of them."""

    rows: list[int]
    """Their numbers in the version."""
    ids: list[str]
    values: dict[str, F64]
    """(rows,) by name: the scores, the baselines, with a run the router's; NaN where there is nothing to measure."""
    listed: dict[str, list[Any]]
    """(rows,) by name: what `LISTED` has."""
    labels: dict[str, str]
    """What tables call the ranking and the values."""
    about: dict[str, str]
    """Of each score, a sentence, by what tables call it."""
    ranking: Ranking
    reasons: list[str]
    """Of each row, by the score that was the largest."""
    groups: list[Group]
    left_out: dict[str, int]
    """Rows that were not measured, by reason."""


def score(request: Request, folder: ScoreFolder, advance: Callable[[int], object]) -> Scored:
    """Measure the rows that `folder`, which is open, lacks, and rank all; `advance` is told the number of rows done.

    Raises ModelError or RunError where the model cannot be loaded, VersionError where no row can be measured.
    """
    kind = KINDS[request.head]
    measured = folder.measured()
    if not folder.finished and len(measured) < request.rows:
        advance(len(measured))
        measured = [*measured, *kind.measure(request, folder, len(measured), advance)]
    kept = [row for row in measured if "skipped" not in row]
    left_out: dict[str, int] = {}
    for row in measured:
        if why := row.get("skipped"):
            left_out[why] = left_out.get(why, 0) + 1
    if not kept:
        said = ", ".join(f"{count} {why}" for why, count in left_out.items())
        raise VersionError(f"{request.data.ref}: no row to score: {said}")
    labels = {name: one.label for name, one in kind.SCORES.items()} | dict(kind.BASELINES)
    labels |= {responses.ROUTER: "router's weight"} if request.subject.run else {}
    values = {name: np.array([np.nan if row[name] is None else row[name] for row in kept]) for name in labels}
    ranking = rank({name: values[name] for name in kind.SCORES})
    usual = {name: float(np.nanmedian(values[name])) for name in set(ranking.by)}
    ids = [row["row_id"] for row in kept]
    ops = [request.ops.get(row_id, ()) for row_id in ids]
    return Scored(
        rows=[row["row"] for row in kept],
        ids=ids,
        values=values,
        listed={name: [row[name] for row in kept] for name in kind.LISTED},
        labels={RANKING: "ranking", **labels},
        about={one.label: one.about for one in kind.SCORES.values()},
        ranking=ranking,
        reasons=[kind.reason(name, row, usual[name]) for name, row in zip(ranking.by, kept, strict=True)],
        groups=judge({RANKING: ranking.score, **values}, ops, RANKING, kind.BASELINES),
        left_out=left_out,
    )
