"""Runs the jobs of a study, several at once, each once ever.

A result is kept under the hash of its command, and of the contents of what the command names: versions by their ids;
models, runs and tasks by their files. It does not cover the code: after changing that, use another --out.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Lock
from typing import Any, Literal, Protocol

from lope_common.files import write_whole
from lope_common.locks import Lock as FileLock
from lope_common.locks import acquire
from pipelines.errors import PipelineError
from pipelines.study.cells import Cell
from pipelines.study.contents import RECORD, is_run
from pipelines.study.jobs import Job, Results
from pipelines.study.outcome import named
from pipelines.study.record import RECORDED, Record, Recorded, key_of

State = Literal["done", "kept", "failed", "not run"]
_PAUSE = 0.5
"""Seconds between two looks at what is running."""


@dataclass(frozen=True)
class Finished:
    """What became of a job. `seconds` are those of the run that gave the result, also where it was kept."""

    job: Job
    state: State
    command: str
    result: dict[str, Any]
    seconds: float
    reason: str = ""


class Watch(Protocol):
    """Is told what happens, for people to see."""

    def started(self, job: Job) -> None: ...
    def finished(self, finished: Finished) -> None: ...
    def tick(self) -> None: ...


@dataclass(frozen=True)
class Pool:
    """Where runs and results are kept, shared by all studies of one folder, and the slots that jobs run in.

    A slot is what its jobs get in their environment: a GPU, or a number of threads.
    """

    folder: Path
    store: Path
    slots: tuple[dict[str, str], ...]
    record: Record | None = None
    """Where finished cells are written down, and found without their weights."""

    def run(self, jobs: Sequence[Job], watch: Watch) -> dict[str, Finished]:
        """All jobs, in an order that respects their needs; one that failed stops only what needs it.

        Raises PipelineError where the folder cannot be written. Interrupted, it stops what is running; a later call
        goes on from there.
        """
        try:
            for name in ("results", "runs", "items", "logs"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PipelineError(f"cannot write to {self.folder} ({error.strerror}); choose another --out") from error
        done: dict[str, Finished] = {}
        left = {job.id: job for job in jobs}
        workers = _Workers(self.slots, watch)
        commands: dict[str, _Command] = {}
        running: dict[Future[Finished], Path] = {}
        recorded = _Cells(self.record, jobs)

        def end(finished: Finished) -> None:
            done[finished.job.id] = finished
            recorded.finished(finished, done)
            watch.finished(finished)

        try:
            while left or running:
                for job in [job for job in left.values() if all(need in done for need in job.needs)]:
                    if broken := next((n for n in job.needs if done[n].state in ("failed", "not run")), None):
                        reason = f"needs: {done[broken].job.title} ({done[broken].job.kind})"
                        end(Finished(left.pop(job.id), "not run", "", {}, 0.0, reason))
                        continue
                    if not recorded.ready(job, done):
                        continue
                    if job.id not in commands and (before := recorded.find(job, done)):
                        del left[job.id]
                        end(before)
                        continue
                    if job.id not in commands:
                        commands[job.id] = self._command(job, {name: ended.result for name, ended in done.items()})
                    command = commands[job.id]
                    if kept := command.kept():
                        del left[job.id]
                        end(kept)
                    # of two jobs with one command the second finds the result of the first
                    elif len(running) < len(self.slots) and command.file not in running.values():
                        del left[job.id]
                        running[workers.submit(command)] = command.file
                ready, _ = wait(running, timeout=_PAUSE, return_when=FIRST_COMPLETED)
                for future in ready:
                    del running[future]
                    end(future.result())
                watch.tick()
        finally:
            workers.stop()
        return {job.id: done[job.id] for job in jobs}

    def _command(self, job: Job, results: Results) -> _Command:
        words = job.words(results)
        content = [*words, str(self.store), *job.reads(results)]
        key = hashlib.sha256("\0".join(content).encode()).hexdigest()[:12]
        name = f"{job.kind}-{key}"
        file, log = self.folder / "results" / f"{name}.json", self.folder / "logs" / f"{name}.log"
        return _Command(job, [*words, *self._places(job, key)], file, log)

    def _places(self, job: Job, key: str) -> list[str]:
        """Where the command reads and writes; no part of what it computes."""
        words = []
        if job.kind in ("ingest", "build", "export", "train", "evaluate"):
            words += ["--store", str(self.store)]
        if job.kind == "train":
            assert job.cell is not None
            words += ["--out", str(self.folder / "runs" / f"{job.cell.arm}-{job.cell.condition}-{key}")]
        if job.kind in ("items", "export"):
            words += ["--out", str(self.folder / "items" / f"{key}.jsonl")]
        return words


@dataclass(frozen=True)
class _Command:
    """A job as it is run; `file` is where its result is kept, `log` what it says to people."""

    job: Job
    words: list[str]
    file: Path
    log: Path

    def finished(self, state: State, result: dict[str, Any], seconds: float, reason: str = "") -> Finished:
        return Finished(self.job, state, shlex.join(["python", "-m", *self.words]), result, seconds, reason)

    def kept(self) -> Finished | None:
        """The result from before, where all of it is there. A source is read again: it can have changed."""
        if self.job.kind == "ingest":
            return None
        try:
            if self.job.kind == "train":
                out = Path(self.words[self.words.index("--out") + 1])
                if not is_run(out):
                    return None
                # from the run itself: the study may have been killed before the result was written down
                result = {"path": str(out), **json.loads((out / RECORD).read_text(encoding="utf-8"))}
                return self.finished("kept", result, sum(float(stage["seconds"]) for stage in result["stages"]))
            record = json.loads(self.file.read_text(encoding="utf-8"))
            there = Path(record["result"].get("path", ".")).exists()
            return self.finished("kept", record["result"], float(record["seconds"])) if there else None
        except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):  # or made again
            return None

    def keep(self, result: dict[str, Any], seconds: float) -> None:
        write_whole(self.file, json.dumps({"result": result, "seconds": seconds}))


class _Cells:
    """The cells of a study in its record: their two jobs are found together, or both are done."""

    def __init__(self, record: Record | None, jobs: Sequence[Job]) -> None:
        self._record = record
        pairs: dict[Cell, dict[str, Job]] = {}
        for job in jobs if record is not None else ():
            if job.cell is not None and job.cell.arm is not None:
                pairs.setdefault(job.cell, {})[job.kind] = job
        self._pairs = {cell: pair for cell, pair in pairs.items() if len(pair) == 2}
        self._keys: dict[Cell, str] = {}
        self._found: dict[Cell, Recorded] = {}

    def ready(self, job: Job, done: Mapping[str, Finished]) -> bool:
        """Whether it is known what decides the cell: what either of its jobs needs is done."""
        pair = self._pairs.get(job.cell) if job.cell else None
        if pair is None or job.kind != "train":
            return True
        return all(need in done for one in pair.values() for need in one.needs if need != job.id)

    def find(self, job: Job, done: Mapping[str, Finished]) -> Finished | None:
        """The job's result from the record."""
        pair = self._pairs.get(job.cell) if job.cell else None
        if pair is None or self._record is None or job.cell is None:
            return None
        if job.kind == "train":
            needs = {need for one in pair.values() for need in one.needs} - {job.id}
            if any(done[need].state in ("failed", "not run") for need in needs):
                return None
            results = {name: ended.result for name, ended in done.items()}
            self._keys[job.cell] = key_of([word for kind in pair for word in pair[kind].decides(results)])
            if (found := self._record.find(self._keys[job.cell])) is None:
                return None
            self._found[job.cell] = found
        elif (found := self._found.get(job.cell)) is None:
            return None
        trained = job.kind == "train"
        result = {**found.run, RECORDED: asdict(found.sitting)} if trained else found.answers
        return Finished(job, "kept", "", result, found.seconds[0 if trained else 1])

    def finished(self, finished: Finished, done: Mapping[str, Finished]) -> None:
        """Write down a cell whose answers are there now."""
        job = finished.job
        if self._record is None or job.kind != "evaluate" or job.cell not in self._keys or job.cell in self._found:
            return
        if finished.state in ("done", "kept"):
            assert job.cell is not None
            trained = done[self._pairs[job.cell]["train"].id]
            seconds = (trained.seconds, finished.seconds)
            run = json.loads((Path(trained.result["path"]) / RECORD).read_text(encoding="utf-8"))
            asked = self._pairs[job.cell]["train"].asked
            answers = named(finished.result, job.names({name: ended.result for name, ended in done.items()}))
            self._record.add(self._keys[job.cell], job.cell, asked, run, answers, seconds)


class _Workers:
    """Threads that run commands, each in a slot of its own, until they are stopped."""

    def __init__(self, slots: Sequence[dict[str, str]], watch: Watch) -> None:
        self._free: SimpleQueue[dict[str, str]] = SimpleQueue()
        for slot in slots:
            self._free.put(slot)
        self._watch = watch
        self._executor = ThreadPoolExecutor(len(slots))
        self._stopped = Event()
        self._starting = Lock()
        self._processes: list[subprocess.Popen[str]] = []

    def submit(self, command: _Command) -> Future[Finished]:
        return self._executor.submit(self._run, command)

    def stop(self) -> None:
        """Ends what is running, and starts nothing more."""
        with self._starting:
            self._stopped.set()
            for process in self._processes:
                process.terminate()
        self._executor.shutdown(cancel_futures=True)

    def _run(self, command: _Command) -> Finished:
        """Unless another study has run it meanwhile."""
        lock = _locked(command.file.with_suffix(".lock"), self._stopped)
        if lock is None:
            return command.finished("not run", {}, 0.0, "interrupted")
        try:
            if kept := command.kept():
                return kept
            slot = self._free.get()
            try:
                return self._call(command, lock.handle, slot)
            finally:
                self._free.put(slot)
        finally:
            lock.let_go()  # a child may outlive us

    def _call(self, command: _Command, lock: int, slot: dict[str, str]) -> Finished:
        self._watch.started(command.job)
        started = time.monotonic()
        with command.log.open("w", encoding="utf-8") as errors:
            with self._starting:
                if self._stopped.is_set():
                    return command.finished("not run", {}, 0.0, "interrupted")
                process = subprocess.Popen(
                    [sys.executable, "-m", *command.words, "--json"],
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                    env={**os.environ, **slot},
                    # it may outlive this process, and then still is the only one
                    pass_fds=(lock,) if os.name == "posix" else (),
                )
                self._processes.append(process)
            out, _ = process.communicate()
            self._processes.remove(process)
        seconds = time.monotonic() - started
        if process.returncode:
            reason = f"{_last_line(command.log)} (exit code {process.returncode}; {command.log})"
            return command.finished("failed", {}, seconds, reason)
        try:
            result = json.loads(out.strip().splitlines()[-1])
        except (IndexError, ValueError):
            return command.finished("failed", {}, seconds, f"its last line is no JSON ({command.log})")
        command.keep(result, seconds)
        return command.finished("done", result, seconds)


def _locked(file: Path, stopped: Event) -> FileLock | None:
    """The lock under which no other study runs the same command, waited for; None where we are stopped before."""
    while (lock := acquire(file, wait=False)) is None:
        if stopped.wait(_PAUSE):
            return None
    return lock


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("error: ")]
    return (said or lines or ["it said nothing"])[-1].removeprefix("error: ")
