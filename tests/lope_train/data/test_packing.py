"""Packs keep every example once and within the length; a model reads each as if it stood alone."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaForCausalLM

from lope_train.data import versions
from lope_train.data.collate import Collator
from lope_train.data.packing import pack, positions
from lope_train.data.tokens import load_tokens
from lope_train.models import load_tokenizer


def packs_of(lengths: list[int], max_length: int) -> list[list[int]]:
    members, offsets = pack(np.array(lengths, np.int32), max_length)
    assert members.dtype == offsets.dtype == np.int64
    return [members[start:end].tolist() for start, end in pairwise(offsets)]


def test_best_fit_in_the_order_of_first_examples() -> None:
    #                0  1  2  3  4  5
    assert packs_of([2, 9, 3, 7, 8, 1], 10) == [[0, 4], [1, 5], [2, 3]]
    assert packs_of([10, 10], 10) == [[0], [1]]
    assert packs_of([1, 1, 1], 10) == [[0, 1, 2]]
    # 4 leaves 0 beside 6, and 1 beside 5
    assert packs_of([5, 6, 4], 10) == [[0], [1, 2]]
    assert packs_of([], 10) == []


@pytest.mark.parametrize("lengths", [[0], [11], [5, -1]])
def test_lengths_that_fit_no_pack_are_refused(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="do not fit packs of 10 tokens"):
        pack(np.array(lengths), 10)


@given(st.integers(1, 60).flatmap(lambda most: st.tuples(st.just(most), st.lists(st.integers(1, most)))))
def test_nothing_is_lost_doubled_or_too_long(case: tuple[int, list[int]]) -> None:
    most, lengths = case
    packs = packs_of(lengths, most)
    assert sorted(i for members in packs for i in members) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in members) <= most for members in packs)
    assert all(members == sorted(members) for members in packs)
    assert [members[0] for members in packs] == sorted(members[0] for members in packs)
    # no two packs could be one: best fit opens a pack only where no other has room
    fills = sorted(sum(lengths[i] for i in members) for members in packs)
    assert len(fills) < 2 or fills[0] + fills[1] > most
    assert packs == packs_of(lengths, most)


def test_a_million_examples_take_seconds() -> None:
    lengths = np.random.default_rng(0).integers(1, 2049, 1_000_000)
    start = time.monotonic()
    members, offsets = pack(lengths, 2048)
    assert time.monotonic() - start < 30
    fills = np.add.reduceat(lengths[members], offsets[:-1])
    assert fills.max() <= 2048
    assert fills.sum() / (len(fills) * 2048) > 0.99


def test_positions_count_from_0_in_each() -> None:
    assert positions(np.array([3, 1, 2])).tolist() == [0, 1, 2, 0, 0, 1]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_model_reads_a_packed_example_as_if_alone(
    tiny_model: Path, tiny_store: Path, tmp_path: Path, attention: str
) -> None:
    tokenizer = load_tokenizer(str(tiny_model))
    model = LlamaForCausalLM.from_pretrained(tiny_model, attn_implementation=attention)
    version = versions.resolve("tiny", tiny_store)
    alone = load_tokens(version, tokenizer, max_length=512, cache=tmp_path)
    packed = load_tokens(version, tokenizer, max_length=512, packing=True, cache=tmp_path)
    lengths = [len(pack["input_ids"]) for pack in packed.dataset]
    assert len(set(lengths)) > 1  # so that one is padded
    batch = Collator(tokenizer)([packed.dataset[i] for i in range(len(packed.dataset))])
    with torch.no_grad():
        logits = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits
        for example in alone.dataset:
            ids = torch.as_tensor(example["input_ids"])[None]
            expected = model(input_ids=ids, use_cache=False).logits[0]
            found = logits[batch["row"] == int(example["row"])]
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
