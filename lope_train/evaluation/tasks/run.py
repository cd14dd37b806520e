"""One model on one set through lm-evaluation-harness, in this process."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

from lope_train.evaluation.accuracy import NotFiniteError, Score
from lope_train.evaluation.tasks.lm import LopeLM
from lope_train.evaluation.tasks.load import metric_of, quiet_harness
from lope_train.evaluation.tasks.local import TaskError
from lope_train.evaluation.tasks.sets import TaskSet

_FILTER = "flexible-extract"
"""Which of several ways to read a generated answer counts, where a task has it; else its first."""


def evaluate_tasks(
    language_model: Any, one: TaskSet, advance: Callable[[int], object], chat_template: bool = False
) -> Score:
    """What lm-eval makes of the items, in the order of `one.ids`.

    `language_model` is an LM of lm-eval. `advance` is told the number of items done. Raises NotFiniteError where a
    log-likelihood is no number, TaskError where an accuracy is not right or wrong.
    """
    from lm_eval.defaults import DEFAULT_OTHER_SEED
    from lm_eval.evaluator import evaluate

    left = len(one.ids)

    def step(done: int) -> None:
        nonlocal left
        done = min(done, left)  # an item may have several prompts, or share one
        left -= done
        advance(done)

    if isinstance(language_model, LopeLM):
        language_model.advance = step
    for task in one.tasks.values():
        task.set_fewshot_seed(DEFAULT_OTHER_SEED)  # each time, so that every run sees the same examples
    with quiet_harness():
        found = evaluate(
            language_model,
            {"tasks": one.tasks},
            samples=one.samples,
            bootstrap_iters=0,
            apply_chat_template=chat_template,
            fewshot_as_multiturn=chat_template,
        )
    step(left)
    items = [item for name, task in one.tasks.items() for item in _items(name, task, found["samples"][name])]
    assert [row_id for row_id, *_ in items] == one.ids
    norms = [norm for *_, norm in items]
    return Score(tuple(right for _, right, _ in items), None if None in norms else tuple(map(bool, norms)))


def _items(name: str, task: Any, samples: list[dict[str, Any]]) -> list[tuple[str, bool, bool | None]]:
    """Id, whether right, and by `acc_norm`, of each item."""
    filters = {sample["filter"] for sample in samples}
    chosen = _FILTER if _FILTER in filters else samples[0]["filter"]
    metric = metric_of(name, task)
    items = []
    for sample in samples:
        if sample["filter"] != chosen:
            continue
        row_id = f"{name}-{sample['doc_id']}"
        _check_finite(sample["resps"], row_id)
        if sample[metric] not in (0, 1):
            raise TaskError(f"task {name!r}: {metric} of {row_id} is {sample[metric]}, neither right nor wrong")
        norm = sample.get("acc_norm")
        items.append((row_id, bool(sample[metric]), None if norm is None else bool(norm)))
    return items


def _check_finite(responses: list[Any], row_id: str) -> None:
    for response in responses:
        if isinstance(response[0], tuple) and not isfinite(response[0][0]):
            raise NotFiniteError(row_id, response[0][0])
