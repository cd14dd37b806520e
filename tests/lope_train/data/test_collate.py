"""Batches are padded on the right and masked by length; the pads of packs are an example of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from transformers import PreTrainedTokenizerBase

from lope_train.data.collate import Collator
from lope_train.models import load_tokenizer


@pytest.fixture
def tokenizer(tiny_model: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(str(tiny_model))


def as_lists(batch: dict[str, torch.Tensor]) -> dict[str, Any]:
    assert {tensor.dtype for tensor in batch.values()} == {torch.int64}
    return {name: tensor.tolist() for name, tensor in batch.items()}


def test_rows_are_padded_right_and_masked_by_length(tokenizer: PreTrainedTokenizerBase) -> None:
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    rows = [
        {"input_ids": [5, 6, 7, end], "labels": [-100, 6, 7, end], "row": 3},
        {"input_ids": [8], "labels": [8], "row": 9},
    ]
    expected = {
        "input_ids": [[5, 6, 7, end], [8, pad, pad, pad]],
        "labels": [[-100, 6, 7, end], [8, -100, -100, -100]],
        "attention_mask": [[1, 1, 1, 1], [1, 0, 0, 0]],
        "row": [3, 9],
    }
    assert as_lists(Collator(tokenizer)(rows)) == expected
    for form in ("numpy", "torch"):
        dataset = datasets.Dataset.from_list(rows).with_format(form)
        assert as_lists(Collator(tokenizer)(dataset.__getitems__([0, 1]))) == expected


def test_a_pad_token_that_ends_turns_is_still_learned(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.pad_token = tokenizer.eos_token
    end = tokenizer.eos_token_id
    batch = as_lists(Collator(tokenizer)([{"input_ids": [5, end], "labels": [5, end], "row": 0}]))
    assert batch["attention_mask"] == [[1, 1]]
    assert batch["labels"] == [[5, end]]


def test_the_pads_of_packs_are_one_more_example(tokenizer: PreTrainedTokenizerBase) -> None:
    pad = tokenizer.pad_token_id
    rows = [
        {
            "input_ids": [5, 6, 7, 8, 9],
            "labels": [-100, 6, 7, -100, 9],
            "position_ids": [0, 1, 2, 0, 1],
            "row": [4, 4, 4, 2, 2],
        },
        {"input_ids": [5, 6], "labels": [-100, 6], "position_ids": [0, 1], "row": [0, 0]},
    ]
    assert as_lists(Collator(tokenizer)(rows)) == {
        "input_ids": [[5, 6, 7, 8, 9], [5, 6, pad, pad, pad]],
        "labels": [[-100, 6, 7, -100, 9], [-100, 6, -100, -100, -100]],
        "position_ids": [[0, 1, 2, 0, 1], [0, 1, 0, 1, 2]],
        "row": [[4, 4, 4, 2, 2], [0, 0, -1, -1, -1]],
    }


def test_an_encoder_decoders_labels_have_a_length_of_their_own(tokenizer: PreTrainedTokenizerBase) -> None:
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    rows = [
        {"input_ids": [5, 6, end], "labels": [7, 8, 9, end], "row": 0},
        {"input_ids": [5, end], "labels": [7, end], "row": 1},
    ]
    assert as_lists(Collator(tokenizer, encoder_decoder=True)(rows)) == {
        "input_ids": [[5, 6, end], [5, end, pad]],
        "labels": [[7, 8, 9, end], [7, end, -100, -100]],
        "attention_mask": [[1, 1, 1], [1, 1, 0]],
        "row": [0, 1],
    }
    with pytest.raises(ValueError, match="rows of an encoder-decoder"):
        Collator(tokenizer)(rows)


def test_a_tokenizer_without_a_pad_token_is_refused(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.pad_token = None
    with pytest.raises(TypeError, match="pad token"):
        Collator(tokenizer)([{"input_ids": [5], "labels": [5], "row": 0}])
