"""Studies: a recipe of methods, data and seeds, the commands it takes, running them, and what came of them.

A study is a TOML file with `[[arms]]`: the paper's are in `pipelines/paper/`, our own beside this file.
Its statistics are in `pipelines.results`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from pipelines.study.cells import Cell, asked_of, check_training, settings_of
    from pipelines.study.contents import model_content
    from pipelines.study.jobs import Setting, data_id, plan, ref
    from pipelines.study.machine import cores, sitting_here
    from pipelines.study.outcome import BASE, Answers, Outcome, Run, Step
    from pipelines.study.recipe import FIRST_SEED, Depth, Scale, Study, Surgery, load_scales
    from pipelines.study.record import Record, Sitting, key_of
    from pipelines.study.recorded import from_record
    from pipelines.study.run import Order, run_study, typed
    from pipelines.study.schedule import Pool

__all__ = [
    "BASE",
    "FIRST_SEED",
    "Answers",
    "Cell",
    "Depth",
    "Order",
    "Outcome",
    "Pool",
    "Record",
    "Run",
    "Scale",
    "Setting",
    "Sitting",
    "Step",
    "Study",
    "Surgery",
    "asked_of",
    "check_training",
    "cores",
    "data_id",
    "from_record",
    "key_of",
    "load_scales",
    "model_content",
    "plan",
    "ref",
    "run_study",
    "settings_of",
    "sitting_here",
    "typed",
]

__getattr__ = lazy(
    __name__,
    {
        "Answers": "outcome",
        "BASE": "outcome",
        "Cell": "cells",
        "Depth": "recipe",
        "FIRST_SEED": "recipe",
        "Order": "run",
        "Outcome": "outcome",
        "Pool": "schedule",
        "Record": "record",
        "Run": "outcome",
        "Scale": "recipe",
        "Setting": "jobs",
        "Sitting": "record",
        "Step": "outcome",
        "Study": "recipe",
        "Surgery": "recipe",
        "asked_of": "cells",
        "check_training": "cells",
        "cores": "machine",
        "data_id": "jobs",
        "from_record": "recorded",
        "key_of": "record",
        "load_scales": "recipe",
        "model_content": "contents",
        "plan": "jobs",
        "ref": "jobs",
        "run_study": "run",
        "settings_of": "cells",
        "sitting_here": "machine",
        "typed": "run",
    },
)
