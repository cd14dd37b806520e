"""Which rows of a version are likely wrong, ranked by scores of a model and judged by the version's edits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_train.detector.auroc import areas
    from lope_train.detector.folder import ScoreFolder
    from lope_train.detector.request import Fitting, ask
    from lope_train.detector.scores import score

__all__ = ["Fitting", "ScoreFolder", "areas", "ask", "score"]

__getattr__ = lazy(
    __name__,
    {
        "ScoreFolder": "folder",
        "areas": "auroc",
        "Fitting": "request",
        "ask": "request",
        "score": "scores",
    },
)
