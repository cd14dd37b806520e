"""What runs with a classification head answer: the likeliest class of each text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from lope_train.data.classified import Encoder, padded_ids
from lope_train.evaluation.accuracy import NotFiniteError, Score, macro_f1
from lope_train.evaluation.sets import VersionSet
from lope_train.models.load import context_length

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_TOKENS = 4096
"""Padded tokens in one forward pass on a CPU, where a pad costs as much as a token."""
_ACCELERATOR = 8
"""How many times as many on an accelerator."""


class Answers(NamedTuple):
    """The classes of texts, as a model gives them."""

    classes: list[int]
    cut: int
    """How many of the texts were longer than what the model reads, and lost their right end."""


def score_head(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    classes: Sequence[str],
    one: VersionSet,
    advance: Callable[[int], object] = lambda _: None,
) -> Score:
    """How a model with a head for `classes` does on a set of classification rows whose labels are among them.

    `advance` is told the number of rows done. Raises NotFiniteError where logits are no numbers.
    """
    texts = [row["text"] for row in one.rows]
    answers = classify(model, tokenizer, texts, one.ids, advance)
    gold = [classes.index(options[right]) for options, right in zip(one.texts, one.gold, strict=True)]
    right = tuple(a == b for a, b in zip(answers.classes, gold, strict=True))
    return Score(right, None, macro_f1(gold, answers.classes), answers.cut)


@torch.no_grad()
def classify(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    ids: Sequence[str],
    advance: Callable[[int], object] = lambda _: None,
) -> Answers:
    """The likeliest class of each text, by its number, the first where several are; `ids` are for messages.

    `model` is in eval mode. A text longer than what it reads is cut as in training with `truncate`, and counted; one
    without any token is read as a pad.
    """
    encoded = Encoder(tokenizer)(texts, context_length(model))
    rows = [row or [tokenizer.pad_token_id] for row, _ in encoded]
    found = [0] * len(rows)
    budget = _TOKENS if model.device.type == "cpu" else _TOKENS * _ACCELERATOR
    for batch in _batches(rows, budget):
        arrays = padded_ids(tokenizer, [rows[index] for index in batch])
        inputs = {name: torch.from_numpy(values).to(model.device) for name, values in arrays.items()}
        logits = model(**inputs).logits.float()
        if not (finite := logits.isfinite().all(1)).all():
            where = int((~finite).nonzero()[0])
            raise NotFiniteError(ids[batch[where]], float(logits[where][~logits[where].isfinite()][0]))
        for index, best in zip(batch, logits.argmax(1).tolist(), strict=True):
            found[index] = best
        advance(len(batch))
    return Answers(found, sum(cut for _, cut in encoded))


def _batches(rows: Sequence[Sequence[int]], budget: int) -> Iterator[list[int]]:
    """Indices of the rows, the longest first, in batches of at most `budget` padded tokens, or of one row."""
    batch: list[int] = []
    for index in sorted(range(len(rows)), key=lambda index: -len(rows[index])):
        if batch and (len(batch) + 1) * len(rows[batch[0]]) > budget:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
