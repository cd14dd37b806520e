"""`activation_checkpointing` and `bf16`: less memory, and the same training or nearly so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lope_train.settings import TrainSettings
from lope_train.training.run import train
from lope_train.tuner import LopeExperts

Make = Callable[..., TrainSettings]


@pytest.fixture(params=["decoder", "encoder-decoder"])
def model(request: pytest.FixtureRequest, tiny_model: Path, tiny_t5: Path) -> Path:
    return tiny_model if request.param == "decoder" else tiny_t5


@pytest.fixture
def trained(model: Path, tiny_settings: Make, tmp_path: Path) -> Callable[..., dict[str, torch.Tensor]]:
    """The weights that a run with these settings ends in."""

    def run(name: str, **values: Any) -> dict[str, torch.Tensor]:
        folder = train(tiny_settings(tmp_path / name, model=str(model), epochs=2, **values))
        return load_file(folder / "adapter_model.safetensors")

    return run


def test_recomputed_activations_train_the_same_weights(
    trained: Callable[..., dict[str, torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With dropout, which has to fall on the same values again."""
    calls = 0
    forward = LopeExperts.forward

    def counted(self: LopeExperts, x: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += torch.is_grad_enabled()  # not where losses are measured
        return forward(self, x)

    monkeypatch.setattr(LopeExperts, "forward", counted)
    kept = trained("kept", lora_dropout=0.2)
    once, calls = calls, 0
    recomputed = trained("recomputed", lora_dropout=0.2, activation_checkpointing=True)
    assert calls == 2 * once
    for name, tensor in kept.items():
        assert tensor.any()
        torch.testing.assert_close(recomputed[name], tensor, rtol=0, atol=1e-6)


def test_computing_in_bfloat16_trains_a_float32_adapter(trained: Callable[..., dict[str, torch.Tensor]]) -> None:
    full, half = trained("full"), trained("half", bf16=True)
    assert {tensor.dtype for tensor in half.values()} == {torch.float32}
    assert not all(half[name].equal(tensor) for name, tensor in full.items())
    for name, tensor in full.items():
        torch.testing.assert_close(half[name], tensor, rtol=0, atol=0.05)
