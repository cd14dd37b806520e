"""Embedding noise of stage I (Sec. 3.2.1): E' = E + alpha * U(-1, 1) (.) M, M the attention mask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

# SplitMix64's constants, as signed 64-bit integers; products wrap.
_GAMMA = 0x9E3779B97F4A7C15 - 2**64
_MIX_1 = 0xBF58476D1CE4E5B9 - 2**64
_MIX_2 = 0x94D049BB133111EB - 2**64


def uniform(seed: int, step: int, rows: Tensor, positions: Tensor, width: int) -> Tensor:
    """U(-1, 1) in float32, (b, l, width): a pure function of (seed, step, row, position, element).

    `positions` (b, l) and `rows`, (b, l) or (b, 1), are integers. How rows are batched, packed and padded changes
    nothing.
    """
    device = rows.device
    key = _mix(torch.tensor([seed], device=device) + _GAMMA)
    key = _mix(key + step)
    key = _mix(key + rows.long())
    key = _mix(key + positions.long()).unsqueeze(-1)
    element = torch.arange(1, width + 1, device=device) * _GAMMA
    bits = _shift(_mix(key + element), 41)
    # The middles of 2**23 equal cells: exact in float32, symmetric, ends left out.
    return (2 * bits + 1 - 2**23).float() * 2.0**-23


def _mix(x: Tensor) -> Tensor:
    """SplitMix64's finaliser, a bijection of 64-bit integers in which every bit of x moves every bit."""
    x = (x ^ _shift(x, 30)) * _MIX_1
    x = (x ^ _shift(x, 27)) * _MIX_2
    return x ^ _shift(x, 31)


def _shift(x: Tensor, bits: int) -> Tensor:
    """Shift right, filling with zeros: torch's own shift copies the sign."""
    return torch.bitwise_and(x >> bits, 2 ** (64 - bits) - 1)


class Batch(NamedTuple):
    """What the noise of one forward pass is keyed by; all (b, l)."""

    step: int
    rows: Tensor
    """Row numbers in the version."""
    positions: Tensor
    """Of each token in its row."""
    mask: Tensor
    """1 where there is a token, 0 where there is a pad."""


class EmbeddingNoise:
    """Adds the noise to the input embeddings of the next forward pass; made by `embedding_noise`."""

    def __init__(self, alpha: float, seed: int, scale: Literal["none", "neftune"], encoder_decoder: bool) -> None:
        self.alpha = alpha
        self.seed = seed
        self._scale = scale
        self._encoder_decoder = encoder_decoder
        self._batch: Batch | None = None

    def next_batch(self, step: int, inputs: dict[str, Tensor]) -> None:
        """Key the next forward pass by the optimizer step and a batch of `collate.Collator`, packed or not."""
        rows = inputs["row"]
        if "position_ids" in inputs:
            self._batch = Batch(step, rows, inputs["position_ids"], (rows >= 0).long())
            return
        mask = inputs["attention_mask"]
        positions = mask.cumsum(1) - 1  # counted from the first token kept, on whichever side the pads are
        self._batch = Batch(step, rows.unsqueeze(1).expand_as(mask), positions, mask)

    def _hook(self, module: nn.Module, _args: tuple[Any, ...], output: Tensor) -> Tensor:
        batch, self._batch = self._batch, None
        if not module.training:
            return output
        if batch is None:
            if self._encoder_decoder:
                return output  # an embedding shared with the decoder, which runs second and stays clean
            raise RuntimeError("embedding noise: next_batch() must be called before each forward pass")
        noise = self.alpha * uniform(self.seed, batch.step, batch.rows, batch.positions, output.shape[-1])
        if self._scale == "neftune":
            lengths = (batch.rows.unsqueeze(1) == batch.rows.unsqueeze(2)).float() @ batch.mask.float().unsqueeze(-1)
            noise = noise / (lengths * output.shape[-1]).clamp_min(1).sqrt()
        return output + (noise * batch.mask.unsqueeze(-1)).to(output.dtype)


@contextmanager
def embedding_noise(
    model: Any, alpha: float, seed: int, scale: Literal["none", "neftune"] = "none"
) -> Iterator[EmbeddingNoise]:
    """Within the context, noise of strength `alpha` on the input embeddings of a transformers model that trains.

    With the scale `neftune` (Jain et al. 2024) the strength is alpha / sqrt(l d), l the tokens of the row and d the
    width of the embedding; pads get none. Call `next_batch` before each forward pass. Of an encoder-decoder only the
    encoder's input gets noise. The hook is removed at the end, also after an error.
    """
    encoder_decoder = bool(model.config.is_encoder_decoder)
    owner = model.get_encoder() if encoder_decoder else model
    noise = EmbeddingNoise(alpha, seed, scale, encoder_decoder)
    handle = owner.get_input_embeddings().register_forward_hook(noise._hook)
    try:
        yield noise
    finally:
        handle.remove()
