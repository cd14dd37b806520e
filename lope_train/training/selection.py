"""Small-loss selection: of the rows, those of the largest losses are left out of training, by a decision an epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor
from transformers import TrainerCallback

from lope_train.data.tokens import IGNORED
from lope_train.errors import RunError
from lope_train.settings.settings import TrainSettings

_FILE = "selection.safetensors"
WARMUP_EPOCHS = 1


class Selection:
    """Which rows are trained on: all until `warmup` epochs are done, then the share 1 - `rate` of the smallest losses.

    The small-loss criterion of co-teaching (Han et al., NeurIPS 2018), for one network: a model learns right labels
    before wrong ones. The loss of a row is the mean cross-entropy of its labels, without dropout and noise, at the
    epoch's begin; of equal ones the later row is left out. It leaves out hard right rows too, and what one network has
    taken for right it goes on learning, which two would correct in each other.
    """

    def __init__(self, rate: float, warmup: int, classes: Sequence[str] | None) -> None:
        self._rate = rate
        self._warmup = warmup
        self._classes = classes
        self._kept: Tensor | None = None
        """By the number of a row; None while all are."""
        self._epoch = -1
        """Of the decision."""

    def decide(self, epoch: int, losses: Callable[[], Tensor], labels: Tensor | None, where: str) -> int | None:
        """Decide at the begin of an epoch, from 0, unless it was decided; returns the number of rows kept, if so.

        `losses` gives the mean loss of each row, by its number, NaN for numbers that are no rows; `labels` are the
        classes of the same. Raises RunError where a class has no row left.
        """
        if epoch < self._warmup or epoch == self._epoch:
            return None
        means = losses()
        rows = (~means.isnan()).nonzero().flatten()
        kept = rows[means[rows].argsort(stable=True)][: len(rows) - round(self._rate * len(rows))]
        self._kept = torch.zeros(len(means), dtype=torch.bool)
        self._kept[kept] = True
        self._epoch = epoch
        if labels is not None and self._classes is not None:
            held = set(labels[kept].tolist())
            if absent := [name for number, name in enumerate(self._classes) if number not in held]:
                raise RunError(
                    f"{where}, epoch {epoch + 1}: small-loss keeps no row of the class {absent[0]!r}; "
                    "lower --noise-rate, or raise --warmup-epochs"
                )
        return len(kept)

    def apply(self, batch: dict[str, Tensor]) -> None:
        """Ignore the labels of rows that are left out."""
        if self._kept is None:
            return
        kept = self._kept.to(batch["row"].device)[batch["row"].clamp(min=0)]
        labels = batch["labels"]
        if kept.ndim < labels.ndim:
            kept = kept[:, None]
        batch["labels"] = labels.where(kept, IGNORED)

    def save(self, folder: Path) -> None:
        """Write into a checkpoint what `load` needs."""
        kept = torch.zeros(0, dtype=torch.bool) if self._kept is None else self._kept
        (folder / _FILE).write_bytes(save({"kept": kept, "epoch": torch.tensor(self._epoch)}))

    def load(self, folder: Path) -> None:
        """Resume from a checkpoint."""
        state = load_file(folder / _FILE)
        self._kept = state["kept"] if len(state["kept"]) else None
        self._epoch = int(state["epoch"])


class Select(TrainerCallback):
    """Calls `decide` with the number of an epoch, from 0, as it begins, when it is resumed in its middle too."""

    def __init__(self, decide: Callable[[int], None]) -> None:
        self._decide = decide

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Before the epoch's first step."""
        self._decide(int(state.epoch or 0))


def selection_of(settings: TrainSettings, rate: float | None, classes: Sequence[str] | None) -> Selection | None:
    """That of a run's last stage; None where it trains on all rows."""
    if settings.loss != "small-loss":
        return None
    assert rate is not None
    warmup = WARMUP_EPOCHS if settings.warmup_epochs is None else settings.warmup_epochs
    return Selection(rate, warmup, classes)
