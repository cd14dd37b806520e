"""Run by torchrun: trains as each entry of a JSON file says, one after the other; `stop` ends one after a step."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from lope_train.cli import quiet_libraries
from lope_train.settings import TrainSettings
from lope_train.training.run import train
from lope_train.training.trainer import StageTrainer


class Stopped(BaseException):
    """Stands for a kill: nothing catches it."""


def stop_after(steps: int, settings: TrainSettings) -> None:
    """Train until `steps` steps of the run are done, then stop before anything of that step is saved."""
    left = steps
    log = StageTrainer.log

    def counted(self: StageTrainer, logs: dict[str, float], start_time: float | None = None) -> None:
        nonlocal left
        log(self, logs, start_time)
        left -= "loss" in logs
        if left == 0:
            raise Stopped

    with mock.patch.object(StageTrainer, "log", counted):
        try:
            train(settings)
        except Stopped:
            return
    raise SystemExit(f"{settings.out}: done before step {steps}")


def main(entries: list[dict[str, Any]]) -> None:
    quiet_libraries()
    for entry in entries:
        stop = entry.pop("stop", None)
        settings = TrainSettings.model_validate(entry)
        if stop is None:
            train(settings)
        else:
            stop_after(stop, settings)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
