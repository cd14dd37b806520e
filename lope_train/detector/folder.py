"""The folder that `score` leaves, put in place whole, and what a killed one has measured."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lope_common.files import canonical
from lope_common.locks import acquire
from lope_common.places import local_path
from lope_train.errors import RunError, VersionError
from lope_train.runs.adapter import read_json, write_json

SCORES = "scores.json"
REPORT = "report.html"
REQUEST = "request"
"""The key of what decides the measures: a folder of another request is refused."""
_MEASURED = "measured.jsonl"
_PLAN = "request.json"


class ScoreFolder:
    """`<parent>/.<name>.partial` while rows are measured; a second call resumes from it.

    A finished folder keeps its measures, so that another list of the same request needs no model.
    """

    def __init__(self, out: Path, request: dict[str, Any]) -> None:
        """Raises RunError where something else is there; measuring takes long, so before it."""
        self.out = local_path(out, "out", RunError)
        self._request = request
        self._place = Path(os.path.abspath(self.out))  # noqa: PTH100  # `.` and `..` have no name of their own
        self._partial = self._place.parent / f".{self._place.name}.partial"
        self._check()

    @property
    def finished(self) -> bool:
        """Whether the scores of this request are there."""
        return (self.out / SCORES).is_file()

    @property
    def work(self) -> Path:
        """Where what is needed for measuring may be kept until it is done, in files of safetensors; within `opened`."""
        return self._partial / "work"

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Within the context this process alone writes. Raises RunError where another does, or nothing can be."""
        try:
            lock = acquire(self._place.parent / f".{self._place.name}.lock", wait=False)
        except OSError as error:
            raise RunError(f"{self.out}: cannot be written: {error}") from error
        if lock is None:
            raise RunError(f"{self.out}: another process is scoring into it; name another folder")
        try:
            self._check()
            if not self.finished:
                self._begin()
            try:
                yield
            except VersionError:  # of rows that cannot be scored: there is nothing to resume
                shutil.rmtree(self._partial, ignore_errors=True)
                raise
            finally:
                if self._partial.is_dir() and not (self._partial / _MEASURED).is_file() and not self._begun_work():
                    shutil.rmtree(self._partial, ignore_errors=True)
        except OSError as error:
            raise RunError(f"{self.out}: cannot be written: {error}") from error
        finally:
            lock.give_back()

    def measured(self) -> list[dict[str, Any]]:
        """The rows that were measured before, in their order; what a kill has cut is left out."""
        path = (self.out if self.finished else self._partial) / _MEASURED
        if not path.is_file():
            return []
        found: list[dict[str, Any]] = []
        whole = 0
        for line in path.read_bytes().splitlines(keepends=True):
            try:
                value = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                value = None
            if not isinstance(value, list):
                break
            found += value
            whole += len(line)
        if not self.finished:
            os.truncate(path, whole)
        return found

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Keep more measured rows, which are read again all or none."""
        with (self._partial / _MEASURED).open("ab") as file:
            file.write(canonical(rows))

    def finish(self, record: dict[str, Any], files: dict[str, bytes]) -> Path:
        """Write the record and the other files; of files of the same kind that were there, only these are left."""
        if self.finished:
            shutil.rmtree(self._partial, ignore_errors=True)
            self._partial.mkdir(parents=True)
            shutil.copyfile(self.out / _MEASURED, self._partial / _MEASURED)
        else:
            shutil.rmtree(self.work, ignore_errors=True)
        for name, content in files.items():
            (self._partial / name).write_bytes(content)
        write_json(self._partial / SCORES, record | {REQUEST: self._request})
        (self._partial / _PLAN).unlink(missing_ok=True)
        if self._place.is_dir():
            shutil.rmtree(self._place)
        self._partial.rename(self._place)
        return self.out

    def _check(self) -> None:
        out = self.out
        if not out.exists() or (out.is_dir() and not any(out.iterdir())):
            return
        if not self.finished or read_json(out / SCORES).get(REQUEST) != self._request:
            raise RunError(f"{out}: is there, and not of this request; name another folder with --out")

    def _begun_work(self) -> bool:
        return any(self.work.glob("*.safetensors"))

    def _begin(self) -> None:
        plan = self._partial / _PLAN
        if plan.is_file() and read_json(plan) != self._request:
            raise RunError(
                f"{self.out}: scores of another request were begun in {self._partial}; finish them as they were begun, "
                "name another --out, or remove that folder"
            )
        self._partial.mkdir(parents=True, exist_ok=True)
        write_json(plan, self._request)
