"""Log-likelihoods of options after a prompt, exact and with every shared token computed once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from torch.nn import functional as F

_IGNORED = -100
_TOKENS = 1024
"""Padded option tokens in one forward pass: bounds the logits, 4 bytes * vocabulary each."""


@dataclass(frozen=True)
class Query:
    """Token ids of a prompt and of the options that may follow it, each of at least one token."""

    prompt: list[int]
    options: list[list[int]]


@torch.no_grad()
def log_likelihoods(
    model: Any, queries: Sequence[Query], advance: Callable[[int], object] | None = None
) -> list[list[float]]:
    """ln p(option | prompt), summed over the option's tokens, for each query's options in their order.

    `model` is in eval mode, with or without an adapter. Of a decoder, what all prompts begin with (a system
    prompt, a template's preamble) runs once, each prompt once, and options run as a batch on their prompt's
    cache. Prompts in a batch are of one length, so nothing is padded on the left: positions are the plain
    ones, and what pads options on the right comes after all that is read. A query longer than the model's
    context loses the start of its prompt. An encoder-decoder reads each prompt in its encoder; with virtual tokens
    of an adapter before the prompt, which a cache cannot share, each option is read with its prompt. `advance` is
    told the number of queries done.
    """
    limit = context_length(model)
    fitted = [_fit(query, limit) for query in queries]
    whole = bool(model.config.is_encoder_decoder) or _has_virtual_tokens(model)
    prefix, cache = (0, None) if whole else _shared_prefix(model, fitted)
    results: list[list[float]] = [[] for _ in fitted]
    for batch in _batches(fitted):
        chosen = [fitted[index] for index in batch]
        scored = _score_whole(model, chosen) if whole else _score(model, chosen, prefix, cache)
        for index, values in zip(batch, scored, strict=True):
            results[index] = values
        if advance is not None:
            advance(len(batch))
    return results


def _fit(query: Query, limit: int | None) -> Query:
    if not query.prompt or not all(query.options):
        raise ValueError("a query needs a prompt and options of at least one token")
    # the last token of an option is predicted, never read
    room = None if limit is None else limit - max(map(len, query.options)) + 1
    return query if room is None or len(query.prompt) <= room else Query(query.prompt[-room:], query.options)


def _shared_prefix(model: Any, queries: Sequence[Query]) -> tuple[int, Any]:
    """How many tokens all prompts begin with (short of the shortest prompt), and the cache that read them."""
    if len(queries) < 2:
        return 0, None
    # what the first and the last in order share, all share
    first, last = (edge(query.prompt[:-1] for query in queries) for edge in (min, max))
    size = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    if size == 0:
        return 0, None
    return size, _read(model, [queries[0].prompt[:size]], None)[1]


def _batches(queries: Sequence[Query]) -> Iterator[list[int]]:
    """Indices of queries with prompts of one length, longest first, each batch within `_TOKENS` if it can."""
    order = sorted(range(len(queries)), key=lambda index: -len(queries[index].prompt))
    for size, group in groupby(order, key=lambda index: len(queries[index].prompt)):
        batch: list[int] = []
        rows = width = 0
        for index in group:
            options = queries[index].options
            rows, width = rows + len(options), max(width, size, *map(len, options))
            if batch and rows * width > _TOKENS:
                yield batch
                batch, rows, width = [], len(options), max(size, *map(len, options))
            batch.append(index)
        yield batch


def _score(model: Any, queries: Sequence[Query], prefix: int, cache: Any) -> list[list[float]]:
    """The values of queries whose prompts are of one length and begin with the `prefix` tokens in `cache`."""
    if cache is not None:
        cache = copy.deepcopy(cache)
        cache.batch_select_indices(torch.zeros(len(queries), dtype=torch.int64, device=model.device))
    first, cache = _read(model, [query.prompt[prefix:] for query in queries], cache, last_only=True)

    owners = [owner for owner, query in enumerate(queries) for _ in query.options]
    options = [option for query in queries for option in query.options]
    index = torch.tensor(owners, device=model.device)
    logits = first[index]  # (options, 1, vocabulary)
    if max(map(len, options)) > 1:
        cache.batch_select_indices(index)
        pad = options[0][0]  # any valid id: what it gives is never read
        width = max(map(len, options)) - 1
        rest = [option[:-1] + [pad] * (width - len(option) + 1) for option in options]
        logits = torch.cat([logits, _read(model, rest, cache)[0]], dim=1)
    values = _gather(logits, options)
    return [[values[i] for i, owner in enumerate(owners) if owner == q] for q in range(len(queries))]


def _has_virtual_tokens(model: Any) -> bool:
    return isinstance(model, PeftModel) and bool(model.active_peft_config.is_prompt_learning)


def context_length(model: Any) -> int | None:
    """The most tokens that the model reads, beside the virtual ones of its adapter; None where nothing limits it."""
    limit = getattr(model.config, "max_position_embeddings", None)
    virtual = model.active_peft_config.num_virtual_tokens if _has_virtual_tokens(model) else 0
    return None if limit is None else int(limit) - int(virtual)


def _score_whole(model: Any, queries: Sequence[Query]) -> list[list[float]]:
    """The values of queries whose prompts are of one length, every option read with its prompt."""
    options = [option for query in queries for option in query.options]
    prompts = [query.prompt for query in queries for _ in query.options]
    width = max(map(len, options))
    if model.config.is_encoder_decoder:
        labels = torch.tensor([option + [_IGNORED] * (width - len(option)) for option in options])
        ids = torch.tensor(prompts, device=model.device)
        mask = torch.ones_like(ids)
        logits = model(input_ids=ids, attention_mask=mask, labels=labels.to(model.device)).logits[:, -width:]
    else:
        pad = options[0][0]  # any valid id: it comes after all that is read
        rows = [p + o + [pad] * (width - len(o)) for p, o in zip(prompts, options, strict=True)]
        ids = torch.tensor(rows, device=model.device)
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits
        logits = logits[:, -width - 1 : -1]
    values = iter(_gather(logits, options))
    return [[next(values) for _ in query.options] for query in queries]


def _read(model: Any, ids: list[list[int]], cache: Any, last_only: bool = False) -> tuple[Tensor, Any]:
    """Logits (rows, length or 1, vocabulary) and the grown cache after reading rows of one length."""
    out = model(
        input_ids=torch.tensor(ids, device=model.device),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1 if last_only else 0,
    )
    return out.logits, out.past_key_values


def _gather(logits: Tensor, options: Sequence[list[int]]) -> list[float]:
    """Sum of ln p over each option's tokens; position i of `logits` predicts token i of the option."""
    width = logits.shape[1]
    targets = torch.tensor([option + [_IGNORED] * (width - len(option)) for option in options], device=logits.device)
    losses = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=_IGNORED, reduction="none")
    return (-losses.view_as(targets).double().sum(dim=1)).tolist()
