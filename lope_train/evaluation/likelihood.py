"""Log-likelihoods of options after a prompt, exact and with every shared token computed once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lope_train.models.load import context_length, has_virtual_tokens

_IGNORED = -100
_TOKENS = 1024
"""Padded option tokens in one forward pass: bounds the logits, 4 bytes * vocabulary each."""
_ACCELERATOR = 8
"""How many times as many on an accelerator."""
_WORTH = 0.7
"""Options share their prompt's computation where this leaves at most this share of the tokens to read."""


@dataclass(frozen=True)
class Query:
    """Token ids of a prompt and of the options that may follow it, each of at least one token."""

    prompt: list[int]
    options: list[list[int]]


class TooLongError(ValueError):
    """An option that does not fit the context: of one that is cut, the log-likelihood would be another."""

    def __init__(self, query: int, tokens: int, limit: int) -> None:
        super().__init__(f"an option has {tokens} tokens, and the model reads {limit}")
        self.query = query
        """Its index."""


class Scored(NamedTuple):
    """An option after its prompt."""

    log_likelihood: float
    """ln p(option | prompt), summed over the option's tokens."""
    greedy: bool
    """Whether each of its tokens is the likeliest one there."""
    tokens: tuple[float, ...]
    """ln p of each of its tokens after those before it."""


def log_likelihoods(
    model: Any, queries: Sequence[Query], advance: Callable[[int], object] | None = None
) -> list[list[float]]:
    """As `score_options`, the log-likelihoods alone."""
    return [[option.log_likelihood for option in options] for options in score_options(model, queries, advance)]


@torch.no_grad()
def score_options(
    model: Any, queries: Sequence[Query], advance: Callable[[int], object] | None = None
) -> list[list[Scored]]:
    """Each query's options, in their order.

    `model` is in eval mode, with or without an adapter. Of a decoder, what all prompts begin with (a system
    prompt, a template's preamble) runs once, each prompt once, and options run as a batch on their prompt's
    cache; where prompts are short beside their options, each option runs with its prompt. Nothing is padded on the
    left: positions are the plain ones, and what pads on the right comes after all that is read. A query longer than
    the model's context loses the start of its prompt, of which a token at least is kept: TooLongError is raised before
    any is read where an option alone is longer. An encoder-decoder reads each prompt in its encoder; with virtual
    tokens of an adapter before the prompt, which a cache cannot share, each option is read with its prompt. `advance`
    is told the number of queries done.
    """
    limit = context_length(model)
    fitted = [_fit(index, query, limit) for index, query in enumerate(queries)]
    encoder = bool(model.config.is_encoder_decoder)
    prefix, cache = (0, None) if encoder or has_virtual_tokens(model) else _shared_prefix(model, fitted)
    budget = _TOKENS if model.device.type == "cpu" else _TOKENS * _ACCELERATOR
    together: list[int] = []
    apart: list[int] = []
    for index, query in enumerate(fitted):
        alone = not encoder and (has_virtual_tokens(model) or not _worth_sharing(query, prefix))
        (apart if alone else together).append(index)
    results: list[list[Scored]] = [[] for _ in fitted]
    for batch in _batches(fitted, together, budget):
        chosen = [fitted[index] for index in batch]
        scored = _score_encoded(model, chosen) if encoder else _score(model, chosen, prefix, cache)
        for index, values in zip(batch, scored, strict=True):
            results[index] = values
        if advance is not None:
            advance(len(batch))
    for batch in _batches_apart(fitted, apart, budget):
        scored = _score_apart(model, [fitted[index] for index in batch], prefix, cache)
        for index, values in zip(batch, scored, strict=True):
            results[index] = values
        if advance is not None:
            advance(len(batch))
    return results


def _fit(index: int, query: Query, limit: int | None) -> Query:
    if not query.prompt or not all(query.options):
        raise ValueError("a query needs a prompt and options of at least one token")
    if limit is None:
        return query
    longest = max(map(len, query.options))
    room = limit - longest + 1  # the last token of an option is predicted, never read
    if room < 1:
        raise TooLongError(index, longest, limit)
    return query if len(query.prompt) <= room else Query(query.prompt[-room:], query.options)


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


def _worth_sharing(query: Query, prefix: int) -> bool:
    prompt, options = len(query.prompt) - prefix, sum(map(len, query.options))
    return prompt + options <= _WORTH * (len(query.options) * prompt + options)


def _batches_apart(queries: Sequence[Query], chosen: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Those of `chosen`, longest first, each batch within `budget` tokens if it can."""
    size = {index: len(queries[index].prompt) + max(map(len, queries[index].options)) for index in chosen}
    batch: list[int] = []
    rows = 0
    for index in sorted(chosen, key=lambda index: -size[index]):
        rows += len(queries[index].options)
        if batch and rows * size[batch[0]] > budget:
            yield batch
            batch, rows = [], len(queries[index].options)
        batch.append(index)
    if batch:
        yield batch


def _batches(queries: Sequence[Query], chosen: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Those of `chosen` with prompts of one length, longest first, each batch within `budget` tokens if it can."""
    order = sorted(chosen, key=lambda index: (-len(queries[index].prompt), max(map(len, queries[index].options))))
    for size, group in groupby(order, key=lambda index: len(queries[index].prompt)):
        batch: list[int] = []
        rows = width = 0
        for index in group:
            options = queries[index].options
            rows, width = rows + len(options), max(width, size, *map(len, options))
            if batch and rows * width > budget:
                yield batch
                batch, rows, width = [], len(options), max(size, *map(len, options))
            batch.append(index)
        yield batch


def _score(model: Any, queries: Sequence[Query], prefix: int, cache: Any) -> list[list[Scored]]:
    """The values of queries whose prompts are of one length and begin with the `prefix` tokens in `cache`."""
    if cache is not None:
        cache = copy.deepcopy(cache)
        cache.batch_select_indices(torch.zeros(len(queries), dtype=torch.int64, device=model.device))
    first, cache = _read(model, [query.prompt[prefix:] for query in queries], cache, 1)

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
    return _by_query(_gather(logits, options, [0] * len(options)), queries)


def _score_encoded(model: Any, queries: Sequence[Query]) -> list[list[Scored]]:
    """The same of an encoder-decoder."""
    options = [option for query in queries for option in query.options]
    prompts = [query.prompt for query in queries for _ in query.options]
    width = max(map(len, options))
    labels = torch.tensor([option + [_IGNORED] * (width - len(option)) for option in options])
    ids = torch.tensor(prompts, device=model.device)
    mask = torch.ones_like(ids)
    logits = model(input_ids=ids, attention_mask=mask, labels=labels.to(model.device)).logits
    return _by_query(_gather(logits, options, [0] * len(options)), queries)


def _score_apart(model: Any, queries: Sequence[Query], prefix: int, cache: Any) -> list[list[Scored]]:
    """The same with prompts of any length, every option read with its prompt."""
    pairs = [(query.prompt[prefix:], option) for query in queries for option in query.options]
    width = max(len(prompt) + len(option) for prompt, option in pairs) - 1
    ids = [(prompt + option[:-1] + [option[0]] * width)[:width] for prompt, option in pairs]  # any valid id pads
    kept = width - min(len(prompt) for prompt, _ in pairs) + 1
    if cache is not None:
        cache = copy.deepcopy(cache)
        cache.batch_select_indices(torch.zeros(len(pairs), dtype=torch.int64, device=model.device))
    logits = _read(model, ids, cache, kept)[0]
    starts = [len(prompt) - 1 - width + kept for prompt, _ in pairs]
    return _by_query(_gather(logits[:, -kept:], [option for _, option in pairs], starts), queries)


def _by_query(scored: list[Scored], queries: Sequence[Query]) -> list[list[Scored]]:
    values = iter(scored)
    return [[next(values) for _ in query.options] for query in queries]


def _read(model: Any, ids: list[list[int]], cache: Any, kept: int = 0) -> tuple[Tensor, Any]:
    """Logits (rows, `kept`, vocabulary) of the last positions, 0: of all, and the grown cache, of rows of one length.

    With virtual tokens before them there is no cache, and logits are of all positions.
    """
    given = torch.tensor(ids, device=model.device)
    if has_virtual_tokens(model):
        return model(input_ids=given, attention_mask=torch.ones_like(given), use_cache=False).logits, None
    # by index, since a slice is not contiguous, and torch would copy the head's weights for each of its rows
    places = torch.arange(given.shape[1] - kept, given.shape[1], device=model.device) if kept else 0
    out = model(input_ids=given, past_key_values=cache, use_cache=True, logits_to_keep=places)
    return out.logits, out.past_key_values


def _gather(logits: Tensor, options: Sequence[list[int]], starts: Sequence[int]) -> list[Scored]:
    """One of each option; in its row of `logits`, position `start` + i predicts its token i."""
    rows = torch.tensor([row for row, option in enumerate(options) for _ in option], device=logits.device)
    places = [start + i for start, option in zip(starts, options, strict=True) for i in range(len(option))]
    targets = torch.tensor([token for option in options for token in option], device=logits.device)
    read = logits[rows, torch.tensor(places, device=logits.device)].float()
    logs = -F.cross_entropy(read, targets, reduction="none").double()
    sizes = [len(option) for option in options]
    parts = torch.split(logs.cpu(), sizes)
    greedy = torch.split((read.argmax(dim=-1) == targets).cpu(), sizes)
    return [
        Scored(float(part.sum()), bool(same.all()), tuple(part.tolist()))
        for part, same in zip(parts, greedy, strict=True)
    ]
