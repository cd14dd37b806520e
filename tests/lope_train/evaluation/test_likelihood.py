"""The batched, cached computation gives what one plain forward pass for each option gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

from lope_train.evaluation.likelihood import Query, TooLongError, log_likelihoods, score_options
from lope_train.models import load_base
from lope_train.tuner import Inference, LopeConfig, attach, lope_experts, set_mode


@torch.no_grad()
def plain(model: Any, query: Query) -> list[float]:
    """One whole forward pass an option: no cache, no batch, no padding."""
    values = []
    for option in query.options:
        ids = torch.tensor([query.prompt + option])
        logprobs = model(input_ids=ids).logits[0].float().log_softmax(-1)
        start = len(query.prompt) - 1
        values.append(sum(float(logprobs[start + i, token]) for i, token in enumerate(option)))
    return values


def queries(shared: int, count: int = 24, seed: int = 3) -> list[Query]:
    draw = np.random.default_rng(seed)

    def ids(low: int, high: int) -> list[int]:
        return [int(i) for i in draw.integers(3, 290, draw.integers(low, high, endpoint=True))]

    prefix = ids(shared, shared)
    return [Query(prefix + ids(1, 9), [ids(1, 12) for _ in range(draw.integers(1, 6))]) for _ in range(count)]


@pytest.fixture
def model(tiny_model: Path) -> Any:
    model = load_base(str(tiny_model))
    with torch.no_grad():  # a fresh model is almost uniform; make its choices matter
        for parameter in model.parameters():
            parameter.mul_(3.0)
    return model


def adapted(model: Any) -> Any:
    attach(model, LopeConfig(target_modules=("q_proj", "v_proj")))
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for _, layer in lope_experts(model):
            layer.B.normal_(generator=generator)
            assert layer.B_poison is not None
            layer.B_poison.normal_(generator=generator)
    return model.eval()


def check(model: Any, asked: list[Query]) -> list[list[float]]:
    got = log_likelihoods(model, asked)
    for query, values in zip(asked, got, strict=True):
        assert values == pytest.approx(plain(model, query), abs=1e-4)
    return got


@pytest.mark.parametrize("shared", [0, 1, 30])
def test_it_is_the_plain_computation(model: Any, shared: int) -> None:
    check(model, queries(shared))


@pytest.mark.parametrize("worth", [0.0, 1.0])
@pytest.mark.parametrize("shared", [0, 6])
def test_options_with_their_prompt_or_after_it(
    model: Any, shared: int, worth: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lope_train.evaluation.likelihood._WORTH", worth)
    check(model, queries(shared))


@torch.no_grad()
def test_greedy_is_the_likeliest_token_each_time(model: Any) -> None:
    asked = []
    for query in queries(2, count=6):
        ids = list(query.prompt)
        for _ in range(3):
            ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
        likeliest = ids[-3:]
        other = [*likeliest[:-1], (likeliest[-1] + 1) % 290]
        asked.append(Query(query.prompt, [likeliest, other, likeliest[:1]]))
    assert [[option.greedy for option in options] for options in score_options(model, asked)] == [
        [True, False, True]
    ] * 6


@pytest.mark.parametrize("case", ["one token", "one query", "one prompt", "prompt is the prefix"])
def test_small_shapes(model: Any, case: str) -> None:
    asked = {
        "one token": [Query([5, 6], [[7], [8]]), Query([5, 9], [[7], [8]])],
        "one query": [Query([5], [[7, 8, 9], [8]])],
        "one prompt": [Query([5, 6], [[7], [8, 9]])] * 2,
        "prompt is the prefix": [Query([5, 6], [[7, 8]]), Query([5, 6, 7, 8], [[7, 8]])],
    }[case]
    check(model, asked)


def test_nothing_asked_is_nothing_done(model: Any) -> None:
    assert log_likelihoods(model, []) == []


def test_batches_are_bounded_and_change_nothing(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from lope_train.evaluation import likelihood

    asked = queries(5, count=40)
    whole, done = log_likelihoods(model, asked), []
    widths = []
    model.register_forward_pre_hook(lambda _, __, kwargs: widths.append(kwargs["input_ids"].numel()), with_kwargs=True)
    monkeypatch.setattr(likelihood, "_TOKENS", 60)
    small = log_likelihoods(model, asked, done.append)
    assert max(widths) <= 60
    assert sum(done) == 40
    assert len(done) > 10
    for left, right in zip(whole, small, strict=True):
        assert left == pytest.approx(right, abs=1e-4)


def test_with_lope_experts_in_each_mode(model: Any) -> None:
    lope = adapted(model)
    found = []
    for inference in Inference:
        set_mode(lope, "inference", inference)
        found.append(check(lope, queries(4, count=8)))
    assert found[0][0] != pytest.approx(found[1][0], abs=1e-3)
    assert found[1][0] != pytest.approx(found[2][0], abs=1e-3)


def test_with_a_peft_adapter(model: Any) -> None:
    before = log_likelihoods(model, queries(4, count=8))
    lora = get_peft_model(model, LoraConfig(target_modules=["q_proj"], init_lora_weights=False)).eval()
    assert check(lora, queries(4, count=8))[0] != pytest.approx(before[0], abs=1e-3)


def test_a_prompt_beyond_the_context_loses_its_start(model: Any) -> None:
    limit = model.config.max_position_embeddings
    prompt = [3 + i * i % 290 for i in range(limit + 50)]
    options = [[7, 8, 9], [10]]
    kept = Query(prompt[-(limit - 2) :], options)
    assert log_likelihoods(model, [Query(prompt, options)]) == log_likelihoods(model, [kept])


def test_an_option_beyond_the_context_is_refused(model: Any) -> None:
    limit = model.config.max_position_embeddings
    fits, longer = ([3 + i * i % 290 for i in range(size)] for size in (limit, limit + 1))
    check(model, [Query([5], [fits, [10]])])
    assert log_likelihoods(model, [Query([9, 5], [fits])]) == log_likelihoods(model, [Query([5], [fits])])
    with pytest.raises(TooLongError, match=f"an option has {limit + 1} tokens, and the model reads {limit}") as caught:
        log_likelihoods(model, [Query([5], [[10]]), Query([5, 6], [longer, [10]])])
    assert caught.value.query == 1


@pytest.mark.parametrize("query", [Query([], [[1]]), Query([1], [[1], []])])
def test_empty_prompts_and_options_are_refused(model: Any, query: Query) -> None:
    with pytest.raises(ValueError, match="at least one token"):
        log_likelihoods(model, [query])
