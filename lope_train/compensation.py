"""DyCompEnSate (Sec. 3.2.3, 3.3): the normal experts' weights where the poisoning expert is masked."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

FLOOR = 1e-8
"""A smaller norm counts as this one, so a zero B gives cos 0; a smaller sum of weights is not scaled up."""


class Grams(NamedTuple):
    """Inner products of the experts' columns: all that the similarity of their outputs needs."""

    normal: Tensor  # (n, r, r), B_i^T B_i
    cross: Tensor  # (n, r, m r), B_i^T [B_d ...]
    poison: Tensor  # (m r, m r)


def gram_matrices(B: Tensor, B_poison: Tensor) -> Grams:
    """Of normal experts (n, d_out, r) and poisoning experts (m, d_out, r), in float32 at least."""
    wide = torch.promote_types(B.dtype, torch.float32)
    normal = B.to(wide)
    poison = B_poison.to(wide).permute(1, 0, 2).flatten(1)
    return Grams(normal.mT @ normal, normal.mT @ poison, poison.T @ poison)


def similarity(z: Tensor, poison_weights: Tensor, grams: Grams) -> Tensor:
    """theta_iD = cos(y_i, y_D) (..., n), with y_i = B_i z and y_D = sum_d w_d B_d z, no y materialised.

    `z` is (..., r) and `poison_weights` (..., m); y_i . y_D = z^T (B_i^T B_d) w_d z, summed over d.
    """
    z = z.to(grams.normal.dtype)
    scaled = (poison_weights.to(z.dtype).unsqueeze(-1) * z.unsqueeze(-2)).flatten(-2)
    dot = torch.einsum("...r,nrs,...s->...n", z, grams.cross, scaled)
    normal = _norm(torch.einsum("...r,nrs,...s->...n", z, grams.normal, z))
    poison = _norm(torch.einsum("...r,rs,...s->...", scaled, grams.poison, scaled))
    return dot / (normal * poison.unsqueeze(-1))


def _norm(squared: Tensor) -> Tensor:
    # Rounding can leave a square just below zero, and the root has no gradient at zero.
    return squared.clamp_min(FLOOR**2).sqrt()


def compensate(
    weights: Tensor, theta: Tensor, experts: int | None = None, normalize: Literal["sum", "none"] = "sum"
) -> Tensor:
    """Amplified weights w'_i = beta w_i (1 + theta_i) of the normal experts; all shapes are (..., n).

    Of the n experts the `experts` with the largest theta take part (None: all), the rest keep w_i. With
    `normalize` "sum" beta makes all n sum to 1; where the amplified weights sum to less than 1e-8, plainly
    renormalised ones stand for them. With "none" beta is 1.
    """
    n = weights.shape[-1]
    rank = theta.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    part = rank < (n if experts is None else experts)
    amplified = weights * (1 + theta)
    if normalize == "none":
        return torch.where(part, amplified, weights)
    rest = weights.masked_fill(part, 0).sum(-1, keepdim=True)
    total = amplified.masked_fill(~part, 0).sum(-1, keepdim=True)
    plain = weights.masked_fill(~part, 0).sum(-1, keepdim=True).clamp_min(FLOOR)
    scaled = torch.where(total < FLOOR, weights / plain, amplified / total.clamp_min(FLOOR))
    return torch.where(part, (1 - rest) * scaled, weights)
