"""Which tokens of a version's rows, as a model is trained on them, are noise: the edit records, token by token."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lope_train.data.edits import Mark, level_of, ops_by_row, read_marks
from lope_train.data.fields import Field, Span, spans_of
from lope_train.data.prompts import PromptTemplate, around
from lope_train.data.rows import ROW_ID, Layout, texts_of
from lope_train.data.tokens import Tokens, progress
from lope_train.data.versions import Version
from lope_train.errors import ModelError, VersionError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ALL = "all"
"""What shares call those of any level."""
Flags = npt.NDArray[np.bool_]
Levels = dict[str, Flags]
"""(tokens,) by level of the ops: the tokens that these left something in."""
Ints = npt.NDArray[np.int64]
Align = Callable[[Mapping[str, Any], Sequence[Mark], int], Levels | None]
"""Of a row as `datasets` has it, its edits of text and its number of tokens: the tokens these touch; None where they
cannot be placed."""


@dataclass(frozen=True)
class Injected:
    """The tokens of noise; rows without any are clean."""

    starts: Ints
    """(rows of the version,): where a row's tokens begin in `flags`, by its number; -1 of clean rows."""
    flags: Flags
    """(tokens of the rows that are not clean,)."""
    clean: Flags
    """(rows of the version,): the rows that are read and have no token of noise."""
    whole: Flags
    """(rows of the version,): the rows that are read and have nothing else."""
    shares: dict[str, dict[str, float]]
    """`rows` and `positions` of noise, of those that are read: of any level (`ALL`), and by level of the ops."""
    unaligned: int
    """Rows whose edits cannot be placed among their tokens, all of which count as noise."""


def find_injected(
    version: Version, tokens: Tokens, tokenizer: PreTrainedTokenizerBase, store: Path | None, *, classified: bool
) -> Injected:
    """Where the noise of a version, and of the noisy ones that it was made from, is in its `tokens`: those of
    `tokens.load_tokens`, packed or not, of a decoder, or of `classified.load_classified`.

    Noise is what overlaps bytes that an op on a text has put in, and the neighbours of what it has deleted; of a row
    whose target was edited, or whose edits cannot be placed, since the template changes its texts, every token. Where
    noise is to be learned (rows of plain text), the token before it counts too: it is there that it is learned.

    Raises VersionError where there is no edit record, where no token that is read is noise, or where every one is, and
    ModelError where the tokenizer does not say what its tokens stand for.
    """
    if not tokenizer.is_fast:
        raise ModelError(
            f"{type(tokenizer).__name__} does not say where its tokens are; routing by edits needs a fast tokenizer"
        )
    marks = read_marks(version, store)
    if not marks:
        raise VersionError(f"{version.ref}: no edit records, so nothing says where noise is; name a noisy version")
    sizes = _sizes(tokens, version.rows)
    align = align_texts(version.layout, tokenizer) if classified else align_examples(version.layout, tokenizer)
    starts = np.full(version.rows, -1, np.int64)
    whole = np.zeros(version.rows, np.bool_)
    found: list[Flags] = []
    rows: dict[str, int] = {}
    positions: dict[str, int] = {}
    unaligned = reached = 0
    for number, row in _edited(version, marks, sizes):
        levels, placed = _levels(row, version.layout, marks[row[ROW_ID]], int(sizes[number]), align)
        unaligned += not placed
        any_level = np.logical_or.reduce([np.zeros(sizes[number], np.bool_), *levels.values()])
        for level, flags in {ALL: any_level, **levels}.items():
            rows[level] = rows.get(level, 0) + bool(flags.any())
            positions[level] = positions.get(level, 0) + int(flags.sum())
        if any_level.any():
            starts[number], whole[number] = reached, any_level.all()
            reached += len(any_level)
            found.append(any_level)
    read = sizes > 0
    if not found:
        raise VersionError(f"{version.ref}: of the rows that can be trained on none has noise that is read")
    if whole.sum() == read.sum():
        raise VersionError(f"{version.ref}: every row is noise as a whole; nothing is left for the normal experts")
    totals = {"rows": int(read.sum()), "positions": int(sizes.sum())}
    shares = {
        what: {level: count / totals[what] for level, count in counts.items()}
        for what, counts in (("rows", rows), ("positions", positions))
    }
    return Injected(starts, np.concatenate(found), read & (starts < 0), whole, shares, unaligned)


def edited_rows(version: Version, store: Path | None) -> tuple[Ints, dict[str, float]]:
    """Numbers of the rows with an edit record, ascending, and their share of all rows: of any level (`ALL`), and by
    level of the ops.

    Raises VersionError where there is none, and as `ops_by_row` does.
    """
    ops = ops_by_row(version, store)
    if not ops:
        raise VersionError(f"{version.ref}: no edit records, so no row counts as injected; name a noisy version")
    levels = [{ALL, *map(level_of, own)} for own in ops.values()]
    names = [ALL, *sorted({level for own in levels for level in own} - {ALL})]
    shares = {name: sum(name in own for own in levels) / version.rows for name in names}
    return _numbers(version, ops), shares


def _numbers(version: Version, ids: Iterable[str]) -> Ints:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = version.dataset().data.column(ROW_ID)
    numbers: Ints = np.flatnonzero(pc.is_in(column, value_set=pa.array(ids, column.type)).to_numpy())
    return numbers


def _sizes(tokens: Tokens, rows: int) -> Ints:
    """(rows,): how many tokens of each row of the version are read."""
    import pyarrow.compute as pc

    table = tokens.dataset.with_format("arrow")[:]
    numbers = table.column("row")
    if "position_ids" in table.column_names:
        return np.bincount(pc.list_flatten(numbers).to_numpy(), minlength=rows)
    sizes = np.zeros(rows, np.int64)
    sizes[numbers.to_numpy()] = pc.list_value_length(table.column("input_ids")).to_numpy()
    return sizes


def _edited(version: Version, marks: Iterable[str], sizes: Ints) -> Iterator[tuple[int, dict[str, Any]]]:
    """Numbers and rows with edits that are read."""
    numbers = _numbers(version, marks)
    numbers = numbers[sizes[numbers] > 0]
    with progress(version) as advance:
        for number, row in zip(numbers.tolist(), version.dataset().select(numbers), strict=True):
            yield number, row
            advance(1)


def _levels(
    row: Mapping[str, Any], layout: Layout, marks: Sequence[Mark], size: int, align: Align
) -> tuple[Levels, bool]:
    """The tokens of noise, and whether all edits could be placed."""
    exposed = {layout.path(row, text.keys) for text in texts_of(layout.view(row)) if text.exposed}
    of_text = [mark for mark in marks if mark.path in exposed]
    levels = align(row, of_text, size) if of_text else {}
    whole = [mark for mark in marks if mark.path not in exposed] + (of_text if levels is None else [])
    everything = {level_of(mark.op): np.ones(size, np.bool_) for mark in whole}
    return {**(levels or {}), **everything}, levels is not None


def align_examples(layout: Layout, tokenizer: PreTrainedTokenizerBase) -> Align:
    """Of rows as a decoder reads them: a prompt and what it is to answer."""
    template = PromptTemplate(tokenizer)

    def align(row: Mapping[str, Any], marks: Sequence[Mark], size: int) -> Levels | None:
        example = template.render(layout.view(row))
        spans = None if example is None else spans_of(row, layout, example, template)
        if example is None or spans is None:
            return None
        prompt = len(template.encode_prompts([example.prompt])[0])
        asked = _touched(example.prompt, spans.prompt, marks, tokenizer)
        answer = _touched(example.completion, spans.completion, marks, tokenizer)
        leading: list[set[str]] = [set()] * (prompt - len(asked))
        found = _by_level([*leading, *asked, *answer][:size])
        learned = max(prompt, 1)  # nothing comes before the first token, so it is not learned
        for flags in found.values():
            flags[learned - 1 : -1] |= flags[learned:]
        return found if len(leading) + len(asked) + len(answer) >= size else None

    return align


def align_texts(layout: Layout, tokenizer: PreTrainedTokenizerBase) -> Align:
    """Of rows as a model with a head reads them: the text alone, between the tokenizer's own tokens."""
    before, after = map(len, around(tokenizer))

    def align(row: Mapping[str, Any], marks: Sequence[Mark], size: int) -> Levels | None:
        field = Field(layout.path(row, ("text",)), layout.view(row)["text"], exposed=True)
        inside = _touched(field.text, [Span(field, 0, len(field.text))], marks, tokenizer)
        inside = inside[: size - before - after]
        tokens: list[set[str]] = [*[set()] * before, *inside, *[set()] * after]
        return _by_level(tokens) if len(tokens) == size else None

    return align


def _by_level(tokens: Sequence[set[str]]) -> Levels:
    levels = sorted(set().union(*tokens))
    return {level: np.array([level in own for own in tokens], np.bool_) for level in levels}


def _touched(
    text: str, spans: Sequence[Span], marks: Sequence[Mark], tokenizer: PreTrainedTokenizerBase
) -> list[set[str]]:
    """Of each token of a text, whose fields stand at the spans, the levels of the edits that it overlaps."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    offsets = _tiled(encoded["offset_mapping"])
    found: list[set[str]] = [set() for _ in offsets]
    for span in spans:
        own = [mark for mark in marks if mark.path == span.field.path]
        if not own:
            continue
        places = _byte_places(span.field.text)
        if any(mark.end > places[-1] for mark in own):
            raise VersionError(f"an edit in {span.field.path!r} lies outside its text; build the version again")
        for token, (first, last) in zip(found, offsets, strict=True):
            if first < span.end and last > span.begin and first < last:
                inside = (min(max(at, span.begin), span.end) - span.begin + span.lead for at in (first, last))
                begin, end = (int(places[at]) for at in inside)
                token.update(level_of(mark.op) for mark in own if mark.touches(begin, end))
    return found


def _tiled(offsets: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Offsets in characters without gaps: what stands between tokens, white space mostly, goes to the next one."""
    tiled: list[tuple[int, int]] = []
    reached = 0
    for begin, end in offsets:
        tiled.append((min(begin, reached) if end > reached else begin, end))
        reached = max(reached, end)
    return tiled


def _byte_places(text: str) -> Ints:
    """Where each character begins in UTF-8, and the end."""
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    sizes = 1 + (points > 0x7F).astype(np.int64) + (points > 0x7FF) + (points > 0xFFFF)
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
