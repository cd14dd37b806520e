"""The poisoning expert as a noise detector: a run's router weights over the tokens of a version, and how they do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lope_train.data.versions import Version, resolve
from lope_train.detector.auroc import F64, areas
from lope_train.detector.lines import LABEL, Line, Lines, make_lines
from lope_train.detector.tables import DETECTORS, Group, Verdict, groups_of, verdicts
from lope_train.detector.token_edits import Mark, level_of, read_marks
from lope_train.detector.weigh import F32, layer_names, weigh
from lope_train.errors import ModelError, RunError, SettingsError, VersionError
from lope_train.evaluation.sets import pick
from lope_train.inference.subjects import open_run
from lope_train.methods import METHODS, having
from lope_train.runs.adapter import read_language_model


@dataclass(frozen=True)
class Request:
    """What is scored, all of it found and checked; made by `ask`."""

    run: Path
    record: dict[str, Any]
    data: Version
    marks: dict[str, list[Mark]]
    choose_on: Version | None
    choose_marks: dict[str, list[Mark]]
    limit: int | None
    model: str | None
    """The run's base where it has moved since training."""

    @property
    def rows(self) -> int:
        """How many rows are read, of both versions."""
        versions = [self.data, *([self.choose_on] if self.choose_on else [])]
        return sum(min(version.rows, self.limit or version.rows) for version in versions)


@dataclass(frozen=True)
class Best:
    """The layer that finds edited text best on the other version, and the AUROC there."""

    layer: str
    auroc: float
    untrained_layer: str
    """The same of the routers before training."""
    untrained_auroc: float
    shared_rows: int
    """Rows of that version that the scored one has too, by id."""


@dataclass(frozen=True)
class Scored:
    """The tokens of all lines, one after the other, by detector; `row` is each one's line."""

    lines: Lines
    row: npt.NDArray[np.int64]
    tokens: dict[str, F64]
    completions: dict[str, F64]
    """(lines,): means over the tokens of the completion."""
    best: Best | None
    layers: int
    groups: list[Group]
    verdicts: list[Verdict]


def ask(
    run: Path, data: str, choose_on: str | None, store: Path | None, limit: int | None, model: str | None
) -> Request:
    """Find run and versions. Nothing is loaded.

    Raises RunError for a run without a poisoning expert or with a classification head, VersionError for a version that
    is not to be found or without edits to choose a layer by, SettingsError where the layer would be chosen on the very
    rows it is judged on.
    """
    if limit is not None and limit < 1:
        raise SettingsError(f"limit is {limit}; it must be at least 1")
    record = read_language_model(run, "score")
    if not METHODS[record["method"]].poisoning:
        needed = having(lambda method: method.poisoning)
        raise RunError(f"{run}: method {record['method']!r} has no poisoning expert; score needs a run of {needed}")
    version = resolve(data, store)
    other = None if choose_on is None else resolve(choose_on, store)
    marks = read_marks(version, store)
    choose_marks: dict[str, list[Mark]] = {}
    if other is not None:
        if other.content_digest == version.content_digest:
            raise SettingsError(
                f"--choose-on {choose_on} holds the rows of --data: a layer chosen on them would be judged by its own "
                "choice; name another version"
            )
        choose_marks = read_marks(other, store)
        if not any(level_of(mark.op) != LABEL for own in choose_marks.values() for mark in own):
            raise VersionError(f"{other.ref}: no edits of text to choose a layer by; name a noisy version")
    return Request(run, record, version, marks, other, choose_marks, limit, model)


def score(request: Request, advance: Callable[[int], object] | None = None) -> Scored:
    """Run the model over both versions; on the accelerator where there is one. `advance` is told of rows done.

    Raises RunError or ModelError where the run or its base cannot be loaded or is an encoder-decoder, VersionError
    where no row is left to score.
    """
    model, tokenizer = open_run(request.run, request.model)
    if model.config.is_encoder_decoder:
        raise ModelError(f"{request.run}: score reads decoders; {type(model.config).__name__} is an encoder-decoder")
    settings = request.record["settings"]

    def lines_of(version: Version, marks: dict[str, list[Mark]]) -> Lines:
        table = version.dataset()
        picked = pick(table["lope_row_id"][:], request.limit)
        rows = table.select(picked).to_list() if request.limit else table.to_list()
        limits = settings.get("max_length", 512), settings.get("truncate", False)
        made = make_lines(rows, version.layout, marks, tokenizer, *limits)
        if not made.lines:
            raise VersionError(
                f"{version.ref}: no row to score: {', '.join(f'{n} {why}' for why, n in asdict(made.skipped).items())}"
            )
        if advance is not None:
            advance(len(rows) - len(made.lines))
        return made

    lines = lines_of(request.data, request.marks)
    names = layer_names(model)
    best = None
    if request.choose_on is not None:
        other = lines_of(request.choose_on, request.choose_marks)
        best = _choose(model, other.lines, names, {line.row_id for line in lines.lines}, request.choose_on, advance)
    return score_lines(model, lines, names, best, advance)


def score_lines(
    model: Any,
    lines: Lines,
    names: list[str],
    best: Best | None = None,
    advance: Callable[[int], object] | None = None,
) -> Scored:
    """Measure every line, and judge the weights by the edits that overlap the tokens; `names` are all layers."""
    ids = [line.ids for line in lines.lines]
    rows: list[dict[str, F64]] = [{} for _ in ids]
    for weighed in weigh(model, ids, True, advance):
        found = {"weight_mean": weighed.weights.mean(0)}
        if best is not None:
            found["weight_best"] = weighed.weights[names.index(best.layer)]
            found["untrained_best"] = weighed.untrained[names.index(best.untrained_layer)]
        assert weighed.surprisal is not None
        sizes = [token.subwords for token in lines.lines[weighed.row].tokens]
        found["surprisal"] = weighed.surprisal
        found["subwords"] = np.array([np.nan if size is None else size for size in sizes], np.float32)
        found["untrained_mean"] = weighed.untrained.mean(0)
        rows[weighed.row] = {name: values.astype(np.float64) for name, values in found.items()}
    detectors = [name for name in DETECTORS if name in rows[0]]
    tokens = {name: np.concatenate([row[name] for row in rows]) for name in detectors}
    completions = {
        name: np.array(
            [_mean(row[name][line.prompt :]) for row, line in zip(rows, lines.lines, strict=True)], np.float64
        )
        for name in detectors
    }
    row = np.repeat(np.arange(len(ids)), [len(own) for own in ids])
    groups = token_groups(lines.lines, tokens, row) + row_groups(lines.lines, completions)
    return Scored(lines, row, tokens, completions, best, len(names), groups, verdicts(groups))


def token_groups(lines: list[Line], tokens: dict[str, F64], row: npt.NDArray[np.int64]) -> list[Group]:
    """Edits of text, by token: of all tokens that text noise can come to, those it came to against the others."""
    every = [token for line in lines for token in line.tokens]
    exposed = np.array([token.exposed for token in every])
    ops = [token.ops for token in every if token.exposed]
    return groups_of("tokens", {name: values[exposed] for name, values in tokens.items()}, ops, row[exposed])


def row_groups(lines: list[Line], completions: dict[str, F64]) -> list[Group]:
    """Edits of targets, by row: rows with a wrong target against all others, by the mean over the completion."""
    return groups_of("rows", completions, [line.label_ops for line in lines], np.arange(len(lines)))


def _choose(
    model: Any,
    lines: list[Line],
    names: list[str],
    scored: set[str],
    version: Version,
    advance: Callable[[int], object] | None,
) -> Best:
    parts: list[F32] = []
    edited: list[bool] = []
    for weighed in weigh(model, [line.ids for line in lines], False, advance):
        tokens = lines[weighed.row].tokens
        exposed = [token.exposed for token in tokens]
        parts.append(np.stack([weighed.weights, weighed.untrained])[:, :, exposed])
        edited += [bool(token.ops) for token in tokens if token.exposed]
    positive = np.array(edited)
    if positive.all() or not positive.any():
        raise VersionError(f"{version.ref}: none or all of its tokens are edited, so no layer can be chosen by it")
    one_cluster = np.zeros(len(positive), np.int64)
    chosen: list[tuple[str, float]] = []
    for weights in np.concatenate(parts, axis=2).astype(np.float64):
        layers = dict(zip(names, weights, strict=True))
        found = areas(layers, positive[None], ~positive, one_cluster, resamples=0)
        best = max(names, key=lambda name: found[name].value[0])
        chosen.append((best, float(found[best].value[0])))
    shared = sum(line.row_id in scored for line in lines)
    return Best(*chosen[0], *chosen[1], shared)


def _mean(values: F64) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
