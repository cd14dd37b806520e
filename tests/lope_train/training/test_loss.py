"""The loss of the labelled tokens, for every kind of model and adapter, and batches in parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PrefixTuningConfig, PromptEncoderConfig, get_peft_model
from torch import Tensor
from transformers import AutoModelForCausalLM, T5Config, T5ForConditionalGeneration

from lope_train.training.loss import CompletionLoss, split_by_length
from lope_train.tuner import LopeConfig


@pytest.fixture
def batch() -> dict[str, Tensor]:
    """Five rows of 12, 7, 12, 9 and 8 tokens, padded on the right, with labels on their ends."""
    lengths = torch.tensor([12, 7, 12, 9, 8])
    ids = torch.randint(3, 200, (5, 12), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(12) < lengths[:, None]).long()
    labels = ids.where((torch.arange(12) > 4) & (mask == 1), torch.tensor(-100))
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


@pytest.fixture
def decoder(tiny_model: Path) -> Any:
    return get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_model), LopeConfig(r=2, task_type="CAUSAL_LM"))


@pytest.fixture
def encoder_decoder() -> Any:
    config = T5Config(vocab_size=300, d_model=16, d_kv=4, d_ff=32, num_layers=1, num_heads=4, decoder_start_token_id=0)
    return get_peft_model(T5ForConditionalGeneration(config).eval(), LopeConfig(r=2, task_type="SEQ_2_SEQ_LM"))


def trained(model: Any) -> list[Tensor]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


@pytest.mark.parametrize("selects", [True, False])
def test_it_is_that_of_the_model(decoder: Any, batch: dict[str, Tensor], selects: bool) -> None:
    loss = CompletionLoss.of(decoder)
    assert loss == CompletionLoss(encoder_decoder=False, selects_logits=True, virtual_tokens=0)
    loss = CompletionLoss(False, selects, 0)
    theirs = decoder(**batch).loss
    summed, count = loss(decoder, batch)
    parts = [loss(decoder, part) for part in split_by_length(batch, 2)]
    assert count == sum(part[1] for part in parts) == (batch["labels"] != -100).sum()
    for ours in (summed / count, torch.stack([part[0] for part in parts]).sum() / count):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
        got, want = (torch.autograd.grad(one, trained(decoder), retain_graph=True) for one in (ours, theirs))
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("config", [PrefixTuningConfig, PromptEncoderConfig])
def test_virtual_tokens_shift_what_is_kept(tiny_model: Path, batch: dict[str, Tensor], config: Any) -> None:
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    model = get_peft_model(base, config(num_virtual_tokens=3, task_type="CAUSAL_LM")).eval()
    loss = CompletionLoss.of(model)
    assert loss.virtual_tokens == (3 if config is PromptEncoderConfig else 0)
    theirs = model(**batch).loss
    for selects in (True, False):
        summed, count = CompletionLoss(False, selects, loss.virtual_tokens)(model, batch)
        torch.testing.assert_close(summed / count, theirs, rtol=1e-5, atol=0)


def test_of_an_encoder_decoder_it_is_that_of_the_model_too(encoder_decoder: Any, batch: dict[str, Tensor]) -> None:
    loss = CompletionLoss.of(encoder_decoder)
    assert loss.encoder_decoder
    labels = torch.full((5, 4), -100)
    for row, length in enumerate([3, 1, 4, 2, 4]):
        labels[row, :length] = batch["input_ids"][row, :length]
    batch["labels"] = labels
    theirs = encoder_decoder(**batch).loss
    summed, count = loss(encoder_decoder, batch)
    parts = list(split_by_length(batch, 2))
    assert [part["labels"].shape[1] for part in parts] == [4, 3, 4]
    in_parts = torch.stack([loss(encoder_decoder, part)[0] for part in parts]).sum()
    for ours in (summed / count, in_parts / count):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=0)


def test_parts_hold_every_row_once_and_no_needless_pad(batch: dict[str, Tensor]) -> None:
    batch["row"] = torch.arange(5)
    parts = list(split_by_length(batch, 2))
    assert [part["row"].tolist() for part in parts] == [[1, 4], [3, 0], [2]]
    assert [part["input_ids"].shape[1] for part in parts] == [8, 12, 12]
    for part in parts:
        width = part["labels"].shape[1]
        for name in ("input_ids", "attention_mask", "labels"):
            assert torch.equal(part[name], batch[name][part["row"], :width])
