"""Rows as the tokens of training, each with the field and the bytes that it stands for, and the edits it overlaps."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lope_train.data.prompts import PromptTemplate
from lope_train.data.rows import Layout
from lope_train.detector.fields import Span, spans_of
from lope_train.detector.token_edits import Mark, level_of
from lope_train.errors import ModelError, VersionError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LABEL = "label"
"""The level whose ops change the target, and are counted by row."""
_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Token:
    """One token of a row; path, start, end (UTF-8 bytes in the field) and subwords are None in the template's words."""

    text: str
    path: str | None
    start: int | None
    end: int | None
    subwords: int | None
    """Tokens of the whitespace-separated word that it belongs to; 0 of white space."""
    exposed: bool
    """Whether text noise can come to it, and it can be judged by what comes before it."""
    ops: tuple[str, ...]
    """Ops on the text that left something in it, in order."""


@dataclass(frozen=True)
class Line:
    """One row: the first `prompt` of its tokens are the prompt's."""

    row_id: str
    ids: list[int]
    tokens: list[Token]
    prompt: int
    text_ops: tuple[str, ...]
    label_ops: tuple[str, ...]


@dataclass
class Skipped:
    """Rows that are not scored."""

    unusable: int = 0
    """Without a prompt or a target."""
    too_long: int = 0
    """Longer than the run's max_length, unless the run cut such rows."""
    unaligned: int = 0
    """Whose fields the chat template changes, so that edits cannot be placed."""


@dataclass
class Lines:
    """The rows of a version that are scored, and what was left out."""

    lines: list[Line] = field(default_factory=list)
    skipped: Skipped = field(default_factory=Skipped)


def make_lines(
    rows: Sequence[Mapping[str, Any]],
    layout: Layout,
    marks: Mapping[str, Sequence[Mark]],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    truncate: bool,
) -> Lines:
    """The tokens of rows, given as `datasets` has them, exactly as a decoder was trained on them.

    Raises ModelError where the tokenizer does not say what its tokens stand for, VersionError where edits lie
    outside the text.
    """
    if not tokenizer.is_fast:
        raise ModelError(f"{type(tokenizer).__name__} does not say where its tokens are; score needs a fast tokenizer")
    template = PromptTemplate(tokenizer)
    made = Lines()
    for row in rows:
        example = template.render(layout.view(row))
        if example is None:
            made.skipped.unusable += 1
            continue
        prompt = template.encode_prompts([example.prompt])[0]
        completion = template.encode_completions([example.completion])[0]
        if len(prompt) + len(completion) > max_length and (not truncate or len(prompt) >= max_length):
            made.skipped.too_long += 1
            continue
        spans = spans_of(row, layout, example, template)
        if spans is None:
            made.skipped.unaligned += 1
            continue
        own = marks.get(row["lope_row_id"], ())
        asked = _tokens(example.prompt, spans.prompt, own, tokenizer)
        leading = [Token("", None, None, None, None, False, ())] * (len(prompt) - len(asked))
        answer = _tokens(example.completion, spans.completion, own, tokenizer)
        tokens = [*leading, *asked, *answer][:max_length]
        tokens[0] = replace(tokens[0], exposed=False)  # nothing comes before it, so that it has no surprisal
        ops = dict.fromkeys(mark.op for mark in own)
        made.lines.append(
            Line(
                row["lope_row_id"],
                (prompt + completion)[:max_length],
                tokens,
                len(prompt),
                tuple(op for op in ops if level_of(op) != LABEL),
                tuple(op for op in ops if level_of(op) == LABEL),
            )
        )
    return made


def _tokens(text: str, spans: Sequence[Span], marks: Sequence[Mark], tokenizer: PreTrainedTokenizerBase) -> list[Token]:
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    offsets = _tiled(encoded["offset_mapping"])
    found: list[Token | None] = [None] * len(offsets)
    for span in spans:
        inside = [n for n, (begin, end) in enumerate(offsets) if begin < span.end and end > span.begin]
        inside = [n for n in inside if found[n] is None and offsets[n][0] < offsets[n][1]]
        own = [mark for mark in marks if mark.path == span.field.path and level_of(mark.op) != LABEL]
        own = own if span.field.exposed else []
        places = _byte_places(span.field.text)
        if any(mark.end > places[-1] for mark in own):
            raise VersionError(f"an edit in {span.field.path!r} lies outside its text; build the version again")
        sizes = _subwords(text, span, [offsets[n] for n in inside])
        for n, size in zip(inside, sizes, strict=True):
            begin, end = (int(places[min(max(at, span.begin), span.end) - span.begin + span.lead]) for at in offsets[n])
            ops = dict.fromkeys(mark.op for mark in own if mark.touches(begin, end))
            shown = text[slice(*offsets[n])]
            found[n] = Token(shown, span.field.path, begin, end, size, span.field.exposed, tuple(ops))
    return [
        token or Token(text[slice(*offset)], None, None, None, None, False, ())
        for token, offset in zip(found, offsets, strict=True)
    ]


def _tiled(offsets: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Offsets in characters without gaps: what stands between tokens, white space mostly, goes to the next one."""
    tiled: list[tuple[int, int]] = []
    reached = 0
    for begin, end in offsets:
        tiled.append((min(begin, reached) if end > reached else begin, end))
        reached = max(reached, end)
    return tiled


def _byte_places(text: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Where each character begins in UTF-8, and the end."""
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    sizes = 1 + (points > 0x7F).astype(np.int64) + (points > 0x7FF) + (points > 0xFFFF)
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])


def _subwords(text: str, span: Span, offsets: Sequence[tuple[int, int]]) -> list[int]:
    """For each token of a field, how many tokens its word has; one that spans several words is the last one's."""
    words = [match.span() for match in _WORD.finditer(text, span.begin, span.end)]
    ends = np.array([end for _, end in words], np.int64)
    owners: list[int | None] = []
    for begin, end in offsets:
        # the last word that begins before the token's end
        number = int(np.searchsorted([first for first, _ in words], end, "left")) - 1
        owners.append(number if number >= 0 and ends[number] > begin else None)
    counts = {number: owners.count(number) for number in set(owners) if number is not None}
    return [0 if number is None else counts[number] for number in owners]
