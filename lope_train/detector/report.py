"""report.html: the tables, and rows with their tokens coloured by the weight of the poisoning expert.

The weight is the best layer's where one was chosen, else the mean over layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from lope_common.page import environment
from lope_train.detector.auroc import F64
from lope_train.detector.lines import Line
from lope_train.detector.scores import Scored
from lope_train.detector.tables import DETECTORS, WEIGHTS

_SUSPICIOUS = 30
_CLEAN = 10
_STEPS = (0.5, 0.75, 0.9, 0.97, 0.99)
"""Quantiles of the tokens in fields, at which the colour deepens."""


@dataclass(frozen=True)
class Piece:
    """Text of one colour, 0 (palest) to 5; `title` says what its weight and its edits are."""

    text: str
    shade: int
    edited: bool
    title: str


def report(scored: Scored, record: dict[str, Any]) -> str:
    """One page that needs no network and runs no script; all text is escaped."""
    shown = "weight_best" if scored.best is not None else "weight_mean"
    weights = np.split(scored.tokens[shown], np.flatnonzero(np.diff(scored.row)) + 1)
    lines = scored.lines.lines
    inside = np.concatenate(
        [own[[token.path is not None for token in line.tokens]] for own, line in zip(weights, lines, strict=True)]
    )
    edges = np.quantile(inside, _STEPS)
    suspicious, clean = _shown(lines, weights)
    present = [name for name in DETECTORS if name in scored.tokens]
    return (
        environment(Path(__file__).parent)
        .get_template("report.html.jinja")
        .render(
            record=record,
            groups=scored.groups,
            verdicts=scored.verdicts,
            best=scored.best,
            detectors={name: DETECTORS[name] for name in present},
            shown=WEIGHTS[shown],
            edges=[float(edge) for edge in edges],
            steps=_STEPS,
            parts=[
                (f"The {len(suspicious)} rows with the highest weight on a token of their text", suspicious),
                (f"{len(clean)} rows without an edit, drawn at random", clean),
            ],
            fields=lambda number: _fields(lines[number], weights[number], edges),
            line=lambda number: lines[number],
        )
    )


def _shown(lines: list[Line], weights: list[F64]) -> tuple[list[int], list[int]]:
    """Indices of the rows with the highest weight on a token of a field, and of some without edits."""
    tops = [
        max((w for w, token in zip(own, line.tokens, strict=True) if token.exposed), default=0.0)
        for own, line in zip(weights, lines, strict=True)
    ]
    suspicious = sorted(range(len(lines)), key=lambda number: -tops[number])[:_SUSPICIOUS]
    clean = [n for n, line in enumerate(lines) if not line.text_ops and not line.label_ops and n not in suspicious]
    clean.sort(key=lambda number: xxhash.xxh3_64_intdigest(lines[number].row_id.encode()))
    return suspicious, clean[:_CLEAN]


def _fields(line: Line, weights: F64, edges: F64) -> list[tuple[str, list[Piece]]]:
    """The row's fields in order, each in pieces."""
    found: dict[str, list[Piece]] = {}
    reached: dict[str, int] = {}
    for token, weight in zip(line.tokens, weights, strict=True):
        if token.path is None or token.end is None:
            continue
        pieces = found.setdefault(token.path, [])
        shade = int(np.searchsorted(edges, weight, "right"))
        if token.end <= reached.get(token.path, 0):  # one more token of the same character
            last = pieces[-1]
            pieces[-1] = Piece(last.text, max(last.shade, shade), last.edited, last.title)
            continue
        reached[token.path] = token.end
        title = f"{weight:.3f}{''.join(f', {op}' for op in token.ops)}"
        pieces.append(Piece(token.text, shade, bool(token.ops), title))
    return list(found.items())
