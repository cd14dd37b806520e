"""What `score` is asked for: found and checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lope_common.files import sha256_of
from lope_train.data.edits import ops_by_row
from lope_train.data.versions import Version, resolve
from lope_train.errors import RunError, SettingsError
from lope_train.inference.subjects import Subject, find_subjects
from lope_train.methods import METHODS, having
from lope_train.models.heads import Head
from lope_train.models.load import fingerprint, load_config, resolve_head
from lope_train.runs.adapter import WEIGHTS, read_language_model

_FORMAT = 1


@dataclass(frozen=True)
class Fitting:
    """How the models with a head are trained that judge labels."""

    folds: int = 5
    epochs: int = 6
    learning_rate: float = 1e-3
    seed: int = 614


@dataclass(frozen=True)
class Request:
    """What is scored; made by `ask`."""

    data: Version
    subject: Subject
    head: Head
    fitting: Fitting
    limit: int | None
    max_length: int
    ops: Mapping[str, Sequence[str]]
    """By row id, those that touched the row, in order."""

    @property
    def rows(self) -> int:
        """How many rows are read."""
        return min(self.data.rows, self.limit or self.data.rows)

    @property
    def plain(self) -> dict[str, Any]:
        """What decides the measures."""
        subject = self.subject
        return {
            "format": _FORMAT,
            "data": {"ref": self.data.ref, "content_digest": self.data.content_digest},
            "model": fingerprint(subject.model, load_config(subject.model)),
            "dtype": subject.dtype,
            "quantization": subject.quantization,
            "run": None if subject.run is None else f"sha256:{sha256_of(subject.run / WEIGHTS)}",
            "head": self.head,
            "fitting": asdict(self.fitting) if self.head == "classification" else None,
            "limit": self.limit,
            "max_length": self.max_length,
        }


def ask(
    data: str,
    model: str | None,
    run: Path | None,
    store: Path | None = None,
    *,
    head: Head | None = None,
    fitting: Fitting = Fitting(),  # frozen
    limit: int | None = None,
    max_length: int = 1024,
    dtype: str | None = None,
) -> Request:
    """Find version, model and run. Nothing is loaded.

    Raises SettingsError where neither a model nor a run is named or a number is out of range, ModelError where the
    model is not to be found or cannot have the head, RunError for a run without a poisoning expert or with a head,
    VersionError for a version that is not to be found.
    """
    for name, value, least in (
        ("limit", limit, 1),
        ("max_length", max_length, 1),
        ("folds", fitting.folds, 2),
        ("epochs", fitting.epochs, 1),
    ):
        if value is not None and value < least:
            raise SettingsError(f"{name} is {value}; it must be at least {least}")
    if model is None and run is None:
        raise SettingsError("name the model that judges the rows with --model, or a run of it with --run")
    if run is not None:
        read_language_model(run, "score")
    (subject,) = find_subjects([] if run is None else [run], run is None, model, dtype=dtype)
    if run is not None and not METHODS[subject.method].poisoning:
        needed = having(lambda method: method.poisoning)
        raise RunError(f"{run}: method {subject.method!r} has no poisoning expert; --run takes a run of {needed}")
    if run is not None and head == "classification":
        raise SettingsError("--run is a language model's; with --head classification name the base with --model")
    found = resolve_head(subject.model, head)
    version = resolve(data, store)
    return Request(version, subject, found, fitting, limit, max_length, ops_by_row(version, store))
