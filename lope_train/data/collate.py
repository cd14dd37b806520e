"""Rows of tokens as a batch: padded on the right, masked by length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lope_train.data.tokens import IGNORED

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Collator:
    """Pads rows of `tokens.load_tokens` on the right, to the longest of the batch; every tensor is int64.

    Of rows: `input_ids`, `labels` (IGNORED where padded) and `attention_mask` (b, l), `row` (b,). The mask comes
    from lengths, since a pad token is often the very token that ends a turn. An encoder-decoder's labels have a
    length of their own.

    Of packed rows: `input_ids`, `labels`, `position_ids` and `row` (-1 where padded), all (b, l). The pads are one
    more example with positions from 0. There is no mask: transformers finds the examples by their positions, and
    only where it gets none.
    """

    tokenizer: PreTrainedTokenizerBase
    encoder_decoder: bool = False

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        import torch

        pad = self.tokenizer.pad_token_id
        if not isinstance(pad, int):
            raise TypeError("the collator needs a tokenizer with a pad token; models.load_tokenizer sets one")
        ids = [row["input_ids"] for row in rows]
        labels = [row["labels"] for row in rows]
        if not self.encoder_decoder and [len(row) for row in ids] != [len(row) for row in labels]:
            raise ValueError("input_ids and labels differ in length: these are rows of an encoder-decoder")
        batch = {"input_ids": padded(ids, pad), "labels": padded(labels, IGNORED)}
        if "position_ids" in rows[0]:
            batch["position_ids"] = padded([row["position_ids"] for row in rows], None)
            batch["row"] = padded([row["row"] for row in rows], -1)
        else:
            batch["attention_mask"] = padded([np.ones(len(row), np.int64) for row in ids], 0)
            batch["row"] = np.array([row["row"] for row in rows], np.int64)
        return {name: torch.from_numpy(values) for name, values in batch.items()}


class Places(NamedTuple):
    """Of each token of a batch, which one it is; all (b, l)."""

    rows: torch.Tensor
    """Row numbers in the version."""
    positions: torch.Tensor
    """Of each token in its row."""
    mask: torch.Tensor
    """1 where there is a token, 0 where there is a pad."""


def places(batch: Mapping[str, torch.Tensor]) -> Places:
    """Of a batch of `Collator`, packed or not, or of `classified.ClassifiedCollator`."""
    rows = batch["row"]
    if "position_ids" in batch:
        return Places(rows, batch["position_ids"], (rows >= 0).long())
    mask = batch["attention_mask"]
    positions = mask.cumsum(1) - 1  # counted from the first token kept, on whichever side the pads are
    return Places(rows.unsqueeze(1).expand_as(mask), positions, mask)


def padded(rows: Sequence[Any], value: int | None) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Lists or arrays as (b, l), padded with `value`; with 0, 1, ... where it is None."""
    longest = max(map(len, rows))
    filled = np.empty((len(rows), longest), np.int64)
    for line, row in zip(filled, rows, strict=True):
        line[: len(row)] = row
        line[len(row) :] = np.arange(longest - len(row)) if value is None else value
    return filled
