"""Accuracy of runs, on the same items clean and noisy: over options by log-likelihood, or as lm-eval has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from lope_train.data.classified import unseen
from lope_train.data.prompts import PromptTemplate, around
from lope_train.errors import RunError, SettingsError, VersionError
from lope_train.evaluation.accuracy import NotFiniteError, Score, discordant, score
from lope_train.evaluation.heads import score_head
from lope_train.evaluation.likelihood import Query, TooLongError, log_likelihoods
from lope_train.evaluation.sets import EvalSet, VersionSet
from lope_train.inference.subjects import Subject
from lope_train.tuner.modes import set_mode

if TYPE_CHECKING:
    from lope_train.evaluation.tasks.lm import LopeLM


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
        log-likelihoods divided by the options' characters, lm-eval's acc_norm; null where a task has none. `macro_f1`
        is of sets of classification rows, null on others. `cut` counts the texts that were too long for the model.

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
            "macro_f1": self.score.macro_f1,
            "cut": self.score.cut,
            "right": "".join("01"[right] for right in self.score.right),
        }
        if self.clean is not None:
            record["lost"], record["gained"] = discordant(self.clean, self.score)
        return record


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
    after all, where its log-likelihoods are no numbers, or where an option is longer than what the model reads,
    VersionError where a set has a class that a head was not trained for.
    """
    for subject in subjects:
        _check_classes(subject, sets)
    for subject in subjects:
        model, tokenizer = subject.load()
        if chat_template and not tokenizer.chat_template:
            raise SettingsError(f"{subject.name}: {subject.model} has no chat template; leave --chat-template out")
        versions = [one for one in sets if isinstance(one, VersionSet)]
        asked = {one.name: _queries(one, model, tokenizer) for one in versions} if subject.classes is None else {}
        language_model = None if len(versions) == len(sets) else _language_model(model, tokenizer)
        for name, mode in subject.modes.items():
            if mode is not None:
                set_mode(model, "inference", mode.inference, experts=mode.experts)
            if language_model is not None:
                language_model.forget()
            scores: dict[str, Score] = {}
            for one in sets:
                try:
                    if isinstance(one, VersionSet) and subject.classes is not None:
                        scores[one.name] = score_head(model, tokenizer, subject.classes, one, advance)
                    elif isinstance(one, VersionSet):
                        values = log_likelihoods(model, asked[one.name], advance)
                        _check_finite(values, one.ids)
                        scores[one.name] = score(values, one.texts, one.gold, one.classified)
                    else:
                        scores[one.name] = _task_score(language_model, one, advance, chat_template)
                except NotFiniteError as error:
                    raise RunError(
                        f"{subject.name} ({name}) on {one.name}: {error}; train it with --dtype bfloat16 or float32, "
                        "or at a smaller learning rate"
                    ) from None
                except TooLongError as error:
                    item = f", item {one.ids[error.query]!r}" if isinstance(one, VersionSet) else ""
                    raise RunError(
                        f"{subject.name} on {one.name}{item}: {error}; evaluate a model with a longer context, or "
                        "without this set"
                    ) from None
                clean = None if one.clean is None else scores[one.clean]
                yield Result(subject, name, one, scores[one.name], clean)


def _check_classes(subject: Subject, sets: Sequence[EvalSet]) -> None:
    for one in sets:
        if subject.classes is None or not isinstance(one, VersionSet):
            continue
        right = {texts[answer] for texts, answer in zip(one.texts, one.gold, strict=True)}
        if unknown := sorted(right - {*subject.classes}):
            raise VersionError(f"{subject.name} on {one.name}: {unseen(unknown, subject.classes)}")


def _language_model(model: Any, tokenizer: Any) -> LopeLM:
    from lope_train.evaluation.tasks.lm import LopeLM

    return LopeLM(model, tokenizer)


def _task_score(language_model: Any, one: Any, advance: Callable[[int], object], chat_template: bool) -> Score:
    from lope_train.evaluation.tasks.run import evaluate_tasks

    return evaluate_tasks(language_model, one, advance, chat_template)


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
