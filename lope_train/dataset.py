"""A version's rows as token ids with completion-only labels, and the collator that pads them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from lope_train.errors import VersionError
from lope_train.prompts import Example, PromptTemplate
from lope_train.versions import Version

if TYPE_CHECKING:
    import datasets
    import torch
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""The label of a token that is not learned."""

_BATCH = 1000


class Tokenized(NamedTuple):
    """Training examples in row order, with the counts of the rows that gave none."""

    dataset: datasets.Dataset
    unusable: int
    """Rows without a prompt or a target."""
    too_long: int
    """Rows whose prompt alone fills `max_length`, so that nothing of the completion is left to learn."""


def tokenize(version: Version, tokenizer: PreTrainedTokenizerBase, max_length: int) -> datasets.Dataset:
    """The `dataset` of `tokenize_rows`; a line on stderr says how many rows were left out, if any were."""
    tokenized = tokenize_rows(version, tokenizer, max_length)
    if tokenized.unusable or tokenized.too_long:
        print(
            f"{version.ref}: left out {tokenized.unusable} rows without a prompt or target and "
            f"{tokenized.too_long} rows with a prompt of {max_length} tokens or more",
            file=sys.stderr,
        )
    return tokenized.dataset


def tokenize_rows(version: Version, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Tokenized:
    """Columns `input_ids` and `labels`, lists of at most `max_length` ids a row, in the order of the version.

    Prompt and completion are tokenised apart and joined, so labels begin exactly where the completion does:
    `IGNORED` over the prompt, the ids themselves after it, the token that ends the turn included. Rows that
    are too long lose their right end. Raises VersionError where no row is left.
    """
    import datasets
    import pyarrow as pa

    template = PromptTemplate(tokenizer)
    schema = pa.schema({"input_ids": pa.list_(pa.int32()), "labels": pa.list_(pa.int32())})
    batches, unusable, too_long = [], 0, 0
    # batched by hand: datasets.map would key its cache by a pickle of the tokenizer
    for batch in version.dataset().iter(_BATCH):
        rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        examples = [example for row in rows if (example := template.render(row)) is not None]
        kept = [pair for pair in _encode(examples, template, max_length) if pair is not None]
        unusable += len(rows) - len(examples)
        too_long += len(examples) - len(kept)
        columns = [[pair[0] for pair in kept], [pair[1] for pair in kept]]
        batches.append(pa.record_batch([pa.array(c, pa.list_(pa.int32())) for c in columns], schema=schema))
    table = pa.Table.from_batches(batches, schema=schema)
    if not table.num_rows:
        raise VersionError(
            f"{version.ref}: nothing to train on: of {version.rows} rows {unusable} have no prompt or "
            f"target, {too_long} a prompt of {max_length} tokens or more"
        )
    return Tokenized(datasets.Dataset(table), unusable, too_long)


def _encode(
    examples: Sequence[Example], template: PromptTemplate, max_length: int
) -> list[tuple[list[int], list[int]] | None]:
    """`(input_ids, labels)` of each example; None where the prompt leaves no room for the completion."""
    prompts = template.encode_prompts([example.prompt for example in examples])
    completions = template.encode_completions([example.completion for example in examples])
    return [
        None
        if len(prompt) >= max_length
        else (
            (prompt + completion)[:max_length],
            ([IGNORED] * len(prompt) + completion)[:max_length],
        )
        for prompt, completion in zip(prompts, completions, strict=True)
    ]


@dataclass(frozen=True)
class Collator:
    """Pads rows of `tokenize` on the right, to the longest of the batch.

    Gives `input_ids`, `labels` (IGNORED where padded) and `attention_mask`, each (batch, length) int64. The
    mask comes from the rows' lengths, since a pad token is often the very token that ends a turn.
    """

    tokenizer: PreTrainedTokenizerBase

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        import torch
        from torch.nn.utils.rnn import pad_sequence

        def padded(sequences: list[torch.Tensor], value: int) -> torch.Tensor:
            return pad_sequence(sequences, batch_first=True, padding_value=value)

        ids = [torch.as_tensor(row["input_ids"], dtype=torch.int64) for row in rows]
        labels = [torch.as_tensor(row["labels"], dtype=torch.int64) for row in rows]
        pad = self.tokenizer.pad_token_id
        if not isinstance(pad, int):
            raise TypeError("the collator needs a tokenizer with a pad token; models.load_tokenizer sets one")
        return {
            "input_ids": padded(ids, pad),
            "labels": padded(labels, IGNORED),
            "attention_mask": padded([torch.ones_like(row) for row in ids], 0),
        }
