"""The poisoning expert as a detector of noise: weights of tokens, judged by the edits of a version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_train.detector.output import ScoreFolder
    from lope_train.detector.scores import ask, score

__all__ = ["ScoreFolder", "ask", "score"]

__getattr__ = lazy(
    __name__,
    {
        "ScoreFolder": "output",
        "ask": "scores",
        "score": "scores",
    },
)
