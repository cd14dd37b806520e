"""Pipelines that are a list of commands, such as the demo: the recipe, the runner that follows it, the report.

A pipeline is a TOML file in `pipelines/` with `[[steps]]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from pipelines.steps.recipe import Pipeline, load

__all__ = ["Pipeline", "load"]

__getattr__ = lazy(
    __name__,
    {
        "Pipeline": "recipe",
        "load": "recipe",
    },
)
