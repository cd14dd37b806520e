"""Which rows of a version are likely wrong: asked for, measured, ranked, and judged where there are edit records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lope_common.files import sha256_of
from lope_train.data.versions import Version, resolve
from lope_train.detector import responses
from lope_train.detector.auroc import F64
from lope_train.detector.folder import ScoreFolder
from lope_train.detector.judge import Group, judge
from lope_train.detector.ranking import Ranking, Score, rank
from lope_train.detector.router import poison_shares
from lope_train.detector.token_edits import read_marks
from lope_train.errors import ModelError, RunError, SettingsError, VersionError
from lope_train.evaluation.sets import pick
from lope_train.inference.subjects import Subject, find_subjects
from lope_train.methods import METHODS, having
from lope_train.models.load import context_length, fingerprint, load_config
from lope_train.runs.adapter import WEIGHTS, read_language_model

RANKING = "score"
"""What lists call the place on the common scale that rows are ranked by."""
ROUTER = "router"
MAX_LENGTH = 1024
_FORMAT = 2


@dataclass(frozen=True)
class Request:
    """What is scored, all of it found and checked; made by `ask`."""

    data: Version
    subject: Subject
    limit: int | None
    max_length: int
    ops: Mapping[str, Sequence[str]]
    """By row id, those that touched the row, in order."""

    @property
    def rows(self) -> int:
        """How many rows are read."""
        return min(self.data.rows, self.limit or self.data.rows)

    @property
    def plain(self) -> dict[str, Any]:
        """What decides the measures."""
        subject = self.subject
        return {
            "format": _FORMAT,
            "data": {"ref": self.data.ref, "content_digest": self.data.content_digest},
            "model": fingerprint(subject.model, load_config(subject.model)),
            "dtype": subject.dtype,
            "quantization": subject.quantization,
            "run": None if subject.run is None else f"sha256:{sha256_of(subject.run / WEIGHTS)}",
            "limit": self.limit,
            "max_length": self.max_length,
        }


@dataclass(frozen=True)
class Scored:
    """The rows that were measured, in the version's order, and what comes of them."""

    rows: list[int]
    """Their numbers in the version."""
    ids: list[str]
    values: dict[str, F64]
    """(rows,) by name: the scores, the baselines, and with a run the router's."""
    scores: Mapping[str, Score]
    labels: dict[str, str]
    """What tables call the values."""
    ranking: Ranking
    groups: list[Group]
    left_out: dict[str, int]
    """Rows that were not measured, by reason."""


def ask(
    data: str,
    model: str | None,
    run: Path | None,
    store: Path | None = None,
    limit: int | None = None,
    max_length: int = MAX_LENGTH,
    dtype: str | None = None,
) -> Request:
    """Find version, model and run. Nothing is loaded.

    Raises SettingsError where neither a model nor a run is named or a number is out of range, ModelError where the
    model is not to be found, RunError for a run without a poisoning expert or with a classification head, VersionError
    for a version that is not to be found.
    """
    for name, value in (("limit", limit), ("max_length", max_length)):
        if value is not None and value < 1:
            raise SettingsError(f"{name} is {value}; it must be at least 1")
    if model is None and run is None:
        raise SettingsError("name the model that judges the rows with --model, or a run of it with --run")
    if run is not None:
        read_language_model(run, "score")
    (subject,) = find_subjects([] if run is None else [run], run is None, model, dtype=dtype)
    if run is not None and not METHODS[subject.method].poisoning:
        needed = having(lambda method: method.poisoning)
        raise RunError(f"{run}: method {subject.method!r} has no poisoning expert; --run takes a run of {needed}")
    version = resolve(data, store)
    marks = read_marks(version, store)
    ops = {row: tuple(dict.fromkeys(mark.op for mark in own)) for row, own in marks.items()}
    return Request(version, subject, limit, max_length, ops)


def score(request: Request, folder: ScoreFolder, advance: Callable[[int], object]) -> Scored:
    """Measure the rows that `folder`, which is open, lacks, and rank all; `advance` is told the number of rows done.

    Raises ModelError or RunError where the model cannot be loaded, VersionError where no row can be measured.
    """
    measured = folder.measured()
    if not folder.finished and len(measured) < request.rows:
        measured = [*measured, *_measure(request, folder, measured, advance)]
    kept = [row for row in measured if "skipped" not in row]
    left_out: dict[str, int] = {}
    for row in measured:
        if why := row.get("skipped"):
            left_out[why] = left_out.get(why, 0) + 1
    if not kept:
        said = ", ".join(f"{count} {why}" for why, count in left_out.items())
        raise VersionError(f"{request.data.ref}: no row to score: {said}")
    names = [*responses.SCORES, *responses.BASELINES, *([ROUTER] if request.subject.run else [])]
    values = {name: np.array([np.nan if row[name] is None else row[name] for row in kept]) for name in names}
    ranking = rank(values, responses.SCORES)
    ids = [row["row_id"] for row in kept]
    ops = [request.ops.get(row_id, ()) for row_id in ids]
    labels = {RANKING: "ranking", **{name: one.label for name, one in responses.SCORES.items()}, **responses.BASELINES}
    if request.subject.run:
        labels[ROUTER] = "router's weight"
    groups = judge({RANKING: ranking.score, **values}, ops, RANKING, responses.BASELINES)
    rows = [row["row"] for row in kept]
    return Scored(rows, ids, values, responses.SCORES, labels, ranking, groups, left_out)


def _measure(
    request: Request, folder: ScoreFolder, before: Sequence[Mapping[str, Any]], advance: Callable[[int], object]
) -> list[dict[str, Any]]:
    """The measures of the rows that are not among those `before`, kept in the folder as they come."""
    model, tokenizer = request.subject.load()
    limit = min(request.max_length, context_length(model) or request.max_length)
    reader = responses.Reader(tokenizer)
    table = request.data.dataset()
    picked = pick(table["lope_row_id"][:], request.limit)[len(before) :]
    advance(len(before))
    made: list[dict[str, Any]] = []
    for begin in range(0, len(picked), responses.ROWS):
        part = picked[begin : begin + responses.ROWS]
        found: list[dict[str, Any]] = []
        asked: list[responses.Response] = []
        for number, view in zip(part, map(request.data.layout.view, table.select(part)), strict=True):
            row: dict[str, Any] = {"row": number, "row_id": view["lope_row_id"]}
            response = reader.read(view)
            if response is None:
                row["skipped"] = "without a prompt or response"
            elif len(response.prompt) + len(response.completion) > limit:
                row["skipped"] = f"longer than {limit} tokens"
            else:
                asked.append(response)
            found.append(row)
        with model.disable_adapter() if request.subject.run else nullcontext():
            values = list(responses.measure(model, asked, reader.neutral))
        _check_finite(request, values)
        if request.subject.run:
            ids = [one.prompt + one.completion for one in asked]
            shares = poison_shares(model, ids, [len(one.prompt) for one in asked])
            values = [{**one, ROUTER: float(share)} for one, share in zip(values, shares, strict=True)]
        for row in found:
            if "skipped" not in row:
                row.update({name: None if np.isnan(value) else value for name, value in values.pop(0).items()})
        folder.add(found)
        made += found
        advance(len(found))
    return made


def _check_finite(request: Request, values: Sequence[Mapping[str, float]]) -> None:
    if any(np.isinf(value) for one in values for value in one.values()) or any(np.isnan(one["end"]) for one in values):
        raise ModelError(f"{request.subject.model} gives log-likelihoods that are no numbers; score in float32")
