"""Runs the jobs of a study, several at once, each once ever: a result is kept under the hash of its command.

References to versions carry their ids and the paths of runs their keys, so a key changes with the data and settings
of everything before it. It does not cover the code: after changing that, use another --out.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal, Protocol

from pipelines.errors import PipelineError
from pipelines.study.jobs import Job

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
    store: Path | None
    slots: tuple[dict[str, str], ...]

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
        free: SimpleQueue[dict[str, str]] = SimpleQueue()
        for slot in self.slots:
            free.put(slot)
        processes: list[subprocess.Popen[str]] = []
        running: dict[Future[Finished], list[str]] = {}
        executor = ThreadPoolExecutor(len(self.slots))
        try:
            while left or running:
                for job in [job for job in left.values() if all(need in done for need in job.needs)]:
                    results = {name: ended.result for name, ended in done.items()}
                    if broken := next((n for n in job.needs if done[n].state in ("failed", "not run")), None):
                        reason = f"needs: {done[broken].job.title} ({done[broken].job.kind})"
                        done[job.id] = Finished(left.pop(job.id), "not run", "", {}, 0.0, reason)
                        watch.finished(done[job.id])
                    elif len(running) < len(self.slots) and (words := job.words(results)) not in running.values():
                        # of two jobs with one command the second finds the result of the first
                        running[executor.submit(self._run, left.pop(job.id), words, free, processes, watch)] = words
                ready, _ = wait(running, timeout=_PAUSE, return_when=FIRST_COMPLETED)
                for future in ready:
                    del running[future]
                    finished = future.result()
                    done[finished.job.id] = finished
                    watch.finished(finished)
                watch.tick()
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()
            raise
        executor.shutdown()
        return {job.id: done[job.id] for job in jobs}

    def _run(
        self,
        job: Job,
        words: list[str],
        free: SimpleQueue[dict[str, str]],
        processes: list[subprocess.Popen[str]],
        watch: Watch,
    ) -> Finished:
        key = hashlib.sha256("\0".join([*words, str(self.store)]).encode()).hexdigest()[:12]
        words = [*words, *self._places(job, key)]
        command = shlex.join(["python", "-m", *words])
        file = self.folder / "results" / f"{job.kind}-{key}.json"
        with _alone(file.with_suffix(".lock")):
            # a source can have changed since; reading it again finds out, and costs little where it has not
            if job.kind != "ingest" and (kept := _kept(file) or _trained(job, words)) is not None:
                return Finished(job, "kept", command, kept["result"], kept["seconds"])
            watch.started(job)
            slot = free.get()
            log = self.folder / "logs" / f"{job.kind}-{key}.log"
            started = time.monotonic()
            try:
                with log.open("w", encoding="utf-8") as errors:
                    process = subprocess.Popen(
                        [sys.executable, "-m", *words, "--json"],
                        stdout=subprocess.PIPE,
                        stderr=errors,
                        text=True,
                        env={**os.environ, **slot},
                    )
                    processes.append(process)
                    out, _ = process.communicate()
            finally:
                free.put(slot)
            seconds = time.monotonic() - started
            if process.returncode:
                reason = f"{_last_line(log)} (exit code {process.returncode}; {log})"
                return Finished(job, "failed", command, {}, seconds, reason)
            *_, last = out.strip().splitlines()
            record = {"command": command, "result": json.loads(last), "seconds": seconds}
            partial = file.with_suffix(".partial")
            partial.write_text(json.dumps(record), encoding="utf-8")
            partial.replace(file)
            return Finished(job, "done", command, record["result"], seconds)

    def _places(self, job: Job, key: str) -> list[str]:
        """Where the command reads and writes; no part of what it computes."""
        words = []
        if self.store is not None and job.kind in ("ingest", "build", "train", "evaluate"):
            words += ["--store", str(self.store)]
        if job.kind == "train":
            assert job.cell is not None
            words += ["--out", str(self.folder / "runs" / f"{job.cell.arm}-{job.cell.condition}-{key}")]
        if job.kind == "items":
            words += ["--out", str(self.folder / "items" / f"{key}.jsonl")]
        return words


def _kept(file: Path) -> dict[str, Any] | None:
    try:
        kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return kept if Path(kept["result"].get("path", ".")).exists() else None


def _trained(job: Job, words: list[str]) -> dict[str, Any] | None:
    """The result of a run that was whole when the study was killed, before it could be written down."""
    if job.kind != "train":
        return None
    out = Path(words[words.index("--out") + 1])
    if not (out / "run.json").is_file():
        return None
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    return {"result": {"path": str(out), **record}, "seconds": sum(stage["seconds"] for stage in record["stages"])}


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Within the context no other study runs the same command: it waits, and then finds the result."""
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("error: ")]
    return (said or lines or ["it said nothing"])[-1].removeprefix("error: ")
