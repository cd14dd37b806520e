"""DyCompEnSate (Sec. 3.2.3, 3.3): the normal experts' weights where the poisoning expert is masked."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

FLOOR = 1e-8
"""A smaller norm counts as this one, so a zero B gives cos 0."""


class Grams(NamedTuple):
    """Inner products of the experts' columns: all that the similarity of their outputs needs."""

    normal: Tensor  # (n, r, r), B_i^T B_i
    cross: Tensor  # (n, r, m r), B_i^T [B_d ...]
    poison: Tensor  # (m r, m r)

    @property
    def flat(self) -> Tensor:
        """(2 n + 1, r r) for one poisoning expert: rows cross, normal, poison, so that one product gives all."""
        return torch.cat([self.cross, self.normal, self.poison.unsqueeze(0)]).flatten(1)


def gram_matrices(B: Tensor, B_poison: Tensor) -> Grams:
    """Of normal experts (n, d_out, r) and poisoning experts (m, d_out, r), in float32 at least."""
    wide = torch.promote_types(B.dtype, torch.float32)
    normal = B.to(wide)
    poison = B_poison.to(wide).permute(1, 0, 2).flatten(1)
    return Grams(normal.mT @ normal, normal.mT @ poison, poison.T @ poison)


def similarity_to_one(z: Tensor, flat: Tensor) -> Tensor:
    """theta_iD = cos(B_i z, B_D z) (..., n) of one poisoning expert, whose weight cancels; `flat` is `Grams.flat`."""
    z = z.to(flat.dtype)
    products = F.linear((z.unsqueeze(-1) * z.unsqueeze(-2)).flatten(-2), flat)
    n = len(flat) // 2
    squares = products.narrow(-1, n, n + 1).clamp_min(FLOOR**2)
    return products.narrow(-1, 0, n) / (squares.narrow(-1, 0, n) * squares.narrow(-1, n, 1)).sqrt()


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
    `normalize` "sum" beta makes all n sum to 1, and 1 + theta_i counts as 1e-8 at least, so that where every theta
    is -1 plain renormalisation is left. With "none" beta is 1.
    """
    n = weights.shape[-1]
    factor = 1 + theta
    if normalize == "sum":
        factor = factor.clamp_min(FLOOR)
    amplified = weights * factor
    if experts is None or experts >= n:
        return amplified if normalize == "none" else amplified / _total(amplified)
    part = theta.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1) < experts
    if normalize == "sum":
        rest = weights.masked_fill(part, 0).sum(-1, keepdim=True)
        amplified = amplified * ((1 - rest) / _total(amplified.masked_fill(~part, 0)))
    return torch.where(part, amplified, weights)


def _total(weights: Tensor) -> Tensor:
    # No token may give all its weight to the poisoning expert so wholly that nothing is left to divide by.
    return weights.sum(-1, keepdim=True).clamp_min(torch.finfo(weights.dtype).tiny)
