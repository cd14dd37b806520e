"""A study of arms taken apart: its data is built as any study's, its arms are trained here, each once for a record."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version as library_version
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import torch

from lope_common.files import canonical
from lope_common.progress import counted
from lope_data.rows import ROW_ID
from lope_train.cli import quiet_libraries
from lope_train.data import classes_of, parent, resolve
from lope_train.libraries import ADAPTERS
from lope_train.models import CACHED
from lope_train.settings import TrainSettings
from pipelines.anatomy.arm import Data, right, train_arm, ways_of
from pipelines.anatomy.bed import Bed
from pipelines.errors import PipelineError
from pipelines.study import (
    Cell,
    Depth,
    Order,
    Outcome,
    Pool,
    Record,
    Surgery,
    asked_of,
    cores,
    data_id,
    from_record,
    key_of,
    model_content,
    plan,
    ref,
    settings_of,
    sitting_here,
    typed,
)

_DATA = ("model", "ingest", "export", "build")
"""Jobs of a study that train nothing."""


@dataclass(frozen=True)
class _Task:
    """One cell to train; refs are of versions in the store."""

    cell: Cell
    settings: TrainSettings
    surgery: Surgery
    depth: Depth
    model: str
    data: str
    held_out: str
    test: str
    task: str
    store: Path


def run_anatomy(order: Order, record: Path) -> Outcome:
    """Trains what is not in the `record` yet, and adds it; the outcome is all that it holds.

    Raises PipelineError as `Order.checked`, where the study has no validation rows or no test file, its data cannot be
    made, or a run fails, with the arm; what was done before is in the record.
    """
    study, setting = order.checked()
    scale = order.scale
    if scale.depth is None or study.evaluation.test is None or not study.source.validation:
        raise PipelineError(f"scale {order.scale_name!r}: an anatomy needs a depth, validation rows and a test file")
    planned = [job for job in plan(study, setting, CACHED) if job.kind in _DATA]
    with counted("data", len(planned)) as advance:
        made = Pool(order.folder, order.store, ({"OMP_NUM_THREADS": str(cores())},)).run(planned, _Counted(advance))
    if failed := next((one for one in made.values() if not one.result), None):
        raise PipelineError(f"{failed.job.title}: {failed.reason}")
    written = Record(record, sitting_here())
    tasks: dict[str, tuple[_Task, dict[str, Any]]] = {}
    for model in setting.models:
        got = made.get(f"model {model}")
        path = str(got.result["path"]) if got else model
        for seed in setting.seeds:
            for arm, condition in study.cells():
                asked = asked_of(study, scale, arm, condition, seed)
                data = ref(made[data_id(study, scale, arm, condition, seed)].result)
                task = _Task(
                    Cell(model, arm.id, condition.id, seed),
                    settings_of(study, scale, arm, condition, seed),
                    arm.surgery,
                    scale.depth,
                    path,
                    data,
                    ref(made["validation"].result),
                    ref(made["test"].result),
                    Path(study.evaluation.test.file).name,
                    order.store,
                )
                key = key_of([canonical(asked).decode(), data, task.held_out, task.test, model_content(path)])
                if written.find(key) is None:
                    tasks[key] = task, asked
    with counted(f"{len(tasks)} runs", len(tasks)) as advance:
        for future, key in _results([(key, task) for key, (task, _) in tasks.items()], order.jobs or cores()):
            task, asked = tasks[key]
            try:
                run, answers, seconds = future.result()
            except Exception as error:
                where = f"{task.cell.arm} on {task.cell.condition}, seed {task.cell.seed}"
                raise PipelineError(f"{where}: {error}") from error
            written.add(key, task.cell, asked, run, answers, seconds)
            advance(1)
    return from_record(order.study, order.name, order.scale_name, scale, record, typed())


class _Counted:
    """Counts the steps that make data."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance = advance

    def started(self, job: Any) -> None: ...

    def finished(self, finished: Any) -> None:  # noqa: ARG002
        self._advance(1)

    def tick(self) -> None: ...


def _results(tasks: list[tuple[str, _Task]], jobs: int) -> Iterator[tuple[Future[Any], str]]:
    """Each task's result as it is done; what waits is dropped where the loop over them ends early."""
    with ProcessPoolExecutor(jobs, get_context("spawn"), _start, (max(1, cores() // jobs),)) as executor:
        futures = {executor.submit(_train, task): key for key, task in tasks}
        try:
            for future in as_completed(futures):
                yield future, futures[future]
        except BaseException:  # an interrupt, or the loop that ends early
            executor.shutdown(wait=False, cancel_futures=True)
            for child in active_children():
                child.terminate()
            raise


def _start(threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the study ends it
    quiet_libraries()
    torch.set_num_threads(threads)


@lru_cache(maxsize=1)
def _bed(model: str, classes: tuple[str, ...], depth: Depth, max_length: int) -> Bed:
    return Bed(model, classes, depth, max_length)


@lru_cache(maxsize=2)
def _noisy(bed: Bed, data: str, store: Path, alpha: float, seed: int) -> Any:
    return bed.read(resolve(data, store), (alpha, seed))


def _train(task: _Task) -> tuple[dict[str, Any], dict[str, Any], tuple[float, float]]:
    """What its line of the record says: the run, its answers, and the seconds of both."""
    started = time.monotonic()
    noisy, test = resolve(task.data, task.store), resolve(task.test, task.store)
    clean = parent(noisy, task.store)
    held_out = resolve(task.held_out, task.store)
    classes = classes_of([clean, noisy, held_out, test])
    bed = _bed(task.model, classes, task.depth, task.settings.max_length)
    alpha = task.settings.embedding_alpha if task.settings.embedding_alpha is not None else noisy.embedding_alpha or 0.0
    data = Data(
        lambda: _noisy(bed, task.data, task.store, alpha, task.settings.seed),
        bed.read(clean),
        bed.read(held_out),
        bed.read(test),
        alpha,
    )
    model, stages = train_arm(bed, task.settings, task.surgery, data)
    trained = time.monotonic()
    results = [
        {
            "data": test.ref,
            "mode": name,
            "task": task.task,
            "noise": 0.0,
            "right": "".join("01"[one] for one in right(bed, model, data.test, way)),
        }
        for name, way in ways_of(task.settings, task.surgery).items()
    ]
    ids = [str(one) for one in test.dataset()[ROW_ID]]
    run = {
        "model": task.cell.model,
        "method": task.settings.method,
        "settings": task.settings.model_dump(mode="json"),
        "data": {"ref": noisy.ref, "parent": clean.ref},
        "libraries": {name: library_version(name) for name in ("lope", "torch", *ADAPTERS)},
        "stages": stages,
    }
    answers = {"sets": [{"name": test.ref, "ids": ids, "chance": 1 / len(classes)}], "results": results}
    return run, answers, (trained - started, time.monotonic() - trained)
