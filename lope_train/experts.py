"""The experts of one layer: one shared A, several B_i behind a router, one fused product."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lope_train.compensation import Grams, compensate, gram_matrices, similarity
from lope_train.config import LopeConfig
from lope_train.keyed import generator

Mode = Literal["stage1", "stage2", "inference"]

TRAINED: dict[Mode, frozenset[str]] = {
    "stage1": frozenset({"A", "B_poison"}),
    "stage2": frozenset({"A", "B", "router"}),
    "inference": frozenset(),
}
"""Who trains when (Sec. 3.2): the parameters of `LopeExperts` that a mode trains."""


class LopeExperts(nn.Module):
    """s * sum_i w_i B_i A x with w = softmax(router) over all N experts (Fig. 1).

    Parameters: `A` (r, d_in), `B` (n_normal, d_out, r), `B_poison` (n_poisoning, d_out, r; absent where there is
    none), `router` (N, r), or (N, d_in) with the hidden router. Expert i of `B` has router column
    `config.normal_columns[i]`, of `B_poison` `config.poison_columns[i]`.

    Input (..., d_in), output (..., d_out) in the dtype of the parameters. In mode `inference` with `masked` the
    poisoning experts are left out, and with `compensated` DyCompEnSate amplifies the others.
    """

    A: nn.Parameter
    B: nn.Parameter
    B_poison: nn.Parameter | None
    router: nn.Parameter

    def __init__(
        self,
        d_in: int,
        d_out: int,
        config: LopeConfig,
        name: str,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        """`name` is the layer's, so that every layer draws values of its own from the one seed."""
        super().__init__()
        self.config = config
        self.mode: Mode = "inference" if config.inference_mode else "stage1" if config.num_poisoning else "stage2"
        self.masked = config.inference != "unmasked"
        self.compensated = config.inference == "compensated"
        self._grams: tuple[object, Grams] | None = None

        def drawn(purpose: str, *shape: int) -> nn.Parameter:
            values = torch.empty(shape, dtype=dtype, device="cpu")
            # a = sqrt(5) is what both nn.Linear and LoRA's A use.
            nn.init.kaiming_uniform_(values, a=5**0.5, generator=generator(config.seed, name, purpose))
            return nn.Parameter(values.to(device))

        def zero(experts: int) -> nn.Parameter:
            return nn.Parameter(torch.zeros(experts, d_out, config.r, dtype=dtype, device=device))

        self.A = drawn("A", config.r, d_in)
        # Never zero: zero B and a zero router give all normal experts one gradient, and they stay identical.
        self.router = drawn("router", config.num_experts, config.r if config.router_input == "latent" else d_in)
        self.B = zero(config.num_normal)
        self.B_poison = zero(config.num_poisoning) if config.num_poisoning else None
        self.dropout = nn.Dropout(config.lora_dropout) if config.lora_dropout else nn.Identity()
        order = torch.tensor(config.normal_columns + config.poison_columns, device=device)
        self.register_buffer("_order", order, persistent=False)
        self._order: Tensor

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self.A.dtype)
        z = F.linear(self.dropout(x), self.A)
        weights = self.expert_weights(x, z)
        experts: Tensor = self.B
        if self.B_poison is not None and weights.shape[-1] > len(self.B):
            experts = torch.cat([self.B, self.B_poison])
        weighted = (weights.to(z.dtype).unsqueeze(-1) * z.unsqueeze(-2)).flatten(-2)
        return self.config.scaling * F.linear(weighted, experts.permute(1, 0, 2).flatten(1))

    def expert_weights(self, x: Tensor, z: Tensor) -> Tensor:
        """Weights (..., N), normal experts first; where poison is masked, (..., n_normal) of the normal ones alone."""
        logits = F.linear(z if self.config.router_input == "latent" else x, self.router)
        wide = torch.promote_types(logits.dtype, torch.float32)
        weights: Tensor = torch.softmax(logits, dim=-1, dtype=wide)[..., self._order]
        if self.mode != "inference" or not self.masked or self.B_poison is None:
            return weights
        normal, poison = weights.tensor_split([self.config.num_normal], dim=-1)
        if not self.compensated or self.config.compensation_experts == 0:
            return normal
        if self.config.theta == "zero":
            theta = torch.zeros_like(normal)
        else:
            with torch.autocast(z.device.type, enabled=False):
                theta = similarity(z, poison, self._gram_matrices(self.B, self.B_poison))
        return compensate(normal, theta, self.config.compensation_experts, self.config.normalize)

    def _gram_matrices(self, B: Tensor, B_poison: Tensor) -> Grams:
        """Kept until a weight changes in place or is replaced (writes through `.data` are not seen)."""
        tracked = (B, B_poison)
        if torch.compiler.is_compiling() or any(weight.requires_grad or weight.is_inference() for weight in tracked):
            return gram_matrices(B, B_poison)
        state = tuple((weight._version, weight.data_ptr(), weight.dtype) for weight in tracked)
        if self._grams is None or self._grams[0] != state:
            # Made as normal tensors even under inference_mode, so that a later backward pass may save them.
            with torch.inference_mode(False), torch.no_grad():
                self._grams = (state, gram_matrices(B, B_poison))
        return self._grams[1]

    def extra_repr(self) -> str:
        config = self.config
        return f"r={config.r}, normal={config.num_normal}, poisoning={config.num_poisoning}, mode={self.mode}"
