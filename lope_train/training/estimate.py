"""How often each class is given as each, and how many labels are wrong, estimated out of fold before a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from lope_train.data.transitions import estimate_transition
from lope_train.settings.settings import TrainSettings
from lope_train.training.folds import judge_labels

FOLDS = 3
_OWN: dict[str, Any] = {
    "method": "lora",
    "on": "parent",
    "hynoise": None,
    "stage2": None,
    "inference": None,
    "loss": "cross-entropy",
    "transition": None,
    "noise_rate": None,
    "warmup_epochs": None,
    "held_out": None,
    "patience": None,
    "report_to": (),
    "save_every": 10**9,
}
"""Settings in which the models that judge differ from the training that they are for."""


@dataclass(frozen=True)
class Estimate:
    """What models that did not see the rows say of their labels."""

    transition: list[list[float]]
    """(classes, classes): row the true class, column the one given."""
    noise_rate: float

    def named(self, classes: Sequence[str] | None) -> dict[str, Any]:
        """For run.json."""
        names = classes or ()
        matrix = {true: dict(zip(names, row, strict=True)) for true, row in zip(names, self.transition, strict=True)}
        return {"folds": FOLDS, "noise_rate": self.noise_rate, "transition": matrix}


def needs_estimate(settings: TrainSettings) -> bool:
    """Whether the loss needs what the settings do not say."""
    return (settings.loss == "forward" and settings.transition is None) or (
        settings.loss == "small-loss" and settings.noise_rate is None
    )


def estimate(
    rows: datasets.Dataset, ref: str, classes: Sequence[str], settings: TrainSettings, folder: Path
) -> Estimate:
    """Train LoRA with the run's own schedule on each of `FOLDS` parts less, and judge the rest; kept in `folder`."""
    own = settings.model_copy(update={**_OWN, "out": folder / "run"})
    said = judge_labels(rows, ref, classes, own, FOLDS, folder, gce=False)
    return Estimate(*estimate_transition(np.asarray(rows["labels"]), said.probabilities))
