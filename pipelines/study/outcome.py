"""What a study found: every answer of every run, and what failed; the page is made from this alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.study.cells import Cell
from pipelines.study.jobs import Names
from pipelines.study.recipe import Scale, Study
from pipelines.study.record import Sitting

if TYPE_CHECKING:
    from lope_data.store import Manifest

BASE = "base"
"""The arm of the untrained model; its condition is `BASE` too, and it has no seed."""


@dataclass(frozen=True)
class Answers:
    """How one run, in one mode, answered one set of questions."""

    model: str
    arm: str
    condition: str
    seed: int | None
    mode: str
    """As `evaluate` names it: "masked + compensated", "masked + compensated, K=2", "masked", "not masked", "none"."""
    task: str
    noise: float
    """Ratio of the noise in the questions; 0 where they are clean."""
    ids: tuple[str, ...]
    right: tuple[bool, ...]
    """Item by item, in the order of `ids`: the same items for every run of the study, clean or noisy."""
    chance: float | None
    """None where answers are generated: there is nothing to guess among."""

    @property
    def accuracy(self) -> float:
        """In 0..1."""
        return sum(self.right) / len(self.right)


def named(printed: Mapping[str, Any], names: Names) -> dict[str, Any]:
    """What `evaluate --json` printed, each result with the `task` and the `noise` that the study calls it by."""
    results = []
    for one in printed["results"]:
        task, noise = names.get(one["data"], (one["data"], 0.0))
        results.append({**one, "task": task, "noise": noise})
    return {**printed, "results": results}


def answers_of(cell: Cell, answers: Mapping[str, Any]) -> list[Answers]:
    """Of one run what was `named`. Raises KeyError where it lacks something."""
    sets = {one["name"]: one for one in answers["sets"]}
    return [
        Answers(
            cell.model,
            cell.arm or BASE,
            cell.condition or BASE,
            cell.seed,
            one["mode"],
            one["task"],
            one["noise"],
            tuple(sets[one["data"]]["ids"]),
            tuple(mark == "1" for mark in one["right"]),
            sets[one["data"]]["chance"],
        )
        for one in answers["results"]
    ]


@dataclass(frozen=True)
class Step:
    """One command of the study: the words that a user would type, and what became of it."""

    title: str
    kind: str
    """ingest, build, train, items or evaluate."""
    command: str
    seconds: float
    state: str
    """done, kept (was there before), failed, not run (what it needs failed)."""
    reason: str = ""


@dataclass(frozen=True)
class Run:
    """A trained run."""

    model: str
    arm: str
    condition: str
    seed: int
    path: Path | None
    """None where its weights were not kept."""
    record: dict[str, Any]
    """Its run.json."""
    sitting: Sitting
    seconds: float
    """Of training and evaluation."""


@dataclass(frozen=True)
class Outcome:
    """All of a study. `versions` are the manifests of the data, each once."""

    study: Study
    name: str
    scale_name: str
    scale: Scale
    models: tuple[str, ...]
    command: str
    hardware: str
    date: str
    answers: list[Answers] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    versions: list[Manifest] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)
    """Recorded runs that are not in it, and why."""

    @property
    def seconds(self) -> float:
        """Of all commands, also of those whose result was there before."""
        return sum(step.seconds for step in self.steps)

    @property
    def failed(self) -> list[Step]:
        return [step for step in self.steps if step.state in ("failed", "not run")]
