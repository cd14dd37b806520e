"""Studies: a recipe of methods, data and seeds, the commands it takes, running them, and what came of them.

A study is a TOML file with `[[arms]]`: the paper's are in `pipelines/paper/`, our own beside this file.
Its statistics are in `pipelines.results`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from pipelines.study.jobs import Setting, plan
    from pipelines.study.outcome import BASE, Answers, Outcome, Run, Step
    from pipelines.study.recipe import FIRST_SEED, Scale, Study, load_scales
    from pipelines.study.record import Sitting
    from pipelines.study.recorded import from_record
    from pipelines.study.run import run_study

__all__ = [
    "BASE",
    "FIRST_SEED",
    "Answers",
    "Outcome",
    "Run",
    "Scale",
    "Setting",
    "Sitting",
    "Step",
    "Study",
    "from_record",
    "load_scales",
    "plan",
    "run_study",
]

__getattr__ = lazy(
    __name__,
    {
        "Answers": "outcome",
        "BASE": "outcome",
        "FIRST_SEED": "recipe",
        "Outcome": "outcome",
        "Run": "outcome",
        "Scale": "recipe",
        "Setting": "jobs",
        "Sitting": "record",
        "Step": "outcome",
        "Study": "recipe",
        "from_record": "recorded",
        "load_scales": "recipe",
        "plan": "jobs",
        "run_study": "run",
    },
)
