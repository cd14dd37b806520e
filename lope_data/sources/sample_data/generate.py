"""The embedded sample dataset: three shapes in turn, no prompt twice, the same rows everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count, islice

from lope_data.sources.sample_data import classification, facts, instruction, reasoning
from lope_data.sources.sample_data.draw import Draw, Row, Split

ROWS: dict[Split, int] = {"train": 2400, "heldout": 600}
SPLITS: dict[str, Split] = {"sample": "train", "sample-heldout": "heldout"}

# Row i has shape i % 3; within a shape the kinds take turns.
_KINDS: tuple[tuple[Callable[[Draw], Row], ...], ...] = (
    instruction.KINDS,
    facts.KINDS + reasoning.KINDS,
    classification.KINDS,
)


def generate(split: Split) -> list[Row]:
    """The rows of a split: equal thirds of instruction, multiple-choice and classification rows, interleaved.

    A row has the columns of its shape (FORMAT.md) and no others. No prompt occurs twice, within a split or
    across the two. Where a row asks about an entry of a word or fact table, the splits ask about different
    entries, so that accuracy on held-out rows measures what was learnt and not what was memorised.
    """
    taken: set[tuple[str, ...]] = set() if split == "train" else {_prompt(row) for row in generate("train")}
    return list(islice(_rows(split, taken), ROWS[split]))


def _rows(split: Split, taken: set[tuple[str, ...]]) -> Iterator[Row]:
    """Rows without end; a draw whose prompt is taken is drawn again."""
    for index in count():
        kinds = _KINDS[index % len(_KINDS)]
        kind = kinds[index // len(_KINDS) % len(kinds)]
        for attempt in count():
            row = kind(Draw(split, f"{kind.__name__}/{index}/{attempt}"))
            if _prompt(row) not in taken:
                break
        taken.add(_prompt(row))
        yield row


def _prompt(row: Row) -> tuple[str, ...]:
    """What may not occur twice."""
    return tuple(row[column] for column in ("instruction", "input", "question", "text") if column in row)
