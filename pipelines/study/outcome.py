"""What a study found: every answer of every run, and what failed; the page is made from this alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

    @property
    def seconds(self) -> float:
        """Of all commands, also of those whose result was there before."""
        return sum(step.seconds for step in self.steps)

    @property
    def failed(self) -> list[Step]:
        return [step for step in self.steps if step.state in ("failed", "not run")]
