"""The training itself: a run, its stages, the trainer of one stage, the loss, the embedding noise.

What a method trains in which stage is in `lope_train.methods`; what a run leaves is in `lope_train.runs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_train.training.embedding_noise import EmbeddingNoise
    from lope_train.training.loss import ClassLoss, CompletionLoss, loss_of, split_by_length
    from lope_train.training.objective import CROSS_ENTROPY
    from lope_train.training.progress import Progress
    from lope_train.training.run import train
    from lope_train.training.stage import StageRows, run_stage
    from lope_train.training.trainer import StageTrainer

__all__ = [
    "CROSS_ENTROPY",
    "ClassLoss",
    "CompletionLoss",
    "EmbeddingNoise",
    "Progress",
    "StageRows",
    "StageTrainer",
    "loss_of",
    "run_stage",
    "split_by_length",
    "train",
]

__getattr__ = lazy(
    __name__,
    {
        "CROSS_ENTROPY": "objective",
        "ClassLoss": "loss",
        "CompletionLoss": "loss",
        "EmbeddingNoise": "embedding_noise",
        "Progress": "progress",
        "StageRows": "stage",
        "StageTrainer": "trainer",
        "loss_of": "loss",
        "run_stage": "stage",
        "split_by_length": "loss",
        "train": "run",
    },
)
