"""Embedding noise of stage I (Sec. 3.2.1): E' = E + alpha * U(-1, 1) (.) M, M the attention mask; and how strong it is
beside the embeddings that it is added to."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lope_train.data.collate import Places, places

NEFTUNE_TOKENS = 100
"""The length of row for which the strength of noise of scale `neftune` is told, which depends on it."""
_MOST = 2**14
"""Ids whose embeddings are measured: the spread of more is the same within 0.1 % for SmolLM2-135M and MiniLM."""

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


class EmbeddingNoise:
    """Adds the noise to the input embeddings of the next forward pass; made by `embedding_noise`."""

    def __init__(self, alpha: float, seed: int, scale: Literal["none", "neftune"], encoder_decoder: bool) -> None:
        self.alpha = alpha
        self.seed = seed
        self._scale = scale
        self._encoder_decoder = encoder_decoder
        self._batch: tuple[int, Places] | None = None

    def next_batch(self, step: int, inputs: dict[str, Tensor]) -> None:
        """Key the next forward pass by the optimizer step and a batch of `collate.Collator`, packed or not."""
        self._batch = step, places(inputs)

    def _hook(self, module: nn.Module, _args: tuple[Any, ...], output: Tensor) -> Tensor:
        batch, self._batch = self._batch, None
        if not module.training:
            return output
        if batch is None:
            if self._encoder_decoder:
                return output  # an embedding shared with the decoder, which runs second and stays clean
            raise RuntimeError("embedding noise: next_batch() must be called before each forward pass")
        step, (rows, positions, mask) = batch
        noise = self.alpha * uniform(self.seed, step, rows, positions, output.shape[-1])
        if self._scale == "neftune":
            lengths = (rows.unsqueeze(1) == rows.unsqueeze(2)).float() @ mask.float().unsqueeze(-1)
            noise = noise / (lengths * output.shape[-1]).clamp_min(1).sqrt()
        return output + (noise * mask.unsqueeze(-1)).to(output.dtype)


@contextmanager
def embedding_noise(
    model: Any, alpha: float, seed: int, scale: Literal["none", "neftune"] = "none"
) -> Iterator[EmbeddingNoise]:
    """Within the context, noise of strength `alpha` on the input embeddings of a transformers model that trains.

    With the scale `neftune` (Jain et al. 2024) the strength is alpha / sqrt(l d), l the tokens of the row and d the
    width of the embedding; pads get none. Call `next_batch` before each forward pass. Of an encoder-decoder only the
    encoder's input gets noise. The hook is removed at the end, also after an error.
    """
    noise = EmbeddingNoise(alpha, seed, scale, bool(model.config.is_encoder_decoder))
    handle = _noised(model).register_forward_hook(noise._hook)
    try:
        yield noise
    finally:
        handle.remove()


def noise_strength(model: Any, alpha: float, scale: Literal["none", "neftune"] = "none") -> dict[str, Any]:
    """How strong the noise of `embedding_noise` is, as run.json has it for each stage.

    `embedding_alpha` is alpha. `embedding_noise_ratio` is the noise's standard deviation over that of the embeddings,
    (alpha / sqrt(3)) / sd(E): E (n, d) is what the embedding module gives, scaled where it scales, for the ids of the
    vocabulary, each once, and sd is over all n d elements. Of large vocabularies 2^14 ids at most are taken, evenly
    spaced. For SmolLM2-135M and alpha 0.05 it is 0.21. It is a text that says why where it cannot be measured. With the
    scale `neftune` it is that of a row of `embedding_noise_tokens` tokens.
    """
    strength: dict[str, Any] = {"embedding_alpha": alpha, "embedding_noise_ratio": 0.0}
    if not alpha:
        return strength
    noised = _noised(model)
    if any(weight.is_meta or hasattr(weight, "device_mesh") for weight in noised.parameters()):  # a DTensor has one
        return strength | {"embedding_noise_ratio": "not measured: the embedding's weights are not whole here"}
    spread, width = _spread(noised, model.config.get_text_config().vocab_size)
    if not (spread > 0 and math.isfinite(spread)):
        return strength | {"embedding_noise_ratio": f"not measured: the embedding's spread is {spread:g}"}
    ratio = alpha / math.sqrt(3) / spread
    if scale == "neftune":
        ratio /= math.sqrt(NEFTUNE_TOKENS * width)
        strength["embedding_noise_tokens"] = NEFTUNE_TOKENS
    return strength | {"embedding_noise_ratio": float(f"{ratio:.3g}")}


def told(strength: dict[str, Any]) -> str:
    """`noise_strength`'s result in a few words; empty where there is no noise."""
    alpha, ratio, tokens = (strength.get(f"embedding_{key}") for key in ("alpha", "noise_ratio", "noise_tokens"))
    if not alpha:
        return ""
    at = f" in rows of {tokens} tokens" if tokens else ""
    beside = f"{100 * ratio:.3g} % of the embedding's spread{at}" if isinstance(ratio, float) else f"its ratio {ratio}"
    return f"embedding noise {alpha:g}, {beside}"


def _noised(model: Any) -> nn.Module:
    """The module whose output gets the noise."""
    owner = model.get_encoder() if model.config.is_encoder_decoder else model
    return owner.get_input_embeddings()  # type: ignore[no-any-return]


@torch.no_grad()
def _spread(embedding: nn.Module, vocabulary: int) -> tuple[float, int]:
    """The standard deviation of all elements of the embeddings of `_MOST` ids at most, and their width."""
    device = next(embedding.parameters()).device
    ids = torch.arange(0, vocabulary, math.ceil(vocabulary / _MOST), device=device)
    total = squares = 0.0
    width = 0
    for some in torch.split(ids, 1024):  # all of them in float32 could be hundreds of megabytes
        output = embedding(some.unsqueeze(0)).float()
        total += output.sum().item()
        squares += output.square().sum().item()
        width = output.shape[-1]
    elements = len(ids) * width
    variance = squares / elements - (total / elements) ** 2
    return math.sqrt(0.0 if variance < 0 else variance), width  # below 0 by rounding alone; nan stays nan
