"""The finished runs of a study as lines of JSON, which outlive weights: what stands there is not trained again.

A line is of one cell: its run.json and its answers, under the hash of all that decides them, whatever the folders are
called. Questions stand in lines of their own, once. It does not cover the code: a line has the commit that made it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lope_common.files import canonical
from pipelines.errors import PipelineError
from pipelines.study.cells import Cell

RECORDED = "recorded"
"""What the result of a training that was found in a record has beside its run.json: its sitting."""
_PLACES = ("path", "run", "out", "store")
"""Folders of one machine."""
_SHARED = ("ids", "chance")
"""What the sets of an evaluation have that is the same for every run."""


@dataclass(frozen=True)
class Sitting:
    """When, by what code and on what a run was made."""

    date: str
    commit: str
    """Of the checkout, with `+` where files differed from it; empty outside of one."""
    hardware: str


@dataclass(frozen=True)
class Recorded:
    """A finished cell."""

    run: dict[str, Any]
    """Its run.json."""
    answers: dict[str, Any]
    """As `evaluate --json` prints them."""
    seconds: tuple[float, float]
    """Of training and of evaluation."""
    sitting: Sitting


class Record:
    """The file, read whole; lines are added at its end."""

    def __init__(self, path: Path, sitting: Sitting | None = None) -> None:
        """`sitting` is of what will be added, if anything is.

        Raises PipelineError where a line is not one of a record, and says which.
        """
        self._path, self._sitting = path, sitting
        self._sets: dict[str, dict[str, Any]] = {}
        self._found: dict[str, dict[str, Any]] = {}
        try:
            data = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise PipelineError(f"{path} cannot be read: {error.strerror}") from error
        whole, _, torn = data.rpartition(b"\n")
        self._torn_at = len(data) - len(torn) if torn else None  # by a kill; its run is added again
        for number, line in enumerate(whole.split(b"\n") if whole else (), start=1):
            try:
                read = json.loads(line)
                self._take(read)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise PipelineError(
                    f"{path}, line {number}: is not a line of a record; remove it, and its run is made again"
                ) from error

    def _take(self, line: dict[str, Any]) -> None:
        if "set" in line:
            self._sets[line["set"]] = line
        else:
            self._found[line["key"]] = line

    def find(self, key: str) -> Recorded | None:
        """The cell with this key. Raises PipelineError where its line lacks something."""
        if (line := self._found.get(key)) is None:
            return None
        try:
            sets = [{**one, **{name: self._sets[one["set"]][name] for name in _SHARED}} for one in line["sets"]]
            train, evaluate = line["seconds"]
            answers = {"sets": sets, "results": line["results"]}
            return Recorded(line["run"], answers, (float(train), float(evaluate)), Sitting(**line["sitting"]))
        except (KeyError, TypeError, ValueError) as error:
            raise PipelineError(
                f"{self._path}: the line of run {key} lacks {error}; remove it, to make it again"
            ) from error

    def cells(self) -> list[tuple[str, Cell, dict[str, Any]]]:
        """Key, cell, and what was asked of it, of each line, in their order. Raises PipelineError as `find` does."""
        try:
            names = [field.name for field in fields(Cell)]
            return [(key, Cell(**{n: line[n] for n in names}), line["asked"]) for key, line in self._found.items()]
        except KeyError as error:
            raise PipelineError(f"{self._path}: a line of a run lacks {error}; remove it, to make it again") from error

    def add(
        self,
        key: str,
        cell: Cell,
        asked: Mapping[str, Any],
        run: Mapping[str, Any],
        answers: Mapping[str, Any],
        seconds: tuple[float, float],
    ) -> None:
        """Write a finished cell at the end of the file, and its questions where they are not there yet.

        Raises PipelineError where it cannot be written.
        """
        assert self._sitting is not None, "the record was opened to be read"
        lines = []
        sets = []
        for one in answers["sets"]:
            shared = {name: one[name] for name in _SHARED}
            digest = hashlib.sha256(canonical(shared)).hexdigest()[:16]
            if digest not in self._sets:
                self._sets[digest] = {"set": digest, **shared}
                lines.append(self._sets[digest])
            sets.append({"set": digest, **{name: value for name, value in one.items() if name not in _SHARED}})
        settings = {name: value for name, value in run["settings"].items() if name not in _PLACES}
        kept = {name: value for name, value in run.items() if name not in _PLACES}
        kept |= {"model": cell.model, "settings": settings | {"model": cell.model}}
        line = {"key": key, **asdict(cell), "asked": asked, "seconds": seconds, "sitting": asdict(self._sitting)}
        results = [{name: value for name, value in one.items() if name not in _PLACES} for one in answers["results"]]
        line |= {"results": results, "sets": sets, "run": kept}
        self._found[key] = line
        lines.append(line)
        text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in lines)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._torn_at is not None:
                os.truncate(self._path, self._torn_at)
                self._torn_at = None
            with self._path.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise PipelineError(f"{self._path} cannot be written: {error.strerror}") from error


def key_of(content: Sequence[str]) -> str:
    """Of the words and contents that decide a cell's training and answers."""
    return hashlib.sha256("\0".join(content).encode()).hexdigest()[:16]
