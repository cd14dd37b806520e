"""Accuracy of runs, on the same items clean and noisy: over options by log-likelihood, or as lm-eval has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from lope_common.errors import suggest
from lope_train.data.prompts import PromptTemplate, around
from lope_train.errors import RunError, SettingsError
from lope_train.evaluation.accuracy import NotFiniteError, Score, discordant, score
from lope_train.evaluation.likelihood import Query, TooLongError, log_likelihoods
from lope_train.evaluation.sets import EvalSet, VersionSet
from lope_train.models.load import DTYPES, load_base, load_tokenizer, resolve_model
from lope_train.runs import adapter as checkpoint
from lope_train.tuner.modes import lope_experts, set_mode

if TYPE_CHECKING:
    from lope_train.evaluation.tasks.lm import LopeLM

BASE = "base"
NO_EXPERT = "none"
"""The mode of what has no poisoning expert."""


class Inference(NamedTuple):
    """What is done with the poisoning expert at inference (Sec. 3.2.3)."""

    masked: bool
    compensate: bool
    experts: int | None = None
    """K of the compensation; None: the run's."""


LOPE_MODES = {
    "masked + compensated": Inference(masked=True, compensate=True),
    "masked": Inference(masked=True, compensate=False),
    "not masked": Inference(masked=False, compensate=False),
}
_WORDS = dict(zip(("compensated", "masked", "unmasked"), LOPE_MODES, strict=True))
"""How `inference` names them."""


@dataclass(frozen=True)
class Subject:
    """A run folder whose files are there, or a base model where `run` is None."""

    name: str
    method: str
    model: str
    dtype: str
    quantization: str | None
    run: Path | None
    modes: Mapping[str, Inference | None]


@dataclass(frozen=True)
class Result:
    """One model in one mode on one set."""

    subject: Subject
    mode: str
    """A key of the subject's modes."""
    set: EvalSet
    score: Score
    clean: Score | None
    """The score on the same items without noise."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON; shares are in 0..1, `low` and `high` are the 95 % interval of `accuracy`.

        `right` has a 1 for each item that is right, in the order of the set's ids. `accuracy_norm` is by
        log-likelihoods divided by the options' characters, lm-eval's acc_norm; null where a task has none.

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
            "accuracy_norm": self.score.accuracy_norm,
            "right": "".join("01"[right] for right in self.score.right),
        }
        if self.clean is not None:
            record["lost"], record["gained"] = discordant(self.clean, self.score)
        return record


def lope_modes(inference: Sequence[str], experts: Sequence[int]) -> dict[str, Inference]:
    """Modes of a lope run by name: of the words compensated, masked, unmasked, all three where there are none.

    Each of `experts` is a K of the compensation, and a mode of its own. Raises SettingsError.
    """
    for word in inference:
        if word not in _WORDS:
            raise SettingsError(f"no inference {word!r}{suggest(word, _WORDS)}")
    modes = {name: LOPE_MODES[name] for name in ([_WORDS[word] for word in inference] or LOPE_MODES)}
    for count in experts:
        if count < 0:
            raise SettingsError(f"experts is {count}; it must be at least 0")
        modes[f"masked + compensated, K={count}"] = Inference(masked=True, compensate=True, experts=count)
    return modes


def find_subjects(
    runs: Sequence[Path],
    base: bool,
    model: str | None = None,
    modes: Mapping[str, Inference] = LOPE_MODES,
    dtype: str | None = None,
) -> list[Subject]:
    """What to evaluate, in order; with `base` the untrained model of the first run, or `model`, comes first.

    `model` names the runs' base where it has moved since training. Lope runs are evaluated in `modes`. `dtype` is that
    of a base without runs, None: float32.

    Nothing is loaded. Raises RunError where a folder is not a whole run, ModelError where its base is not to be found,
    SettingsError where a mode asks for more experts than a run has, or where `dtype` is none, or has no use.
    """
    if dtype is not None and (runs or not base):
        raise SettingsError("runs are evaluated in the dtype they were trained with; --dtype is for --base without RUN")
    if dtype is not None and dtype not in DTYPES:
        raise SettingsError(f"no dtype {dtype!r}{suggest(dtype, DTYPES)}")
    subjects = [_subject(run, model, modes) for run in dict.fromkeys(runs)]
    if base and not subjects and model is not None:
        subjects = [Subject(model, BASE, model, dtype or "float32", None, None, {NO_EXPERT: None})]
    elif base and subjects:
        first = subjects[0]
        plain = {NO_EXPERT: None}
        subjects.insert(0, Subject(first.model, BASE, first.model, first.dtype, first.quantization, None, plain))
    if not subjects:
        raise RunError("nothing to evaluate: name the folder of at least one run, or a model with --base --model")
    for name in dict.fromkeys(subject.model for subject in subjects):
        resolve_model(name)
    return subjects


def _subject(run: Path, model: str | None, modes: Mapping[str, Inference]) -> Subject:
    record = checkpoint.read_run(run)
    if not (run / checkpoint.WEIGHTS).is_file():
        raise RunError(f"{run}: no {checkpoint.WEIGHTS}; train again")
    settings = record["settings"]
    own: Mapping[str, Inference | None] = {NO_EXPERT: None}
    if record["method"] == "lope":
        config = checkpoint.read_json(run / checkpoint.CONFIG)
        normal = config.get("num_experts", 4) - config.get("num_poisoning", 1)
        if large := [mode.experts for mode in modes.values() if (mode.experts or 0) > normal]:
            raise SettingsError(f"experts is {large[0]}, and {run} has {normal} normal experts")
        own = modes
    return Subject(
        str(run),
        record["method"],
        model or record["model"],
        settings.get("dtype", "float32"),
        settings.get("quantization"),
        run,
        own,
    )


def count_steps(subjects: Sequence[Subject], sets: Sequence[EvalSet]) -> int:
    """How many items `evaluate` goes through, each counted once a mode."""
    return sum(len(subject.modes) for subject in subjects) * sum(len(one.ids) for one in sets)


def evaluate(
    subjects: Sequence[Subject],
    sets: Sequence[EvalSet],
    advance: Callable[[int], object] = lambda _: None,
    chat_template: bool = False,
) -> Iterator[Result]:
    """Results of each subject in each of its modes on each set, one model in memory at a time.

    Runs on the accelerator where there is one. `advance` is told the number of items done. `chat_template` is for
    tasks; versions are asked as in training. Raises RunError or ModelError where a run or its base cannot be loaded
    after all, where its log-likelihoods are no numbers, or where an option is longer than what the model reads.
    """
    for subject in subjects:
        model, tokenizer = _load(subject)
        if chat_template and not tokenizer.chat_template:
            raise SettingsError(f"{subject.name}: {subject.model} has no chat template; leave --chat-template out")
        asked = {one.name: _queries(one, model, tokenizer) for one in sets if isinstance(one, VersionSet)}
        language_model = None if len(asked) == len(sets) else _language_model(model, tokenizer)
        own = next((experts.config.compensation_experts for _, experts in lope_experts(model)), None)
        for mode, inference in subject.modes.items():
            if inference is not None:
                _set_inference(model, inference, own)
            if language_model is not None:
                language_model.forget()
            scores: dict[str, Score] = {}
            for one in sets:
                try:
                    if isinstance(one, VersionSet):
                        values = log_likelihoods(model, asked[one.name], advance)
                        _check_finite(values, one.ids)
                        scores[one.name] = score(values, one.texts, one.gold)
                    else:
                        scores[one.name] = _task_score(language_model, one, advance, chat_template)
                except NotFiniteError as error:
                    raise RunError(
                        f"{subject.name} ({mode}) on {one.name}: {error}; train it with --dtype bfloat16 or float32, "
                        "or at a smaller learning rate"
                    ) from None
                except TooLongError as error:
                    item = f", item {one.ids[error.query]!r}" if isinstance(one, VersionSet) else ""
                    raise RunError(
                        f"{subject.name} on {one.name}{item}: {error}; evaluate a model with a longer context, or "
                        "without this set"
                    ) from None
                clean = None if one.clean is None else scores[one.clean]
                yield Result(subject, mode, one, scores[one.name], clean)


def _load(subject: Subject) -> tuple[Any, Any]:
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    model: Any
    if subject.run is None:
        model = load_base(subject.model, subject.dtype, subject.quantization)
        tokenizer = load_tokenizer(subject.model)
    else:
        model, tokenizer = checkpoint.load_run(subject.run, subject.model)
    torch.nn.Module.to(model, device or torch.device("cpu"))
    return model, tokenizer


def _language_model(model: Any, tokenizer: Any) -> LopeLM:
    from lope_train.evaluation.tasks.lm import LopeLM

    return LopeLM(model, tokenizer)


def _task_score(language_model: Any, one: Any, advance: Callable[[int], object], chat_template: bool) -> Score:
    from lope_train.evaluation.tasks.run import evaluate_tasks

    return evaluate_tasks(language_model, one, advance, chat_template)


def _set_inference(model: Any, inference: Inference, own: int | None) -> None:
    """`own` is the run's K."""
    set_mode(model, "inference", masked=inference.masked, compensate=inference.compensate)
    for _, experts in lope_experts(model):
        experts.config.compensation_experts = own if inference.experts is None else inference.experts


def _queries(one: VersionSet, model: Any, tokenizer: Any) -> list[Query]:
    template = PromptTemplate(tokenizer)
    end = around(tokenizer)[1] if model.config.is_encoder_decoder else []  # what stands after an encoder's prompt
    examples = [template.render(row) for row in one.rows]
    prompts = template.encode_prompts([example.prompt for example in examples if example is not None])
    options = [template.encode_completions(texts) for texts in one.texts]
    return [Query(prompt + end, ids) for prompt, ids in zip(prompts, options, strict=True)]


def _check_finite(values: Sequence[Sequence[float]], ids: Sequence[str]) -> None:
    for logs, row_id in zip(values, ids, strict=True):
        if wrong := [log for log in logs if not isfinite(log)]:
            raise NotFiniteError(row_id, wrong[0])
