"""The cells of a study, an arm on a condition with a seed: what a recipe says of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lope_train.errors import LopeTrainError
from lope_train.methods import METHODS, Method
from lope_train.settings import TrainSettings, settings_from
from pipelines.errors import PipelineError
from pipelines.study.recipe import FIRST_SEED, HYNOISE, Arm, Condition, Noise, Option, Scale, Study, Surgery


@dataclass(frozen=True)
class Cell:
    """One trained run of a study; the untrained model has neither arm, condition nor seed."""

    model: str
    arm: str | None = None
    condition: str | None = None
    seed: int | None = None


def asked_of(study: Study, scale: Scale, arm: Arm, condition: Condition, seed: int) -> dict[str, Any]:
    """All that a recipe says of a cell, in values of JSON: what a record keeps beside its result."""
    options = options_of(arm, condition, scale, seed)
    data = {"source": study.source, "nois": condition.nois, "hynoise": hynoise_of(arm, condition, options)}
    return {
        "train": options,
        "rows": scale.rows,
        "questions": scale.questions,
        "edition": study.edition,
        "unrecorded": arm.unrecorded,
        "surgery": arm.surgery.model_dump(exclude_defaults=True),
        "depth": scale.depth,
        "test": study.evaluation.test and study.evaluation.test.model_dump(mode="json", exclude_none=True),
        **{name: one and one.model_dump(mode="json", exclude_none=True) for name, one in data.items()},
    }


def check_training(study: Study, scale: Scale) -> None:
    """That every arm can be trained with its options, and asked for every K. Raises PipelineError, with the arm."""
    for arm, condition in study.cells():
        if scale.depth is None and arm.surgery != Surgery():
            depths = [name for name, one in study.scales.items() if one.depth]
            raise PipelineError(
                f"arm {arm.id!r} has surgery, which only a scale with a depth does: {', '.join(depths)}"
            )
        given = settings_of(study, scale, arm, condition, FIRST_SEED)
        where = f"arm {arm.id!r} on {condition.id!r}"
        normal = given.num_experts - given.num_poisoning
        if METHODS[given.method].poisoning and (large := [k for k in study.evaluation.experts if k > normal]):
            raise PipelineError(f"{where}: experts has {large[0]}, but there are {normal} normal experts")


def settings_of(study: Study, scale: Scale, arm: Arm, condition: Condition, seed: int) -> TrainSettings:
    """Those of a cell, without its places. Raises PipelineError, with the arm, where they contradict each other."""
    places = {"data": "-", "model": "-", "out": "-"} | ({"held_out": "-"} if study.source.validation else {})
    try:
        return settings_from(places, options_of(arm, condition, scale, seed))
    except LopeTrainError as error:
        raise PipelineError(f"arm {arm.id!r} on {condition.id!r}: {error}") from error


def options_of(arm: Arm, condition: Condition, scale: Scale, seed: int) -> dict[str, Option]:
    """Those of training, the later of these before the earlier: the scale's, the arm's, the condition's."""
    return {**scale.train, **arm.train, **condition.train.get(arm.id, {}), "seed": seed}


def hynoise_of(arm: Arm, condition: Condition, options: Mapping[str, Option]) -> Noise:
    """What never reads HyNoIse is given the paper's, so that conditions which differ in that alone share its runs."""
    reads = method_of(options).reads_both or options.get("on") == "noisy"
    return (arm.hynoise or condition.hynoise) if reads else HYNOISE


def method_of(options: Mapping[str, Option]) -> Method:
    """The method that they name."""
    return METHODS[str(options["method"])]
