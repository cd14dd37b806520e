"""The figures of a study's page; here those of accuracy by arm."""

from __future__ import annotations

import textwrap

from pipelines.page.plots.lines import draw_robustness, draw_sweep
from pipelines.page.plots.runs import draw_maps, draw_movement
from pipelines.page.plots.svg import INK, Draughtsman, Drawing, Panel, look, shown
from pipelines.results.findings import Accuracy, Findings
from pipelines.results.labels import arm_label, condition_label, is_first, ordered_tasks, task_label
from pipelines.study.outcome import BASE, Outcome
from pipelines.study.recipe import Plot

_BAR, _LINE, _GAP = 0.2, 0.14, 0.09
"""Inches of a bar, of each further line of its label, and between bars."""


def figures(outcome: Outcome, findings: Findings) -> list[Drawing]:
    """One for each plot of the study; what cannot be drawn is said."""
    pen = Draughtsman()
    drawings = []
    for plot in outcome.study.plots:
        if plot.kind == "bars":
            drawings.append(_draw_bars(pen, outcome, findings, plot))
        elif plot.kind == "sweep":
            drawings.append(draw_sweep(pen, outcome, findings, plot))
        elif plot.kind == "robustness":
            drawings.append(draw_robustness(pen, outcome, findings, plot))
        elif plot.kind == "movement":
            drawings.append(draw_movement(pen, outcome, plot))
        else:
            drawings.append(draw_maps(pen, outcome, plot))
    for drawing in drawings:
        if not drawing.panels and not drawing.missing:
            drawing.missing.append("There is nothing to draw: no run has answered.")
    return drawings


def _draw_bars(pen: Draughtsman, outcome: Outcome, findings: Findings, plot: Plot) -> Drawing:
    """One panel a model and task, a bar for every arm, condition and mode."""
    caption = "Bars are means over seeds, dots single seeds, lines 95 % intervals; dotted is chance."
    drawing = Drawing(plot.title, caption)
    clean = [one for one in findings.accuracies.values() if one.key.noise == 0]
    for model in dict.fromkeys(one.key.model for one in clean):
        for task in ordered_tasks(outcome.study, (one.key.task for one in clean)):
            bars = [one for one in clean if (one.key.model, one.key.task) == (model, task)]
            if bars:
                drawing.panels.append(_bars(pen, outcome, bars))
    return drawing


def _bars(pen: Draughtsman, outcome: Outcome, bars: list[Accuracy]) -> Panel:
    arms = [BASE, *(arm.id for arm in outcome.study.arms)]
    labels = [_bar_label(outcome, one) for one in bars]
    colours = [look(arms.index(one.key.arm)).colour for one in bars]
    places, depth = [], 0.0
    for label in labels:
        height = max(_BAR, _LINE * (1 + label.count("\n")))
        places.append(-depth - height / 2)
        depth += height + _GAP
    with pen.drawing(depth + 0.55) as (figure, made):
        axes = figure.add_subplot()
        axes.barh(places, [100 * one.mean for one in bars], height=_BAR, color=colours, alpha=0.4)
        low, high = zip(*(one.interval for one in bars), strict=True)
        axes.hlines(places, [100 * share for share in low], [100 * share for share in high], color=INK, linewidth=0.9)
        for place, colour, one in zip(places, colours, bars, strict=True):
            values = [100 * share for share in one.by_seed.values()]
            axes.plot(values, [place] * len(values), "o", color=colour, markersize=3, markeredgewidth=0)
        if bars[0].chance is not None:
            axes.axvline(100 * bars[0].chance, color=INK, linewidth=0.8, linestyle=":")
        axes.set_yticks(places, labels)
        axes.set(xlabel="accuracy, %", xlim=(0, None), ylim=(-depth, _GAP))
        axes.tick_params(axis="y", length=0)
    key = bars[0].key
    title = shown(task_label(outcome.study, key.task), 60)
    if len(outcome.models) > 1:
        title += f", {shown(key.model, 60)}"
    said = (f"{label} {100 * one.mean:.1f} %" for label, one in zip(labels, bars, strict=True))
    return Panel(title, made[0], shown(f"{title}. {'; '.join(said)}", 2000))


def _bar_label(outcome: Outcome, one: Accuracy) -> str:
    """The arm, and what tells its bars apart."""
    key, study = one.key, outcome.study
    parts = [arm_label(study, key.arm)]
    if key.arm != BASE and len(study.conditions) > 1:
        parts.append(condition_label(study, key.condition))
    if not is_first(study, key):
        parts.append(key.mode)
    return "\n".join(textwrap.wrap(shown(", ".join(parts), 75), 25, break_long_words=True))
