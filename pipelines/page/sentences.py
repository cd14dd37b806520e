"""What a study found, in sentences that say no more than its statistics do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipelines.results.findings import GENERATED_CHANCE, MEAN, Comparison, Findings, Floor, Key, Kind, is_test
from pipelines.results.intervals import SEEDS_TO_TEST
from pipelines.results.labels import arm_label, condition_label, p_value, points, task_label
from pipelines.results.power import POWER
from pipelines.study.outcome import Outcome

_MANY = 6
"""Single comparisons that are told, at most."""
_WITH: dict[Kind, str] = {
    "arm": "with {reference}",
    "mode": "with the same runs’ first mode",
    "noise": "with the clean questions",
}


_AT: dict[Floor, str] = {"at floor": "is at floor", "floor unknown": "may be at floor"}
_NO_CLAIM = "Comparisons on it carry no claim."


@dataclass(frozen=True)
class Finding:
    """A sentence, and the single results that it sums up."""

    text: str
    single: list[str] = field(default_factory=list)


def summary(outcome: Outcome, findings: Findings) -> list[Finding]:
    """The findings, what failed first."""
    said = [Finding(text) for text in (*_failures(outcome), *_floors(outcome, findings))]
    for kind in ("arm", "mode", "noise"):
        if found := findings.of(kind):
            said += _compared(outcome, kind, found)
    if findings.unpaired:
        said.append(Finding(f"{_count(len(findings.unpaired), 'comparison')} cannot be made: no seed in common."))
    if not findings.accuracies:
        said.append(Finding("There is no result."))
    elif not findings.of("arm"):
        said.append(Finding(f"Nothing is compared with {arm_label(outcome.study, outcome.study.reference)}."))
    return said


def place_label(outcome: Outcome, key: Key) -> str:
    """The task, the noise in its questions, and the model where there are several."""
    noise = f", {100 * key.noise:g} % of the questions noisy" if key.noise else ""
    model = f", {key.model}" if len(outcome.models) > 1 else ""
    return task_label(outcome.study, key.task) + noise + model


def who_label(outcome: Outcome, one: Comparison) -> str:
    """The arm, its condition where there are several, and of a mode which."""
    study = outcome.study
    parts = [arm_label(study, one.key.arm)]
    if len(study.conditions) > 1:
        parts.append(condition_label(study, one.key.condition))
    return ", ".join([*parts, one.key.mode] if one.kind == "mode" else parts)


def floor_notes(outcome: Outcome, findings: Findings) -> list[tuple[str, str]]:
    """Each task that is not above the floor, and what is the matter with it."""
    return [
        (task_label(outcome.study, task), f"{_AT[floor]} for {model}: {_why(outcome, findings, model, task)}")
        for (model, task), floor in findings.floors.items()
        if floor != "above floor"
    ]


def _why(outcome: Outcome, findings: Findings, model: str, task: str) -> str:
    unknown = findings.floors[model, task] == "floor unknown"
    if task == MEAN:
        return "a task in it may be." if unknown else f"a task in it is. {_NO_CLAIM}"
    if is_test(outcome.study, task):
        return "no trained run has answered it." if unknown else f"no arm is shown to be above chance. {_NO_CLAIM}"
    if unknown:
        return "the untrained model has not answered it."
    generated = any(one.chance is None for key, one in findings.accuracies.items() if key.task == task)
    level = f"{100 * GENERATED_CHANCE:g} %" if generated else "chance"
    return f"the 95 % interval of the untrained model reaches down to {level}. {_NO_CLAIM}"


def _failures(outcome: Outcome) -> list[str]:
    failed = sum(step.state == "failed" for step in outcome.steps)
    if not failed:
        return []
    skipped = len(outcome.failed) - failed
    after = f", so {_count(skipped, 'step')} could not run" if skipped else ""
    return [f"{_count(failed, 'step')} of {len(outcome.steps)} failed{after}. What depends on them is missing below."]


def _floors(outcome: Outcome, findings: Findings) -> list[str]:
    said = []
    for model in outcome.models:
        where = f" for {model}" if len(outcome.models) > 1 else ""
        low, unknown = (
            [task_label(outcome.study, t) for (m, t), floor in findings.floors.items() if (m, floor) == (model, name)]
            for name in ("at floor", "floor unknown")
        )
        if low:
            said.append(
                f"At floor{where}: {', '.join(low)}. Answers there are not shown to be better than guesses, so "
                "comparisons carry no claim."
            )
        if unknown:
            said.append(f"Whether answers{where} are better than guesses is not known: {', '.join(unknown)}.")
    return said


def _compared(outcome: Outcome, kind: Kind, found: Sequence[Comparison]) -> list[Finding]:
    whom = _WITH[kind].format(reference=arm_label(outcome.study, outcome.study.reference))
    tested = [one for one in found if one.holm is not None]
    untested = [one for one in found if one.holm is None and one.floor != "at floor"]
    significant = [one for one in tested if one.significant]
    said = []
    if tested:
        verb = "is" if len(significant) < 2 else "are"
        share = f"{len(significant) or 'none'} of {_count(len(tested), 'tested difference')}"
        text = f"Compared {whom}, {share} {verb} significant"
        if kind == "noise":  # that it costs something is no news
            said.append(Finding(f"{text}{f', {_spread(significant)}' if significant else ''}."))
        else:
            single = [_significant(outcome, one) for one in significant[:_MANY]]
            more = len(significant) - len(single)
            seen = f"{text}. {detectable(tested)}"
            said.append(Finding(seen, [*single, f"and {more} more, in the table"] if more else single))
    if untested:
        few = all(len(one.by_seed) < SEEDS_TO_TEST for one in untested)
        why = f"fewer than {SEEDS_TO_TEST} seeds{'' if few else ', or one question'}"
        said.append(
            Finding(
                f"Compared {whom}, {_count(len(untested), 'difference')} cannot be decided ({why}), "
                f"{_spread(untested)}. Nothing is claimed of {'it' if len(untested) == 1 else 'them'}."
            )
        )
    return said


def detectable(found: Sequence[Comparison]) -> str:
    """How small a difference these could have seen; empty where none is tested."""
    least = [one.detectable for one in found if one.detectable is not None and one.holm is not None]
    if not least:
        return ""
    low, high = (f"{100 * end:.1f}" for end in (min(least), max(least)))
    if low == high:
        return f"A true difference of {low} points could have been seen with power {POWER:g}."
    return f"The smallest true differences that could have been seen with power {POWER:g} are {low} to {high} points."


def _spread(found: Sequence[Comparison]) -> str:
    low, high = min(one.difference for one in found), max(one.difference for one in found)
    return f"{points(low)} points" if len(found) == 1 else f"from {points(low)} to {points(high)} points"


def _significant(outcome: Outcome, one: Comparison) -> str:
    assert one.holm is not None
    assert one.interval is not None
    low, high = one.interval
    return (
        f"{who_label(outcome, one)}: {points(one.difference)} points on {place_label(outcome, one.key)} "
        f"(95 % interval {points(low)} to {points(high)}; {len(one.by_seed)} seeds, "
        f"adjusted p\N{NO-BREAK SPACE}{p_value(one.holm)}{'; floor unknown' if one.floor == 'floor unknown' else ''})"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
