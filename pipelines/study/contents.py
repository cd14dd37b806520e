"""What commands read that their words only name: models, runs and the data of tasks, as hashes of their contents."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

from lope_common.files import sha256_of
from lope_common.places import typed_path
from lope_train.errors import LopeTrainError
from lope_train.evaluation import load_shots, load_task, members
from lope_train.models import folder_fingerprint
from pipelines.errors import PipelineError

WEIGHTS = "adapter_model.safetensors"
RECORD = "run.json"


def task_content(task: str, data_dir: Path) -> str:
    """Of the task's documents and worked examples. Raises PipelineError where they cannot be read."""
    try:
        documents = [load_task(task, data_dir), *(load_shots(member, data_dir) for member in members(task))]
    except LopeTrainError as error:
        raise PipelineError(str(error)) from error
    return hashlib.sha256(json.dumps(documents, sort_keys=True).encode()).hexdigest()


@cache
def model_content(model: str) -> str:
    """Of the files of a model's folder; a hub's id stands for itself."""
    folder = typed_path(model)
    return folder_fingerprint(folder) if folder.is_dir() else model


def run_content(run: Path) -> str:
    """Of the adapter of a run."""
    return sha256_of(run / WEIGHTS)


def is_run(folder: Path) -> bool:
    """Whether a whole run is there."""
    return (folder / RECORD).is_file() and (folder / WEIGHTS).is_file()
