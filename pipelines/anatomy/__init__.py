"""LoPE taken apart: arms that change one ingredient each, also ones that no option of training has.

`bed` is what is trained on: a classifier of which all layers are adapted, or the last alone over cached states. `arm`
trains one arm there, `run` a study of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from pipelines.anatomy.run import run_anatomy

__all__ = ["run_anatomy"]

__getattr__ = lazy(__name__, {"run_anatomy": "run"})
