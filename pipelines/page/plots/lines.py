"""Figures of accuracy over a sweep, beside what the paper has there, and over noise in the questions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from markupsafe import Markup

from lope_train.tuner import InferenceMode
from pipelines.page.plots.svg import INK, Draughtsman, Drawing, Look, Panel, look, shown
from pipelines.results.findings import Accuracy, Findings, first_mode
from pipelines.results.labels import (
    arm_label,
    arm_of,
    condition_label,
    condition_of,
    is_first,
    ordered_tasks,
    task_label,
)
from pipelines.study.outcome import BASE, Outcome
from pipelines.study.recipe import Plot

_INTERVALS = (
    "Points are means over seeds, a little apart sideways so that none hides another; upright lines are 95 % "
    "intervals; dotted is chance."
)
_APART = 0.011
"""Of the width, between points of neighbouring lines at the same x."""


class Point(NamedTuple):
    """In per cent; `low` and `high` are `y` where there is no interval."""

    x: float
    y: float
    low: float
    high: float


_Lines = dict[str, list[Point]]
"""By label, each in the order of x."""


class _Sweep(NamedTuple):
    """A sweep of a study: where on it something is, and on which line."""

    outcome: Outcome
    plot: Plot

    def x(self, arm: str, condition: str, mode: str, first: bool) -> float | None:
        """None where it has no place; `first` is of modes."""
        if self.plot.over == "experts":
            return self._compensating(arm, mode)
        study = self.outcome.study
        place = condition_of(study, condition) if self.plot.over == "condition" else arm_of(study, arm)
        return place.x if place and first else None

    def label(self, arm: str, condition: str) -> str:
        """What stays the same along a line."""
        study = self.outcome.study
        if self.plot.over == "condition":
            return arm_label(study, arm)
        if self.plot.over == "arm":
            return condition_label(study, condition)
        more = f", {condition_label(study, condition)}" if len(study.conditions) > 1 else ""
        return arm_label(study, arm) + more

    def ours(self, found: Iterable[Accuracy]) -> _Lines:
        placed = []
        for one in found:
            key = one.key
            x = self.x(key.arm, key.condition, key.mode, is_first(self.outcome.study, key))
            if x is not None:
                placed.append((self.label(key.arm, key.condition), _point(x, one)))
        return _lines(placed)

    def papers(self, model: str, task: str) -> _Lines:
        placed = []
        for figure in self.outcome.study.paper:
            first = first_mode(self.outcome.study, figure.arm)
            x = self.x(figure.arm, figure.condition, figure.mode or "", figure.mode in (None, first))
            if figure.model == model and x is not None and task in figure.values:
                value = figure.values[task]
                placed.append((self.label(figure.arm, figure.condition), Point(x, value, value, value)))
        return _lines(placed)

    def _compensating(self, arm: str, mode: str) -> float | None:
        """How many experts are amplified in a mode; None where the poisoning expert is left in, or there is none."""
        asked = InferenceMode.named(mode)
        if asked is None or not asked.inference.masked:
            return None
        if not asked.inference.compensated:
            return 0.0
        return self._all_experts(arm) if asked.experts is None else float(asked.experts)

    def _all_experts(self, arm: str) -> float | None:
        """The normal experts of an arm, which are all amplified where no K is named."""
        for run in self.outcome.runs:
            settings = run.record.get("settings", {})
            if run.arm == arm and settings.get("compensation_experts") is None and "num_poisoning" in settings:
                return float(settings["num_experts"] - settings["num_poisoning"])
        return None


def draw_sweep(pen: Draughtsman, outcome: Outcome, findings: Findings, plot: Plot) -> Drawing:
    """A panel of each task, and the paper's beside it where it has such a line: other axis, same number of points."""
    sweep = _Sweep(outcome, plot)
    study = outcome.study
    clean = [one for one in findings.accuracies.values() if one.key.noise == 0 and one.key.arm != BASE]
    papers = list(dict.fromkeys(figure.model for figure in study.paper))
    asked = [*(one.key.task for one in clean), *(task for figure in study.paper for task in figure.values)]
    looks = _arm_looks(outcome)
    panels: list[Panel] = []
    used: set[str] = set()
    for task in ordered_tasks(study, asked):
        name = task_label(study, task)
        sets: list[tuple[str, _Lines, float | None, bool]] = []
        for model in outcome.models:
            found = [one for one in clean if (one.key.model, one.key.task) == (model, task)]
            title = f"{name}, {model}" if len(outcome.models) > 1 else name
            sets.append((title, sweep.ours(found), found[0].chance if found else None, False))
        sets += [(f"{name}, the paper’s {paper}", sweep.papers(paper, task), None, True) for paper in papers]
        drawn = [one for one in sets if any(len(points) > 1 for points in one[1].values())]
        span = max((_ends(lines)[1] - _ends(lines)[0] for _, lines, _, _ in drawn), default=0)
        for title, lines, chance, paper in drawn:
            used |= lines.keys()
            panels.append(_panel(pen, title, lines, plot.axis, looks, span, chance, paper))
    note = " Shaded are the paper’s figures, whose own axis spans as many points of accuracy as ours beside it."
    caption = _INTERVALS + (note if any(panel.paper for panel in panels) else "")
    missing = [] if panels else ["There is nothing to draw: fewer than two points of this sweep have answers."]
    return Drawing(plot.title, caption, panels, _legend(pen, looks, used), missing)


def draw_robustness(pen: Draughtsman, outcome: Outcome, findings: Findings, plot: Plot) -> Drawing:
    """A panel of each model, task and condition; every arm in its first mode."""
    study = outcome.study
    looks = _arm_looks(outcome)
    panels: list[Panel] = []
    used: set[str] = set()
    kept = [one for one in findings.accuracies.values() if is_first(study, one.key)]
    for model in outcome.models:
        for task in ordered_tasks(study, (one.key.task for one in kept)):
            for condition in study.conditions:
                here = [
                    one
                    for one in kept
                    if (one.key.model, one.key.task) == (model, task) and one.key.condition in (condition.id, BASE)
                ]
                lines = _lines((arm_label(study, one.key.arm), _point(100 * one.key.noise, one)) for one in here)
                if not any(len(points) > 1 for points in lines.values()):
                    continue
                used |= lines.keys()
                parts = [task_label(study, task), condition.label if len(study.conditions) > 1 else ""]
                title = ", ".join(filter(None, [*parts, model if len(outcome.models) > 1 else ""]))
                low, high = _ends(lines)
                axis = plot.axis or "noisy questions, %"
                panels.append(_panel(pen, title, lines, axis, looks, high - low, here[0].chance))
    missing = [] if panels else ["There is nothing to draw: no run has answered noisy questions."]
    caption = f"The same questions, clean at 0. {_INTERVALS}"
    return Drawing(plot.title, caption, panels, _legend(pen, looks, used), missing)


def _arm_looks(outcome: Outcome) -> dict[str, Look]:
    """Each arm has one look in all figures; other lines take the ones that follow."""
    arms = [BASE, *(arm.id for arm in outcome.study.arms)]
    return {arm_label(outcome.study, arm): look(place) for place, arm in enumerate(arms)}


def _legend(pen: Draughtsman, looks: dict[str, Look], used: set[str]) -> list[tuple[Markup, str]]:
    return [(pen.swatch(style), label) for label, style in looks.items() if label in used]


def _point(x: float, one: Accuracy) -> Point:
    low, high = one.interval
    return Point(x, 100 * one.mean, 100 * low, 100 * high)


def _lines(placed: Iterable[tuple[str, Point]]) -> _Lines:
    """The first point at each x stands: K = all is asked for by name and without."""
    lines: dict[str, dict[float, Point]] = {}
    for label, point in placed:
        lines.setdefault(label, {}).setdefault(point.x, point)
    return {label: sorted(points.values()) for label, points in lines.items()}


def _ends(lines: _Lines) -> tuple[float, float]:
    every = [point for points in lines.values() for point in points]
    return min(point.low for point in every), max(point.high for point in every)


def _panel(
    pen: Draughtsman,
    title: str,
    lines: _Lines,
    axis: str,
    looks: dict[str, Look],
    span: float,
    chance: float | None,
    paper: bool = False,
) -> Panel:
    """A panel whose y axis spans `span` points. `looks` grows by what it has not."""
    low, high = _ends(lines)
    middle, half = (low + high) / 2, 0.55 * span + 0.5
    with pen.drawing(2.5) as (figure, made):
        axes = figure.add_subplot()
        every = [point.x for points in lines.values() for point in points]
        apart = _APART * (max(every) - min(every))
        for place, (label, points) in enumerate(lines.items()):
            style = looks.setdefault(label, look(len(looks)))
            xs = [point.x + apart * (place - (len(lines) - 1) / 2) for point in points]
            _, ys, lows, highs = zip(*points, strict=True)
            axes.vlines(xs, lows, highs, color=style.colour, linewidth=0.9, alpha=0.55)
            axes.plot(xs, ys, style.marker, color=style.colour, linestyle=style.dashes, linewidth=1.3, markersize=4.2)
        axes.set(xlabel=shown(axis, 60), ylabel="accuracy, %", ylim=(middle - half, middle + half))
        axes.set_xticks(_ticks(lines.values()))
        axes.margins(x=0.06)
        if chance is not None:
            axes.axhline(100 * chance, color=INK, linewidth=0.8, linestyle=":")
    said = (f"{label}: {', '.join(f'{p.y:.1f} % at {p.x:g}' for p in points)}" for label, points in lines.items())
    return Panel(shown(title, 100), made[0], shown(f"{title}. {'; '.join(said)}", 2000), paper=paper)


def _ticks(lines: Iterable[Sequence[Point]]) -> list[float]:
    """Where the points are, but for those too near the one before to be labelled."""
    xs = sorted({point.x for points in lines for point in points})
    kept: list[float] = []
    for x in xs:
        if not kept or x - kept[-1] > 0.06 * (xs[-1] - xs[0]):
            kept.append(x)
    return kept
