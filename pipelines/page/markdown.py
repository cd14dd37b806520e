"""A study's results as a page of Markdown, to be committed beside the record that it is made from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from lope_common.files import write_whole
from lope_common.shown import markdown
from lope_train.tuner import NO_EXPERT
from pipelines.page.facts import libraries, settings_table, sittings
from pipelines.page.plots import figures
from pipelines.page.plots.svg import labelled
from pipelines.page.sentences import detectable, summary
from pipelines.results.findings import Accuracy, Comparison, Findings, Key, analyse
from pipelines.results.labels import arm_label, condition_label, is_first, p_value, points, task_label, wanted_seeds
from pipelines.study.outcome import Outcome

_NEVER = "\N{EN DASH}"


def write_markdown(outcome: Outcome, path: Path) -> None:
    """Writes the page and, beside it under its name, its figures; each whole or not at all. Raises OSError."""
    findings = analyse(outcome)
    panels = [panel for drawing in figures(outcome, findings) for panel in drawing.panels]
    names = [f"{path.stem}{f'-{number}' * (len(panels) > 1)}.svg" for number, _ in enumerate(panels, start=1)]
    for name, panel in zip(names, panels, strict=True):
        svg = str(labelled(panel)).replace("<svg ", '<svg style="color:#222;background:#fff" ', 1)
        write_whole(path.parent / name, svg + "\n")
    pictures = [(name, panel.says) for name, panel in zip(names, panels, strict=True)]
    write_whole(path, render_markdown(outcome, findings, pictures))


def render_markdown(outcome: Outcome, findings: Findings, pictures: Sequence[tuple[str, str]] = ()) -> str:
    """The page; `pictures` are files beside it, and what they show in words."""
    study = outcome.study
    parts = [
        f"# {markdown(study.title)}",
        " ".join(_plain(outcome, findings)),
        *([f"**Not in these figures.** {' '.join(missing)}"] if (missing := _missing(outcome)) else []),
        markdown(study.about),
        f"Made from the record beside it, and from nothing else:\n\n```console\n$ {outcome.command}\n```",
        *(f"![{markdown(says)}]({name})" for name, says in pictures),
    ]
    for condition in study.conditions:
        parts += _condition(outcome, findings, condition.id)
    parts += ["## All that was tested", _bullets(_tested(outcome, findings))]
    parts += ["## How each was trained", *_settings(outcome)]
    parts += ["## Where and when", _bullets(_made(outcome))]
    return "\n\n".join(parts) + "\n"


def _plain(outcome: Outcome, findings: Findings) -> list[str]:
    """What a reader in a hurry should know: per condition who is above, below and level with the reference."""
    study = outcome.study
    reference = arm_label(study, study.reference)
    found = findings.of("arm")
    said = []
    for place in dict.fromkeys((one.key.condition, one.key.task, one.key.model) for one in found):
        here = [one for one in found if (one.key.condition, one.key.task, one.key.model) == place]
        base = next(findings.accuracies[one.other] for one in here)
        groups = [
            ("above it", [one for one in here if one.significant and one.difference > 0]),
            ("below it", [one for one in here if one.significant and one.difference < 0]),
            ("not shown to differ", [one for one in here if one.p is not None and not one.significant]),
            ("too few seeds to say", [one for one in here if one.p is None]),
        ]
        listed = [f"{name}: {'; '.join(_difference(outcome, one) for one in some)}" for name, some in groups if some]
        first = f"{markdown(reference)} is right on {_percent(base.mean)} %"
        said.append(f"**{markdown(_where(outcome, *place))}**: {first}. {_sentence(listed)}")
    if seen := detectable(found):
        tests = sum(one.holm is not None for one in findings.comparisons)
        said.append(
            f"{seen} What is above or below is so after Holm's correction for {tests} tests; intervals are of one."
        )
    return said or ["There is nothing to compare yet."]


def _where(outcome: Outcome, condition: str, task: str, model: str) -> str:
    where = ", ".join([condition_label(outcome.study, condition), *_more(outcome, task, model)])
    return where[:1].upper() + where[1:]


def _more(outcome: Outcome, task: str, model: str) -> list[str]:
    """The task and the model, each where there are several."""
    several = [task_label(outcome.study, task)] * (len({one.task for one in outcome.answers}) > 1)
    return several + [model] * (len(outcome.models) > 1)


def _sentence(parts: Iterable[str]) -> str:
    return " ".join(f"{part[:1].upper()}{part[1:]}." for part in parts)


def _difference(outcome: Outcome, one: Comparison) -> str:
    return f"{markdown(arm_label(outcome.study, one.key.arm))} ({points(one.difference)} points{_interval(one)})"


def _interval(one: Comparison) -> str:
    if one.interval is None:
        return ""
    low, high = one.interval
    return f" [{points(low)}, {points(high)}]"


def _missing(outcome: Outcome) -> list[str]:
    """Seeds that the study plans and that are not there, recorded runs that were set aside, and code that changed."""
    study, wanted = outcome.study, wanted_seeds(outcome)
    absent: dict[tuple[str, str], list[str]] = {}
    for model in outcome.models:
        for arm, condition in study.cells():
            cell = (model, arm.id, condition.id)
            there = {run.seed for run in outcome.runs if (run.model, run.arm, run.condition) == cell}
            if lacking := [seed for seed in wanted if seed not in there]:
                count = f"{len(lacking)} of {len(wanted)} seeds" if there else "all seeds"
                place = condition.label + f", {model}" * (len(outcome.models) > 1)
                absent.setdefault((place, count), []).append(arm.label)
    said = [
        f"Missing on {markdown(place)}: {count} of {'; '.join(map(markdown, arms))}."
        for (place, count), arms in absent.items()
    ]
    said += [f"Set aside, as it is not what the recipe asks for: {markdown(one)}." for one in outcome.set_aside]
    commits = dict.fromkeys(run.sitting.commit for run in outcome.runs)
    if len(commits) > 1:
        named = ", ".join(markdown(one) or "unknown" for one in commits)
        said.append(f"The runs are of {len(commits)} commits ({named}), compared as if the code had not changed.")
    if unclean := [one for one in commits if one.endswith("+") or not one]:
        said.append(f"{len(unclean)} of these had changes that no commit has.")
    return said


def _condition(outcome: Outcome, findings: Findings, condition: str) -> list[str]:
    study = outcome.study
    against = {one.key: one for one in (*findings.of("arm"), *findings.of("mode"))}
    found = [one for one in findings.accuracies.values() if one.key.condition == condition]
    if not found:
        return []
    used = [one for one in found if is_first(study, one.key)]
    others = [one for one in found if not is_first(study, one.key)]
    head = [
        "method",
        "poisoning expert",
        "seeds",
        "accuracy, %",
        "lowest to highest",
        "difference, points",
        "adjusted p",
        "could have seen",
        "",
    ]
    parts = [f"## {markdown(condition_label(study, condition))}"]
    parts.append(f"Compared with {markdown(arm_label(study, study.reference))}, by seed and question:")
    parts.append(_table(head, [_row(outcome, one, against) for one in used]))
    if others:
        parts.append("The same runs with the poisoning expert treated in another way, compared with the way above:")
        parts.append(_table(head, [_row(outcome, one, against) for one in others]))
    return parts


def _row(outcome: Outcome, one: Accuracy, against: dict[Key, Comparison]) -> list[str]:
    spread = [*one.by_seed.values()]
    cells = [
        markdown(", ".join([arm_label(outcome.study, one.key.arm), *_more(outcome, one.key.task, one.key.model)])),
        "" if one.key.mode == NO_EXPERT else markdown(one.key.mode),
        str(len(spread)),
        _percent(one.mean),
        f"{_percent(min(spread))} to {_percent(max(spread))}",
    ]
    made = against.get(one.key)
    if made is None:
        return [*cells, *[_NEVER] * 3, "reference" if one.key.arm == outcome.study.reference else ""]
    adjusted = _NEVER if made.holm is None else p_value(made.holm)
    seen = _NEVER if made.detectable is None else f"{100 * made.detectable:.1f}"
    return [*cells, f"{points(made.difference)}{_interval(made)}", adjusted, seen, made.verdict]


def _tested(outcome: Outcome, findings: Findings) -> list[str]:
    said = []
    for finding in summary(outcome, findings):
        said += [finding.text, *finding.single]
    return said


def _settings(outcome: Outcome) -> list[str]:
    columns, rows = settings_table(outcome)
    made = [
        [row["label"] + f" ({row['on']})" * bool(row["on"]), str(row["runs"]), *row["values"], row["typed"]]
        for row in rows
        if row["values"]
    ]
    return [
        _table(
            ["method", "runs", *columns, "as the recipe has it"], [[markdown(cell) for cell in line] for line in made]
        )
    ]


def _made(outcome: Outcome) -> list[str]:
    hours = sum(run.seconds for run in outcome.runs) / 3600
    named = ", ".join(f"{name} {version}" for name, version in libraries(outcome).items())
    return [*sittings(outcome), f"{hours:.1f} hours of runs, training and evaluation together", named]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows))


def _bullets(items: Iterable[str]) -> str:
    return "\n".join(f"- {markdown(item)}" for item in items if item)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
