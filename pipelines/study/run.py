"""`python -m pipelines run paper/table1`: a study from its recipe to its page."""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from rich.console import Console

from lope_common.errors import suggest
from lope_data.store import Version
from pipelines.errors import PipelineError
from pipelines.study.cells import Cell, check_training
from pipelines.study.contents import RECORD, task_content
from pipelines.study.jobs import Setting, evaluation_id, plan, ref, run_id
from pipelines.study.live import Progress
from pipelines.study.machine import MEMORY_A_JOB, cores, free_memory, sitting_here
from pipelines.study.outcome import Answers, Outcome, Run, Step, answers_of, named
from pipelines.study.recipe import Scale, Study, load_scales
from pipelines.study.record import RECORDED, Record, Sitting
from pipelines.study.schedule import Finished, Pool

if TYPE_CHECKING:
    from lope_data.store import Manifest


def choose_scale(
    study: Study, name: str, sizes: Mapping[str, int | None], parts: Mapping[str, tuple[str, ...]]
) -> Scale:
    """The scale of that name, the study's own before the common one, with other sizes and parts where given.

    Raises PipelineError where there is none, or a number is out of range.
    """
    common = load_scales()
    known = [*common, *(own for own in study.scales if own not in common)]
    if name not in known:
        raise PipelineError(f"no scale {name!r}{suggest(name, known)}")
    merged: dict[str, Any] = {}
    for scale in (common.get(name), study.scales.get(name)):
        if scale is not None:
            own = scale.model_dump(exclude_unset=True)
            merged |= own | {"train": {**merged.get("train", {}), **own.get("train", {})}}
    for key, value in sizes.items():
        if value is not None:
            if value < 1:
                raise PipelineError(f"--{key} is {value}; it must be at least 1")
            merged[key] = value
    merged |= {key: names for key, names in parts.items() if names}
    try:
        return Scale.model_validate(merged)
    except ValidationError as error:
        raise PipelineError(f"scale {name!r}: {error.errors()[0]['msg']}") from error


def page_name(study: str, scale: str, typed: Mapping[str, object]) -> str:
    """What the page is called: a study of another size, or of a part, has another name than the whole."""
    other = {key: value for key, value in sorted(typed.items()) if value}
    digest = hashlib.sha256(json.dumps(other).encode()).hexdigest()[:6]
    return f"{study}-{scale}-{digest}" if other else f"{study}-{scale}"


def slots(jobs: int | None) -> tuple[dict[str, str], ...]:
    """What each job that runs at once gets: a GPU, or its share of the cores. `jobs` is how many; None: as fit."""
    import torch

    gpus = torch.cuda.device_count()
    if gpus:
        return tuple({"CUDA_VISIBLE_DEVICES": str(i % gpus)} for i in range(jobs or gpus))
    count = jobs or max(1, min(cores(), free_memory() // MEMORY_A_JOB))
    return ({"OMP_NUM_THREADS": str(max(1, cores() // count))},) * count


@dataclass(frozen=True)
class Order:
    """A study that is to be run at a scale; on which `models` (none: the scale's), and where all is read and written.

    `jobs` is how many run at once; None: as fit. `record` has finished runs, to which new ones are added.
    """

    study: Study
    name: str
    scale_name: str
    scale: Scale
    models: tuple[str, ...]
    data_dir: Path
    folder: Path
    store: Path
    jobs: int | None
    record: Path | None

    def checked(self) -> tuple[Study, Setting]:
        """The part of the study that is run, and its setting.

        Raises PipelineError where an arm cannot be trained, no model is named, or a file of the data folder is missing.
        """
        study = self.study.scaled(self.scale)
        check_training(study, self.scale)
        _check_data(study, self.data_dir)
        tasks = {task: task_content(task, self.data_dir) for task in study.evaluation.tasks}
        setting = Setting(self.scale, self.models or self.scale.models, self.data_dir, tasks)
        if not setting.models:
            raise PipelineError(f"scale {self.scale_name!r} names no model; give one with --model")
        return study, setting


def typed() -> str:
    """The command that runs."""
    return shlex.join(["python", "-m", "pipelines", *sys.argv[1:]])


def run_study(order: Order, console: Console) -> Outcome:
    """Runs what has no result in the folder yet, nor in the record; the outcome has what failed.

    Raises PipelineError as `Order.checked`, and where the folder cannot be written, or the record cannot be read.
    """
    from lope_train.models import CACHED

    study, setting = order.checked()
    planned = plan(study, setting, CACHED)
    places = slots(order.jobs)
    sitting = sitting_here()
    written = None if order.record is None else Record(order.record, sitting)
    progress = Progress(planned, len(places), console)
    with progress.shown():
        finished = Pool(order.folder, order.store, places, written).run(planned, progress)
    return Outcome(
        study=study,
        name=order.name,
        scale_name=order.scale_name,
        scale=order.scale,
        models=setting.models,
        command=typed(),
        hardware=sitting.hardware,
        date=sitting.date,
        answers=_answers(finished),
        runs=_runs(study, setting, finished, sitting),
        steps=[Step(f.job.title, f.job.kind, f.command, f.seconds, f.state, f.reason) for f in finished.values()],
        versions=_versions(finished.values()),
    )


def _check_data(study: Study, data_dir: Path) -> None:
    if not data_dir.is_dir():
        raise PipelineError(f"no folder {data_dir}: --data-dir names the one that holds {study.source.file}")
    for source in filter(None, (study.source, study.evaluation.test)):
        if not (data_dir / source.file).is_file():
            raise PipelineError(f"{data_dir / source.file}: no such file; --data-dir names the folder it is in")


def _answers(finished: Mapping[str, Finished]) -> list[Answers]:
    results = {name: one.result for name, one in finished.items()}
    done = [one for one in finished.values() if one.job.kind == "evaluate" and one.result]
    return [
        answer
        for one in done
        if one.job.cell is not None
        for answer in answers_of(one.job.cell, named(one.result, one.job.names(results)))
    ]


def _runs(study: Study, setting: Setting, finished: Mapping[str, Finished], sitting: Sitting) -> list[Run]:
    runs = []
    for model in setting.models:
        for seed in setting.seeds:
            for arm, condition in study.cells():
                cell = (model, arm.id, condition.id, seed)
                made = finished[run_id(Cell(*cell))]
                if not made.result:
                    continue
                seconds = made.seconds + finished[evaluation_id(Cell(*cell))].seconds
                if RECORDED in made.result:
                    runs.append(Run(*cell, None, made.result, Sitting(**made.result[RECORDED]), seconds))
                    continue
                path = Path(made.result["path"])
                record = json.loads((path / RECORD).read_text(encoding="utf-8"))
                runs.append(Run(*cell, path, record, sitting, seconds))
    return runs


def _versions(finished: Iterable[Finished]) -> list[Manifest]:
    made = [f.result for f in finished if f.job.kind in ("ingest", "build") and f.result]
    paths = {ref(result): Path(result["path"]) for result in made}  # jobs may have made the same one
    return [Version.at(path).manifest for path in paths.values()]
