"""The experts of one layer: one shared A, several B_i behind a router, one fused product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lope_train.keyed import generator
from lope_train.tuner.compensation import Grams, compensate, gram_matrices, similarity, similarity_to_one
from lope_train.tuner.config import LopeConfig
from lope_train.tuner.inference import Inference

if TYPE_CHECKING:
    from lope_train.tuner.routing import Routing

Mode = Literal["stage1", "stage1_router", "routed", "stage2", "inference"]

TRAINED: dict[Mode, frozenset[str]] = {
    "stage1": frozenset({"A", "B_poison"}),
    "stage1_router": frozenset({"A", "B_poison", "router"}),
    "routed": frozenset({"A", "B", "B_poison", "router"}),
    "stage2": frozenset({"A", "B", "router"}),
    "inference": frozenset(),
}
"""Who trains when: the parameters of `LopeExperts` that a mode trains. `stage1`, `stage2` and `inference` are of the
paper (Sec. 3.2), `stage1_router` is stage I with the router; in `routed` positions decide (`routing`)."""
POISONED: frozenset[Mode] = frozenset({"stage1", "stage1_router", "routed"})
"""The modes that train the poisoning experts: these take part in the forward pass, whatever `inference` says."""


class _Prepared(NamedTuple):
    """What a forward pass makes of the weights alone."""

    router: Tensor
    """Its rows in the order of the experts: normal, then poisoning."""
    experts: Tensor
    """s [B_1 ... B_N], (d_out, N r), of those that take part."""
    grams: Grams | None
    flat: Tensor | None


class LopeExperts(nn.Module):
    """s * sum_i w_i B_i A x with w = softmax(router) over all N experts (Fig. 1).

    Parameters: `A` (r, d_in), `B` (n_normal, d_out, r), `B_poison` (n_poisoning, d_out, r; absent where there is
    none), `router` (N, r), or (N, d_in) with the hidden router. Expert i of `B` has router column
    `config.normal_columns[i]`, of `B_poison` `config.poison_columns[i]`.

    Input (..., d_in), output (..., d_out) in the dtype of the parameters. In the modes `stage2` and `inference`,
    `inference` says what is done with the poisoning experts, and `compensation_experts` is K of DyCompEnSate. In the
    mode `routed`, `routing` says where noise was injected; needed wherever there are gradients.
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
        self.inference: Inference = config.inference
        self.compensation_experts = config.compensation_experts
        self.routing: Routing | None = None
        self._kept: tuple[object, _Prepared] | None = None

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
        if self.mode == "routed" and torch.is_grad_enabled():
            return self._routed(x)
        z = F.linear(self.dropout(x), self.A)
        prepared = self._prepared()
        weights = self._weights(x, z, prepared).to(z.dtype)
        weighted = (weights.unsqueeze(-1) * z.unsqueeze(-2)).flatten(-2)
        return F.linear(weighted, prepared.experts)

    def _routed(self, x: Tensor) -> Tensor:
        """What `forward` gives, bit for bit, with the gradients of `routing`."""
        if self.routing is None or self.B_poison is None:
            raise RuntimeError("mode 'routed' needs a poisoning expert, and the context gradient_routing")
        injected = self.routing.at(x.shape)
        n = self.config.num_normal

        def stopped(tensor: Tensor, where: Tensor) -> Tensor:
            return torch.where(where, tensor.detach(), tensor)

        read = self.dropout(x)
        z = torch.where(injected, F.linear(read, self.A.detach()), F.linear(read, self.A))
        logits = F.linear(z if self.config.router_input == "latent" else x, self.router[self._order])
        normal, poison = logits[..., :n], logits[..., n:]
        weights = _softmax(torch.cat([stopped(normal, injected), poison], -1)).to(z.dtype).unsqueeze(-1)
        # the outputs of experts that are detached give z no gradient; what they give the weights stays
        of_normal = weights[..., :n, :] * stopped(z, injected).unsqueeze(-2)
        of_poison = weights[..., n:, :] * stopped(z, ~injected).unsqueeze(-2)
        weighted = torch.cat([of_normal, of_poison], -2).flatten(-2)
        clean = self.config.scaling * torch.cat([self.B, self.B_poison.detach()]).permute(1, 0, 2).flatten(1)
        noisy = self.config.scaling * torch.cat([self.B.detach(), self.B_poison]).permute(1, 0, 2).flatten(1)
        return torch.where(injected, F.linear(weighted, noisy), F.linear(weighted, clean))

    def expert_weights(self, x: Tensor, z: Tensor) -> Tensor:
        """Weights (..., N), normal experts first; where poison is masked, (..., n_normal) of the normal ones alone."""
        return self._weights(x, z, self._prepared())

    def router_weights(self, x: Tensor) -> Tensor:
        """Weights (..., N) of the router for x (..., d_in), normal experts first, whatever is masked."""
        x = x.to(self.A.dtype)
        return _softmax(self._logits(x, F.linear(x, self.A), self._prepared()))

    def _logits(self, x: Tensor, z: Tensor, prepared: _Prepared) -> Tensor:
        return F.linear(z if self.config.router_input == "latent" else x, prepared.router)

    def _weights(self, x: Tensor, z: Tensor, prepared: _Prepared) -> Tensor:
        logits, n, m = self._logits(x, z, prepared), self.config.num_normal, self.config.num_poisoning
        if not self._masks:
            return _softmax(logits)
        if not self._compensates:
            return _softmax(logits).narrow(-1, 0, n)
        if self._renormalizes:
            # What the poisoning experts' weights sum to cancels. Left in, rounding alone would train their router.
            normal, weights = _softmax(logits.narrow(-1, 0, n)), _softmax(logits.narrow(-1, n, m))
        else:
            every = _softmax(logits)
            normal, weights = every.narrow(-1, 0, n), every.narrow(-1, n, m)
        if torch.is_autocast_enabled(z.device.type):
            with torch.autocast(z.device.type, enabled=False):
                theta = self._theta(z, weights, prepared)
        else:  # entering a context takes as long as five products of one token
            theta = self._theta(z, weights, prepared)
        return compensate(normal, theta, self.compensation_experts, self.config.normalize)

    def _theta(self, z: Tensor, weights: Tensor, prepared: _Prepared) -> Tensor:
        """Of the normal experts; `weights` (..., m) are of the poisoning ones, up to a factor."""
        if prepared.flat is not None:
            return similarity_to_one(z, prepared.flat)
        if prepared.grams is not None:
            return similarity(z, weights, prepared.grams)
        return weights.new_zeros((*weights.shape[:-1], self.config.num_normal))

    @property
    def _masks(self) -> bool:
        return self.mode not in POISONED and self.inference.masked and self.B_poison is not None

    @property
    def _compensates(self) -> bool:
        return self._masks and self.inference.compensated and self.compensation_experts != 0

    @property
    def poisoning_cancels(self) -> bool:
        """Whether the forward pass is the same whatever weight the router gives to the poisoning experts together."""
        return self._compensates and self._renormalizes

    @property
    def _renormalizes(self) -> bool:
        """Whether the weights of all normal experts are scaled to sum to 1."""
        every = self.compensation_experts is None or self.compensation_experts >= self.config.num_normal
        return every and self.config.normalize == "sum"

    def _prepared(self) -> _Prepared:
        """Kept until a weight changes in place or is replaced (writes through `.data` are not seen)."""
        tracked = [self.router, self.B] if self.B_poison is None else [self.router, self.B, self.B_poison]
        if torch.compiler.is_compiling() or any(weight.requires_grad or weight.is_inference() for weight in tracked):
            return self._prepare()
        state = self._masks, self._compensates, *((w._version, w.data_ptr(), w.dtype) for w in tracked)
        if self._kept is None or self._kept[0] != state:
            # Made as normal tensors even under inference_mode, so that a later backward pass may save them.
            with torch.inference_mode(False), torch.no_grad():
                self._kept = (state, self._prepare())
        return self._kept[1]

    def _prepare(self) -> _Prepared:
        stack: Tensor = self.B
        grams = None
        if self.B_poison is not None and not self._masks:
            stack = torch.cat([self.B, self.B_poison])
        elif self.B_poison is not None and self._compensates and self.config.theta == "cosine":
            grams = gram_matrices(self.B, self.B_poison)
        flat = grams.flat if grams is not None and self.config.num_poisoning == 1 else None
        experts = self.config.scaling * stack.permute(1, 0, 2).flatten(1)
        return _Prepared(self.router[self._order], experts, grams, flat)

    def extra_repr(self) -> str:
        config = self.config
        return f"r={config.r}, normal={config.num_normal}, poisoning={config.num_poisoning}, mode={self.mode}"


def _softmax(logits: Tensor) -> Tensor:
    weights: Tensor = torch.softmax(logits, dim=-1, dtype=torch.promote_types(logits.dtype, torch.float32))
    return weights
