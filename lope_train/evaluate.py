"""Accuracy of runs by log-likelihood over options, on the same items clean and noisy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lope_train import checkpoint
from lope_train.errors import RunError
from lope_train.eval_sets import EvalSet
from lope_train.likelihood import Query, log_likelihoods
from lope_train.models import load_base, load_tokenizer, resolve_model
from lope_train.prompts import PromptTemplate, around
from lope_train.score import Score, discordant, score
from lope_train.stages import set_mode

BASE = "base"
LOPE_MODES: dict[str, dict[str, bool]] = {
    "masked + compensated": {"masked": True, "compensate": True},
    "masked": {"masked": True, "compensate": False},
    "not masked": {"masked": False, "compensate": False},
}
"""What is done with the poisoning expert at inference (Sec. 3.2.3)."""
NO_EXPERT = "none"
"""The mode of what has no poisoning expert."""


@dataclass(frozen=True)
class Subject:
    """A run folder whose files are there, or a base model where `run` is None."""

    name: str
    method: str
    model: str
    dtype: str
    quantization: str | None
    run: Path | None

    @property
    def modes(self) -> list[str]:
        return [*LOPE_MODES] if self.method == "lope" else [NO_EXPERT]


@dataclass(frozen=True)
class Result:
    """One model in one mode on one set."""

    subject: Subject
    mode: str
    """A key of LOPE_MODES, or NO_EXPERT."""
    set: EvalSet
    score: Score
    clean: Score | None
    """The score on the same items without noise."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON; shares are in 0..1, `low` and `high` are the 95 % interval of `accuracy`.

        `lost` and `gained`, on noisy sets, count the items that are right only without and only with the noise.
        """
        low, high = self.score.interval
        record: dict[str, Any] = {
            "run": self.subject.name,
            "method": self.subject.method,
            "mode": self.mode,
            "data": self.set.name,
            "items": len(self.score.right),
            "correct": sum(self.score.right),
            "accuracy": self.score.accuracy,
            "low": low,
            "high": high,
            "accuracy_per_byte": self.score.accuracy_per_byte,
        }
        if self.clean is not None:
            record["lost"], record["gained"] = discordant(self.clean, self.score)
        return record


def find_subjects(runs: Sequence[Path], base: bool, model: str | None = None) -> list[Subject]:
    """What to evaluate, in order; with `base` the untrained model of the first run comes first.

    `model` names the runs' base where it has moved since training.

    Nothing is loaded. Raises RunError where a folder is not a whole run, ModelError where its base is not to be found.
    """
    subjects = [_subject(run, model) for run in dict.fromkeys(runs)]
    if not subjects:
        raise RunError("nothing to evaluate: name the folder of at least one run")
    for name in dict.fromkeys(subject.model for subject in subjects):
        resolve_model(name)
    if base:
        first = subjects[0]
        subjects.insert(0, Subject(first.model, BASE, first.model, first.dtype, first.quantization, None))
    return subjects


def _subject(run: Path, model: str | None) -> Subject:
    record = checkpoint.read_run(run)
    if not (run / checkpoint.WEIGHTS).is_file():
        raise RunError(f"{run}: no {checkpoint.WEIGHTS}; train again")
    settings = record["settings"]
    return Subject(
        str(run),
        record["method"],
        model or record["model"],
        settings.get("dtype", "float32"),
        settings.get("quantization"),
        run,
    )


def count_steps(subjects: Sequence[Subject], sets: Sequence[EvalSet]) -> int:
    """How many items `evaluate` goes through, each counted once a mode."""
    return sum(len(subject.modes) for subject in subjects) * sum(len(one.rows) for one in sets)


def evaluate(
    subjects: Sequence[Subject], sets: Sequence[EvalSet], advance: Callable[[int], object] | None = None
) -> Iterator[Result]:
    """Results of each subject in each of its modes on each set, one model in memory at a time.

    Runs on the accelerator where there is one. `advance` is told the number of items done. Raises RunError or
    ModelError where a run or its base cannot be loaded after all.
    """
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    for subject in subjects:
        model: Any
        if subject.run is None:
            model, tokenizer = (
                load_base(subject.model, subject.dtype, subject.quantization),
                load_tokenizer(subject.model),
            )
        else:
            model, tokenizer = checkpoint.load_run(subject.run, subject.model)
        torch.nn.Module.to(model, device or torch.device("cpu"))
        end = around(tokenizer)[1] if model.config.is_encoder_decoder else []
        asked = {one.name: _queries(one, PromptTemplate(tokenizer), end) for one in sets}
        for mode in subject.modes:
            if mode != NO_EXPERT:
                set_mode(model, "inference", **LOPE_MODES[mode])
            scores: dict[str, Score] = {}
            for one in sets:
                values = log_likelihoods(model, asked[one.name], advance)
                scores[one.name] = score(values, one.texts, one.gold)
                clean = None if one.clean is None else scores[one.clean]
                yield Result(subject, mode, one, scores[one.name], clean)


def _queries(one: EvalSet, template: PromptTemplate, end: list[int]) -> list[Query]:
    """`end` is what an encoder-decoder's tokenizer puts after a prompt."""
    examples = [template.render(row) for row in one.rows]
    prompts = template.encode_prompts([example.prompt for example in examples if example is not None])
    options = [template.encode_completions(texts) for texts in one.texts]
    return [Query(prompt + end, ids) for prompt, ids in zip(prompts, options, strict=True)]
