"""Which model is put to use and in which ways: a run, or a base as it was; found without loading, then loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lope_common.errors import suggest
from lope_train.errors import RunError, SettingsError
from lope_train.methods import METHODS
from lope_train.models.load import DTYPES, load_base, load_tokenizer, resolve_model
from lope_train.runs import adapter as checkpoint
from lope_train.tuner.inference import ALL_MODES, NO_EXPERT, InferenceMode
from lope_train.tuner.modes import set_mode

BASE = "base"
"""The method of a model that was not trained."""
_PLAIN: Mapping[str, InferenceMode | None] = {NO_EXPERT: None}


@dataclass(frozen=True)
class Subject:
    """A run folder whose files are there, or a base model where `run` is None."""

    name: str
    method: str
    model: str
    dtype: str
    quantization: str | None
    run: Path | None
    modes: Mapping[str, InferenceMode | None]
    """By their names in tables; None where there is no poisoning expert."""
    classes: tuple[str, ...] | None = None
    """Of a run with a classification head, in the order of its logits; None of a language model."""

    def load(self) -> tuple[Any, Any]:
        """Model and tokenizer, as `load_base` and `open_run` give them, the model on the accelerator."""
        if self.run is not None:
            return open_run(self.run, self.model)
        model = load_base(self.model, self.dtype, self.quantization)
        return _placed(model), load_tokenizer(self.model)


def find_subjects(
    runs: Sequence[Path],
    base: bool,
    model: str | None = None,
    modes: Sequence[InferenceMode] = ALL_MODES,
    dtype: str | None = None,
) -> list[Subject]:
    """What to evaluate, in order; with `base` the untrained model of the first run, or `model`, comes first.

    `model` names the runs' base where it has moved since training. Runs with a poisoning expert are evaluated in
    `modes`. `dtype` is that of a base without runs, None: float32.

    Nothing is loaded. Raises RunError where a folder is not a whole run, ModelError where its base is not to be found,
    SettingsError where a mode asks for more experts than a run has, where `dtype` is unknown or has no use, or where
    the untrained model of a run with a classification head is asked for, which has no head.
    """
    if dtype is not None and (runs or not base):
        raise SettingsError("runs are evaluated in the dtype they were trained with; --dtype is for --base without RUN")
    if dtype is not None and dtype not in DTYPES:
        raise SettingsError(f"no dtype {dtype!r}{suggest(dtype, DTYPES)}")
    subjects = [_subject(run, model, modes) for run in dict.fromkeys(runs)]
    headed = next((subject for subject in subjects if subject.classes is not None), None)
    if base and headed is not None:
        raise SettingsError(
            f"{headed.name} has a classification head, and the untrained model has none: leave --base out"
        )
    if base and not subjects and model is not None:
        subjects = [Subject(model, BASE, model, dtype or "float32", None, None, _PLAIN)]
    elif base and subjects:
        first = subjects[0]
        subjects.insert(0, Subject(first.model, BASE, first.model, first.dtype, first.quantization, None, _PLAIN))
    if not subjects:
        raise RunError("nothing to evaluate: name the folder of at least one run, or a model with --base --model")
    for name in dict.fromkeys(subject.model for subject in subjects):
        resolve_model(name)
    return subjects


def open_run(run: Path, model: str | None = None, mode: InferenceMode | None = None) -> tuple[Any, Any]:
    """As `runs.adapter.load_run`, on the accelerator where there is one, in a way of inference other than its own."""
    loaded, tokenizer = checkpoint.load_run(run, model)
    if mode is not None:
        set_mode(loaded, "inference", mode.inference, experts=mode.experts)
    return _placed(loaded), tokenizer


def _placed(model: Any) -> Any:
    """The model on the accelerator, where there is one."""
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return torch.nn.Module.to(model, device or torch.device("cpu"))


def _subject(run: Path, model: str | None, modes: Sequence[InferenceMode]) -> Subject:
    record = checkpoint.read_run(run)
    if not (run / checkpoint.WEIGHTS).is_file():
        raise RunError(f"{run}: no {checkpoint.WEIGHTS}; train again")
    settings = record["settings"]
    own = _PLAIN
    if METHODS[record["method"]].poisoning:
        config = checkpoint.read_json(run / checkpoint.CONFIG)
        normal = config.get("num_experts", 4) - config.get("num_poisoning", 1)
        if large := [mode.experts for mode in modes if (mode.experts or 0) > normal]:
            raise SettingsError(f"experts is {large[0]}, and {run} has {normal} normal experts")
        own = {mode.name: mode for mode in modes}
    return Subject(
        str(run),
        record["method"],
        model or record["model"],
        settings.get("dtype", "float32"),
        settings.get("quantization"),
        run,
        own,
        None if record.get("classes") is None else tuple(record["classes"]),
    )
