"""Without poisoning experts and with the hidden router it is HydraLoRA, as its authors' code computes it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lope_train.tuner.config import LopeConfig
from lope_train.tuner.layer import LopeLinear

D_IN, D_OUT, EXPERTS, RANK, ALPHA = 24, 17, 3, 4, 32


class HydraLinear(nn.Module):
    """The layer that the code of HydraLoRA (Tian et al., NeurIPS 2024) has, read literally.

    Its dropout is left at 0: it draws a mask for each expert. Its softmax is in float32; here in float64 where the
    layer is, since nothing could be compared beyond 1e-7 otherwise.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.scaling = ALPHA / RANK
        self.base = nn.Linear(D_IN, D_OUT, dtype=dtype).requires_grad_(False)
        self.lora_A = nn.Linear(D_IN, RANK, bias=False, dtype=dtype)
        self.lora_route = nn.Linear(D_IN, EXPERTS, bias=False, dtype=dtype)
        self.lora_B = nn.ModuleList(nn.Linear(RANK, D_OUT, bias=False, dtype=dtype) for _ in range(EXPERTS))
        self.lora_dropout = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        result = self.base(x)
        wide = torch.promote_types(x.dtype, torch.float32)
        route_weight = F.softmax(self.lora_route(x), dim=-1, dtype=wide).to(result.dtype)
        for i in range(EXPERTS):
            expert = self.lora_B[i](self.lora_A(self.lora_dropout(x)))
            result = result + route_weight[:, :, i].unsqueeze(-1) * expert * self.scaling
        return result


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("mode", ["stage2", "inference"])
def test_forward_and_gradients_equal_hydralora(mode: str, dtype: torch.dtype, tolerance: float) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        hydra = HydraLinear(dtype)
        x = torch.randn(2, 5, D_IN, dtype=dtype)
        pull = torch.randn(2, 5, D_OUT, dtype=dtype)
    layer = LopeLinear(hydra.base)
    config = LopeConfig(r=RANK, lora_alpha=ALPHA, num_experts=EXPERTS, num_poisoning=0, router_input="hidden")
    layer.add_experts("default", config, "layer")
    layer.set_adapter("default")
    experts = layer.lope_experts["default"]
    experts.mode = mode
    experts.requires_grad_(True)
    with torch.no_grad():
        experts.A.copy_(hydra.lora_A.weight)
        experts.router.copy_(hydra.lora_route.weight)
        experts.B.copy_(torch.stack([b.weight for b in hydra.lora_B]))

    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, expected = layer(ours), hydra(theirs)
    (y * pull).sum().backward()
    (expected * pull).sum().backward()
    pairs = [
        (y, expected),
        (ours.grad, theirs.grad),
        (experts.A.grad, hydra.lora_A.weight.grad),
        (experts.router.grad, hydra.lora_route.weight.grad),
        (experts.B.grad, torch.stack([b.weight.grad for b in hydra.lora_B])),
    ]
    for got, want in pairs:
        assert want.abs().max() > 1e-2
        assert (got - want).abs().max() <= tolerance * max(1.0, want.abs().max().item())
