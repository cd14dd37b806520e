"""`train`: versions in, a run folder out, stage by stage."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import version as library_version
from pathlib import Path
from typing import Any

from lope_train.checkpoint import RUN, save_adapter, write_json
from lope_train.dataset import Collator, tokenize
from lope_train.errors import RunError
from lope_train.keyed import global_seed
from lope_train.loop import run_stage
from lope_train.methods import METHODS, Reads
from lope_train.models import load_base, load_tokenizer
from lope_train.settings import TrainSettings
from lope_train.versions import Version, parent, resolve

LIBRARIES = ("lope", "torch", "transformers", "peft", "accelerate", "datasets", "safetensors")
EMBEDDING_ALPHA = 0.05
"""Strength of the embedding noise where neither the settings nor the version give one; the paper's."""


def train(settings: TrainSettings) -> Path:
    """Fine-tune as `settings` say, and return the run folder: the adapter's two files and `run.json`.

    The folder appears whole at the end, or not at all. The same settings, versions, libraries and machine
    give the same weights. AdamW with torch's betas, gradients clipped at norm 1, a fresh optimizer and
    schedule in each stage. Raises RunError where the folder is taken or the loss is not finite, VersionError
    and ModelError where inputs cannot be read.
    """
    out = settings.out
    _check_out(out)
    noisy = resolve(settings.data, settings.store)
    stages = METHODS[settings.method].stages(settings.on)
    versions: dict[Reads, Version] = {"noisy": noisy}
    if any(stage.reads == "parent" for stage in stages):
        versions["parent"] = parent(noisy, settings.store)
    tokenizer = load_tokenizer(settings.model)
    collator = Collator(tokenizer)
    rows = {stage.reads: tokenize(versions[stage.reads], tokenizer, settings.max_length) for stage in stages}
    model = load_base(settings.model, settings.dtype)
    alpha = next(a for a in (settings.embedding_alpha, noisy.embedding_alpha, EMBEDDING_ALPHA) if a is not None)
    with global_seed(settings.seed):
        model = METHODS[settings.method].attach(model, settings)
        reports = [
            run_stage(model, stage, versions[stage.reads].ref, rows[stage.reads], collator, alpha, settings)
            for stage in stages
        ]
    return _write(model, settings, noisy, reports)


def _check_out(out: Path) -> None:
    if out.is_dir():
        if any(out.iterdir()):
            raise RunError(f"{out}: is not empty; name a new folder, or remove this one")
    elif out.exists():
        raise RunError(f"{out}: is a file; name a new folder")
    # Training takes long; better to know now.
    above = next(path for path in out.absolute().parents if path.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise RunError(f"{out}: no folder can be made in {above}")


def _write(model: Any, settings: TrainSettings, noisy: Version, reports: list[dict[str, Any]]) -> Path:
    """Write the run beside its place, and rename it into it."""
    out = settings.out.absolute()
    folder = Path(settings.model).expanduser()
    link = next(iter(noisy.manifest["parents"]), None)
    record = {
        "method": settings.method,
        "settings": settings.model_dump(mode="json"),
        "model": str(folder.absolute()) if folder.is_dir() else settings.model,
        "data": {
            "ref": noisy.ref,
            "content_digest": noisy.content_digest,
            "parent": f"{link['name']}@{link['version']}" if link else None,
            "parent_content_digest": link["content_digest"] if link else None,
        },
        "stages": reports,
        "libraries": {
            "python": platform.python_version(),
            **{name: library_version(name) for name in LIBRARIES},
        },
    }
    scratch = out.parent / f".{out.name}.{os.getpid()}.tmp"
    try:
        scratch.mkdir(parents=True)
        save_adapter(model, scratch)
        write_json(scratch / RUN, record)
        scratch.replace(out)
    except OSError as error:
        raise RunError(f"{settings.out}: cannot be written: {error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return settings.out
