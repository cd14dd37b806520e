"""Figures of what training did to the weights: how far they moved, and what they look like."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from matplotlib.ticker import MaxNLocator

from lope_train.errors import RunError
from lope_train.inspection import Matrix, movement, parameter_maps
from pipelines.page.plots.svg import Draughtsman, Drawing, Look, Panel, look, shown
from pipelines.results.labels import arm_label, condition_label
from pipelines.study.outcome import Outcome, Run
from pipelines.study.recipe import Plot

_NAMES = {"A": "A", "B": "normal B", "B_poison": "poisoning B", "router": "router", "head": "head"}
_PIXELS = 600
"""Columns of a picture; a wider matrix is averaged down to no more."""
_Read = TypeVar("_Read")


def draw_movement(pen: Draughtsman, outcome: Outcome, plot: Plot) -> Drawing:
    """A panel of each arm and condition and stage, a line for each parameter, of the first seed."""
    caption = "Root mean square over the elements of all layers, since the start of the stage; the first seed's run."
    read, missing = _read_all(outcome, movement)
    drawing = Drawing(plot.title, caption, missing=missing)
    looks: dict[str, Look] = {name: look(place) for place, name in enumerate(_NAMES)}
    stages = dict.fromkeys(stage for _, moved in read for stage in moved)
    used: set[str] = set()
    for stage in stages:
        here = [(run, moved[stage]) for run, moved in read if stage in moved]
        top = max(max(values) for _, lines in here for values in lines.values())
        for run, lines in here:
            used |= lines.keys()
            with pen.drawing(2.2) as (figure, made):
                axes = figure.add_subplot()
                for name, values in lines.items():
                    style = looks[name]
                    axes.plot(
                        range(1, len(values) + 1),
                        values,
                        color=style.colour,
                        linestyle=style.dashes,
                        marker=style.marker,
                        markevery=max(1, len(values) // 8),
                        markersize=3.6,
                        linewidth=1.3,
                    )
                axes.set(xlabel=f"step of {shown(stage)}", ylabel="RMS movement", ylim=(0, 1.05 * top or 1))
                axes.xaxis.set_major_locator(MaxNLocator(integer=True))
                axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
            title = f"{shown(stage)}, {_run_title(outcome, run)}"
            said = "; ".join(f"{_NAMES[name]} ends at {values[-1]:.3g}" for name, values in lines.items())
            drawing.panels.append(Panel(title, made[0], f"{title}. {said}"))
    drawing.legend.extend((pen.swatch(style), _NAMES[name]) for name, style in looks.items() if name in used)
    return drawing


def draw_maps(pen: Draughtsman, outcome: Outcome, plot: Plot) -> Drawing:
    """A panel of each run and matrix, the stages below each other on one scale."""
    caption = (
        "Sizes of the elements of one layer, the matrices lying (r rows), at the start and after each stage; "
        "one colour scale, from 0, for all panels of a matrix. The first seed’s run."
    )
    read, missing = _read_all(outcome, parameter_maps)
    drawing = Drawing(plot.title, caption, missing=missing)
    tops: dict[str, float] = {}
    for _, maps in read:
        for name, matrix in ((name, matrix) for at in maps.at.values() for name, matrix in at.items()):
            tops[name] = max(tops.get(name, 0.0), float(np.abs(matrix).max()))
    for run, maps in read:
        for name in next(iter(maps.at.values())):
            title = f"{_NAMES[name]}, {_run_title(outcome, run)}"
            drawing.panels.append(
                _map(pen, title, maps.layer, {stage: at[name] for stage, at in maps.at.items()}, tops[name])
            )
    return drawing


def _map(pen: Draughtsman, title: str, layer: str, stages: dict[str, Matrix], top: float) -> Panel:
    sizes = {
        stage: _reduced(np.abs(matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T))
        for stage, matrix in stages.items()
    }
    with pen.drawing(0.72 * len(sizes) + 0.45) as (figure, made):
        grid = figure.subplots(len(sizes), 1, squeeze=False)[:, 0]
        for axes, (stage, size) in zip(grid, sizes.items(), strict=True):
            picture = axes.imshow(size, vmin=0, vmax=top or 1.0, cmap="cividis", aspect="auto", interpolation="nearest")
            axes.set_title(shown(stage), loc="left", fontsize=8.5, pad=2)
            axes.set(xticks=[], yticks=[])
        figure.colorbar(picture, ax=list(grid), orientation="horizontal", aspect=40, pad=0.03)
    means = (f"{stage} mean {float(size.mean()):.3g}" for stage, size in sizes.items())
    return Panel(title, made[0], shown(f"{title}, {layer}. {'; '.join(means)}", 2000))


def _reduced(size: Matrix) -> Matrix:
    """No wider than the picture."""
    parts = np.array_split(size, min(size.shape[1], _PIXELS), axis=1)
    return np.stack([part.mean(axis=1) for part in parts], axis=1)


def _first_runs(outcome: Outcome) -> list[Run]:
    """Of each model, arm and condition the run of the lowest seed."""
    runs: dict[tuple[str, str, str], Run] = {}
    for run in sorted(outcome.runs, key=lambda run: run.seed):
        runs.setdefault((run.model, run.arm, run.condition), run)
    return [run for run in outcome.runs if run is runs[run.model, run.arm, run.condition]]


def _read_all(outcome: Outcome, reader: Callable[..., _Read]) -> tuple[list[tuple[Run, _Read]], list[str]]:
    """What the first runs have of it, and sentences on which have none and why."""
    found: list[tuple[Run, _Read]] = []
    without: dict[str, list[str]] = {}
    for run in _first_runs(outcome):
        if run.path is None:
            without.setdefault("its weights were not kept", []).append(_run_title(outcome, run))
            continue
        try:
            found.append((run, reader(run.path)))
        except RunError as error:
            reason = str(error).replace(str(run.path), "the run").removeprefix("the run: ")
            without.setdefault(reason, []).append(_run_title(outcome, run))
    return found, [f"Left out, {'; '.join(who)}: {shown(why, 300)}." for why, who in without.items()]


def _run_title(outcome: Outcome, run: Run) -> str:
    study = outcome.study
    parts = [arm_label(study, run.arm), condition_label(study, run.condition) if len(study.conditions) > 1 else ""]
    return shown(", ".join(filter(None, [*parts, run.model if len(outcome.models) > 1 else ""])), 100)
