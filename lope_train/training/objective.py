"""What is minimised: functions of logits and given labels, of which some hold where labels are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from lope_train.settings.settings import TrainSettings

GCE_Q = 0.7


class Objective(Protocol):
    """A loss of predictions."""

    def __call__(self, logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """The sum over the predictions, of `logits` (n, classes or vocabulary), float32, and the labels (n,); with
        `weights` (n,) each counts for that much."""


@dataclass(frozen=True)
class CrossEntropy:
    """-ln p(y), nats. With `smoothing` e the label is (1 - e) of itself and e / k of each of the k classes."""

    smoothing: float = 0.0

    def __call__(self, logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        reduction = "sum" if weights is None else "none"
        return _sum(F.cross_entropy(logits, targets, reduction=reduction, label_smoothing=self.smoothing), weights)


CROSS_ENTROPY = CrossEntropy()
"""The loss of stage I, and what all losses that are reported are in."""


@dataclass(frozen=True)
class GeneralizedCrossEntropy:
    """(1 - p(y)^q) / q, q in (0, 1] (Zhang and Sabuncu, NeurIPS 2018, eq. 6): cross-entropy as q falls to 0, the mean
    absolute error, but for a factor of 2, at 1.

    Its gradient is that of cross-entropy times p(y)^q, so that labels which the model finds unlikely count for little:
    wrong ones, and hard right ones too. It needs no rate of noise. On labels that are all right it learns more slowly.
    """

    q: float = GCE_Q

    def __call__(self, logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        nats = F.cross_entropy(logits, targets, reduction="none")
        # p^q is never formed: it would lose digits near 1
        return -_sum(torch.expm1(-self.q * nats), weights) / self.q


class Forward:
    """-ln sum_k T[k, y] p(k), the forward correction (Patrini et al., CVPR 2017, theorem 2).

    `transition` (classes, classes) has the probability that class k (row) is given as class y (column). With the true
    matrix the minimiser is that of cross-entropy on clean labels. It assumes that noise depends on the class alone.
    """

    def __init__(self, transition: Sequence[Sequence[float]]) -> None:
        self._logs = torch.tensor(transition, dtype=torch.float64).log().float()  # ln 0 adds nothing to the sum

    def __call__(self, logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        given = self._logs.to(logits.device)[:, targets].T
        return -_sum(torch.logsumexp(logits.log_softmax(-1) + given, -1), weights)


def _sum(losses: Tensor, weights: Tensor | None) -> Tensor:
    return losses.sum() if weights is None else losses @ weights


def objective_of(settings: TrainSettings, transition: Sequence[Sequence[float]] | None) -> Objective:
    """What a run's last stage minimises; `transition` is that of `forward`, in the order of the classes.

    `small-loss` is cross-entropy on the rows that are kept (`selection`).
    """
    if settings.loss == "gce":
        return GeneralizedCrossEntropy(GCE_Q if settings.gce_q is None else settings.gce_q)
    if settings.loss == "forward":
        assert transition is not None
        return Forward(transition)
    return CrossEntropy(settings.label_smoothing)
