"""The folder of a run while it is made: beside its place, with what a killed run goes on from."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from lope_common.files import sha256_of
from lope_common.locks import acquire
from lope_common.places import local_path
from lope_train.errors import RunError
from lope_train.runs.adapter import read_json, write_json

PLAN = "plan.json"
WHOLE = "whole.json"
METRICS = "metrics.jsonl"
_STAGES = "stages"


class RunFolder:
    """`<parent>/.<name>.partial` until `finish` renames it to the run's own name.

    A stage keeps its checkpoints in `checkpoints`, and its adapter and report in `result` once it is done.
    """

    def __init__(self, out: Path) -> None:
        self.out = out = local_path(out, "out", RunError)
        self.place = Path(os.path.abspath(out))  # noqa: PTH100  # `.` and `..` have no name of their own
        self.path = self.place.parent / f".{self.place.name}.partial"
        self._lock = self.place.parent / f".{self.place.name}.lock"

    def check(self) -> None:
        """Raises RunError where the run's place is taken or cannot be made; training takes long, so before it."""
        out = self.out
        if out.is_dir():
            if any(out.iterdir()):
                raise RunError(f"{out}: is not empty; name a new folder, or remove this one")
        elif out.exists():
            raise RunError(f"{out}: is a file; name a new folder")
        if self.place == Path.cwd():
            raise RunError(f"{out}: is the working folder; name a new one in it")
        above = next(path for path in self.place.parents if path.exists())
        if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
            raise RunError(f"{out}: no folder can be made in {above}")

    @contextmanager
    def opened(self, plan: dict[str, Any], main: bool) -> Iterator[bool]:
        """Within the context this process alone makes the run; gives whether it goes on with what another left.

        `plan` is all that decides the weights. Of several processes that train together only the `main` one locks.
        Raises RunError where what is there was begun with another plan, or is at work.
        """
        resumes = (self.path / PLAN).is_file()
        if not main:
            yield resumes
            return
        try:
            lock = acquire(self._lock, wait=False)
        except OSError as error:
            raise RunError(f"{self.out}: cannot be written: {error}") from error
        if lock is None:
            raise RunError(f"{self.out}: another process is training into it; name another folder")
        try:
            self._begin(plan)
            yield resumes
        finally:
            kept = [self.path.glob(f"{_STAGES}/*/*/{WHOLE}"), self.path.glob(f"{_STAGES}/*/*/*/{WHOLE}")]
            kept.append(self.folds.glob("*.safetensors"))
            if self.path.is_dir() and not any(chain(*kept)):
                shutil.rmtree(self.path)  # there is nothing to resume from
            lock.give_back()

    @property
    def folds(self) -> Path:
        """Where models that are trained for an estimate leave what they say."""
        return self.path / "folds"

    def checkpoints(self, number: int) -> Path:
        """Where stage `number`, from 1, keeps its checkpoints."""
        return self.path / _STAGES / str(number) / "checkpoints"

    def result(self, number: int) -> Path:
        """Where stage `number`, from 1, leaves its adapter and report."""
        return self.path / _STAGES / str(number) / "result"

    def finish(self) -> Path:
        """Under its own name, then without the checkpoints; stopped in between, the run is whole all the same."""
        if self.place.is_dir():
            self.place.rmdir()  # raises OSError where something was put into it meanwhile
        self.path.rename(self.place)
        shutil.rmtree(self.place / _STAGES)
        shutil.rmtree(self.place / self.folds.name, ignore_errors=True)
        (self.place / PLAN).unlink()
        return self.out

    def done(self, number: int) -> Path | None:
        """The result of stage `number`, from 1, as it was left; one that is damaged is removed."""
        result = self.result(number)
        if result.is_dir() and not _is_whole(result):
            shutil.rmtree(result, ignore_errors=True)  # of several processes each finds it so
        return result if result.is_dir() else None

    def _begin(self, plan: dict[str, Any]) -> None:
        if (self.path / PLAN).is_file():
            self._check_plan(plan)
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_json(self.path / PLAN, plan)
        except OSError as error:
            raise RunError(f"{self.out}: cannot be written: {error}") from error

    def _check_plan(self, plan: dict[str, Any]) -> None:
        kept = read_json(self.path / PLAN)
        settings, kept_settings = plan["settings"], kept.get("settings")
        if not isinstance(kept_settings, dict):
            raise RunError(f"{self.path / PLAN}: not the plan of a run; remove {self.path}")
        before = kept_settings | {name: value for name, value in kept.items() if name != "settings"}
        now = settings | {name: value for name, value in plan.items() if name != "settings"}
        changed = [
            f"{name} was {before.get(name)!r}, is {now.get(name)!r}"
            for name in sorted(before.keys() | now.keys())
            if before.get(name) != now.get(name)
        ]
        if changed:
            raise RunError(
                f"{self.out}: a run begun otherwise is in {self.path} ({'; '.join(changed[:3])}); "
                "finish it as it was begun, name another --out, or remove that folder"
            )


def kept_stage(run: Path, number: int) -> Path:
    """Where a finished run keeps the adapter of stage `number`, from 1, that is not its last."""
    return run / f"stage{number}"


def seal(folder: Path) -> None:
    """Mark a checkpoint as whole: its files with their sha256, written last."""
    files = {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.is_file() and path.name != WHOLE}
    write_json(folder / WHOLE, files)


def newest_checkpoint(folder: Path) -> Path | None:
    """The last whole checkpoint in a stage's folder; None where there is none."""
    return next(filter(_is_whole, _checkpoints(folder)), None)


def discard_broken(folder: Path) -> None:
    """Remove the checkpoints that are not whole: Trainer would count them among those it keeps."""
    for path in _checkpoints(folder):
        if not _is_whole(path):
            shutil.rmtree(path)


def _checkpoints(folder: Path) -> list[Path]:
    """Newest first."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit()]
    return sorted(found, key=lambda path: -int(path.name.rpartition("-")[2]))


def _is_whole(checkpoint: Path) -> bool:
    try:
        files = read_json(checkpoint / WHOLE)
    except RunError:
        return False
    return all(
        (checkpoint / name).is_file() and sha256_of(checkpoint / name) == digest for name, digest in files.items()
    )
