"""A study's outcome from its record alone, which has no weights and no data: only what the recipe asks for today.

Recorded runs of other settings, of what the recipe no longer has, or made twice are set aside by name, never averaged
in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import PipelineError
from pipelines.study.cells import Cell, asked_of
from pipelines.study.outcome import Answers, Outcome, Run, answers_of
from pipelines.study.recipe import Arm, Condition, Scale, Study
from pipelines.study.record import Record, Recorded

_NOTHING = "nothing"


@dataclass(frozen=True)
class _Line:
    key: str
    cell: Cell
    asked: Mapping[str, Any]


def from_record(study: Study, name: str, scale_name: str, scale: Scale, path: Path, command: str) -> Outcome:
    """What the record at `path` has of a study at a scale; whatever else it has counts too, with its own seeds missing.

    Raises PipelineError where there is no record, or it cannot be read.
    """
    if not path.is_file():
        raise PipelineError(f"{path}: no such record; make one: python -m pipelines run STUDY --record {path}")
    record = Record(path)
    kept: dict[Cell, Recorded] = {}
    aside: list[str] = []
    lines = [(line, _why(study, scale, line)) for line in (_Line(*one) for one in record.cells())]
    last = {line.cell: line.key for line, why in lines if not why}
    for line, why in lines:
        if not why and last[line.cell] != line.key:
            aside.append(f"{_called(line.cell)}: it was made again, with other data or another model")
            continue
        if why:
            aside.append(f"{_called(line.cell)}: {why}")
            continue
        found = record.find(line.key)
        assert found is not None
        kept[line.cell] = found
    planned = study.scaled(scale)
    arms = {arm.id for arm in planned.arms} | {cell.arm for cell in kept}
    conditions = {condition.id for condition in planned.conditions} | {cell.condition for cell in kept}
    shown = study.model_copy(
        update={
            "arms": tuple(arm for arm in study.arms if arm.id in arms),
            "conditions": tuple(one for one in study.conditions if one.id in conditions),
        }
    )
    sittings = [found.sitting for found in kept.values()]
    return Outcome(
        study=shown,
        name=name,
        scale_name=scale_name,
        scale=scale,
        models=tuple(dict.fromkeys([*scale.models, *(cell.model for cell in kept)])),
        command=command,
        hardware="; ".join(dict.fromkeys(one.hardware for one in sittings)),
        date=max((one.date for one in sittings), default=""),
        answers=list(_answers(path, kept)),
        runs=[_run(cell, found) for cell, found in kept.items()],
        set_aside=aside,
    )


def _why(study: Study, scale: Scale, line: _Line) -> str:
    """Why a recorded run is none of the study as it is asked for today; empty where it is one."""
    cell = line.cell
    pairs = {(arm.id, condition.id): (arm, condition) for arm, condition in study.cells()}
    if (pair := pairs.get((str(cell.arm), str(cell.condition)))) is None:
        return "the recipe has no such arm on such a condition"
    return _differences(line.asked, _asked(study, scale, *pair, cell))


def _asked(study: Study, scale: Scale, arm: Arm, condition: Condition, cell: Cell) -> dict[str, Any]:
    assert cell.seed is not None
    return asked_of(study, scale, arm, condition, cell.seed)


def _differences(recorded: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """Both, where they are not the same."""
    before, now = dict(_leaves(recorded)), dict(_leaves(asked))
    found = [
        f"{name} {before.get(name, _NOTHING)}, and the recipe asks for {now.get(name, _NOTHING)}"
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
    ]
    return f"it has {'; '.join(found)}" if found else ""


def _leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{name}.")
        elif value is not None:
            yield f"{above}{name}", value


def _answers(path: Path, kept: Mapping[Cell, Recorded]) -> Iterator[Answers]:
    for cell, found in kept.items():
        try:
            yield from answers_of(cell, found.answers)
        except (KeyError, TypeError) as error:
            raise PipelineError(
                f"{path}: the line of {_called(cell)} lacks {error}; remove it, to make it again"
            ) from error


def _run(cell: Cell, found: Recorded) -> Run:
    assert cell.arm is not None
    assert cell.condition is not None
    assert cell.seed is not None
    return Run(cell.model, cell.arm, cell.condition, cell.seed, None, found.run, found.sitting, sum(found.seconds))


def _called(cell: Cell) -> str:
    return f"{cell.model}, {cell.arm} on {cell.condition}, seed {cell.seed}"
