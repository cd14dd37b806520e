"""A version's rows as token ids with completion-only labels: made once, then memory-mapped from a cache."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lope_common.places import cache_folder
from lope_common.progress import counted
from lope_train.data import cache as token_cache
from lope_train.data.packing import pack, positions
from lope_train.data.prompts import PromptTemplate, around
from lope_train.data.versions import Version
from lope_train.errors import SettingsError, VersionError

if TYPE_CHECKING:
    import datasets
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""The label of a token that is not learned."""

# Raise it when rows.py or prompts.py gives another prompt or completion for any row: what was kept before is stale.
TEMPLATES = 2

_FORMAT = 1
BATCH_ROWS = 256
_BATCH_TOKENS = 2**20
_QUIET_ROWS = 5000


@dataclass(frozen=True)
class Counts:
    """What became of a version's rows."""

    rows: int
    """All of them."""
    unusable: int
    """Left out: without a prompt or a target."""
    too_long: int
    """Left out: longer than `max_length`; with `truncate`, those that would have no token left to learn."""
    truncated: int
    """Kept without their right end."""


@dataclass(frozen=True)
class Tokens:
    """Training examples, memory-mapped, given as numpy arrays; in the version's order unless they are packed."""

    dataset: datasets.Dataset
    counts: Counts

    def check_weights(self, ref: str, weights: Tensor | None) -> None:
        """Raise VersionError where all rows that are read of the version `ref` weigh 0, of `weights` (its rows,)."""
        if weights is None:
            return
        import pyarrow as pa
        import pyarrow.compute as pc

        numbers = self.dataset.with_format("arrow").select_columns(["row"])[:].column("row")
        packed = not pa.types.is_integer(numbers.type)
        if not weights.numpy()[(pc.list_flatten(numbers) if packed else numbers).to_numpy()].any():
            raise VersionError(f"{ref}: the rows that can be trained on weigh 0; give some of them a weight")


def load_tokens(
    version: Version,
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    truncate: bool = False,
    packing: bool = False,
    encoder_decoder: bool = False,
    only: npt.NDArray[np.int64] | None = None,
    cache: Path | None = None,
) -> Tokens:
    """The version's tokens, from `cache` (None: `tokens` in the cache folder), made now where it lacks them.

    Columns `input_ids`, `labels` (lists of at most `max_length`) and `row` (the number in the version). Prompt and
    completion are tokenised apart and joined, so labels begin exactly where the completion does: IGNORED over the
    prompt, the ids themselves after it, the token that ends the turn included. Of an encoder-decoder `input_ids` are
    the prompt, ended as its tokenizer ends an input, and `labels` the completion.

    With `packing` a row of the dataset holds several examples, of at most `max_length` together: `position_ids` count
    from 0 in each, `row` has the number for every token, and no example's first token is learned.

    A row longer than `max_length` is left out; with `truncate` it loses its right end. With `only`, numbers of rows,
    the dataset has no others, while the counts are of all. Raises VersionError where no row is left, SettingsError for
    packing with an encoder-decoder, RunError where nothing can be written anywhere.
    """
    import datasets

    if packing and encoder_decoder:
        raise SettingsError("packing needs a decoder-only model: rows of an encoder-decoder cannot be joined")
    key = {
        "format": _FORMAT,
        "templates": TEMPLATES,
        "content_digest": version.content_digest,
        "tokenizer": fingerprint(tokenizer),
        "max_length": max_length,
        "truncate": truncate,
        "packing": packing,
        "encoder_decoder": encoder_decoder,
    }
    if packing and only is not None:
        key["only"] = token_cache.digest(only.tolist())

    def make(path: Path, folder: Path) -> dict[str, int]:
        if packing:
            rows = load_tokens(version, tokenizer, max_length=max_length, truncate=truncate, only=only, cache=folder)
            _write_packed(path, rows.dataset, max_length)
            return asdict(rows.counts)
        return asdict(_write_rows(path, version, tokenizer, max_length, truncate, encoder_decoder))

    data, counts = token_cache.entry(cache or cache_folder() / "tokens", key, make)
    tokens = Tokens(datasets.Dataset.from_file(str(data)).with_format("numpy"), Counts(**counts))
    return tokens if packing or only is None else only_rows(version, tokens, only)


def only_rows(version: Version, tokens: Tokens, only: npt.NDArray[np.int64]) -> Tokens:
    """The unpacked `tokens` of the rows with these numbers; raises VersionError where there are none."""
    kept = np.flatnonzero(np.isin(np.asarray(tokens.dataset["row"]), only))
    if not len(kept):
        raise VersionError(
            f"{version.ref}: none of its {len(only)} rows with an edit record can be trained on; raise --max-length, "
            "give --truncate, or leave out --stage1"
        )
    return Tokens(tokens.dataset.select(kept), tokens.counts)


def notice(version: Version, counts: Counts, max_length: int, needed: str = "a prompt or target") -> str | None:
    """One line that says how many rows were left out, those without the `needed`, or cut; None where none were."""
    told = (
        (counts.unusable, f"rows without {needed} left out"),
        (counts.too_long, f"rows too long for {max_length} tokens left out"),
        (counts.truncated, f"rows cut to {max_length} tokens"),
    )
    said = ", ".join(f"{count} {what}" for count, what in told if count)
    return f"{version.ref}: of {counts.rows} rows: {said}" if said else None


def fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """sha256 over what decides a text's ids and how prompts are rendered."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    state: dict[str, Any] = tokenizer.get_vocab() if backend is None else json.loads(backend.to_str())
    if backend is not None:  # each call sets these two anew, and leaves them behind
        del state["truncation"], state["padding"]
    return token_cache.digest([type(tokenizer).__name__, state, tokenizer.chat_template, tokenizer.special_tokens_map])


def _write_rows(
    path: Path,
    version: Version,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    truncate: bool,
    encoder_decoder: bool,
) -> Counts:
    import pyarrow as pa

    template = PromptTemplate(tokenizer)
    end = around(tokenizer)[1] if encoder_decoder else None
    ids = pa.list_(pa.int32())
    seen, unusable, too_long, truncated = 0, 0, 0, 0
    with (
        stream(path, {"input_ids": ids, "labels": ids, "row": pa.int64()}) as write,
        progress(version) as advance,
    ):
        # batched by hand: datasets.map would key its cache by a pickle of the tokenizer
        views = version.views()
        while rendered := [template.render(row) for row in islice(views, BATCH_ROWS)]:
            examples = [(seen + i, example) for i, example in enumerate(rendered) if example is not None]
            prompts = template.encode_prompts([example.prompt for _, example in examples])
            completions = template.encode_completions([example.completion for _, example in examples])
            kept = [
                (number, row)
                for (number, _), prompt, completion in zip(examples, prompts, completions, strict=True)
                if (row := _fit(prompt, completion, end, max_length, truncate)) is not None
            ]
            write(
                lists([row.input_ids for _, row in kept]),
                lists([row.labels for _, row in kept]),
                np.array([number for number, _ in kept], np.int64),
            )
            seen += len(rendered)
            unusable += len(rendered) - len(examples)
            too_long += len(examples) - len(kept)
            truncated += sum(row.cut for _, row in kept)
            advance(len(rendered))
    if unusable + too_long == seen:
        remedy = f"; raise --max-length{'' if truncate else ' or give --truncate'}" if too_long else ""
        raise VersionError(
            f"{version.ref}: nothing to train on: of {seen} rows {unusable} have no prompt or target, "
            f"{too_long} are too long for {max_length} tokens{remedy}"
        )
    return Counts(seen, unusable, too_long, truncated)


class _Row(NamedTuple):
    input_ids: list[int]
    labels: list[int]
    cut: bool


def _fit(prompt: list[int], completion: list[int], end: list[int] | None, most: int, truncate: bool) -> _Row | None:
    """A row of at most `most` tokens, an encoder-decoder's with its `end`; None where it is left out."""
    if end is None:
        room = most - len(prompt)
        cut = len(completion) > room
        row = _Row((prompt + completion)[:most], ([IGNORED] * len(prompt) + completion)[:most], cut)
    else:
        room = most - len(end)
        cut = len(prompt) > room or len(completion) > most
        row = _Row(prompt[:room] + end, completion[:most], cut)
    return None if cut and not (truncate and room > 0) else row


def _write_packed(path: Path, rows: datasets.Dataset, max_length: int) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = rows.with_format("arrow")
    lengths = pc.list_value_length(rows[:]["input_ids"]).to_numpy()
    members, offsets = pack(lengths, max_length)
    ids = pa.list_(pa.int32())
    columns = {"input_ids": ids, "labels": ids, "position_ids": ids, "row": pa.list_(pa.int64())}
    step = max(1, _BATCH_TOKENS // max_length)
    with stream(path, columns) as write:
        for start in range(0, len(offsets) - 1, step):
            bounds = offsets[start : start + step + 1]
            part = members[bounds[0] : bounds[-1]]
            table, sizes = rows[part], lengths[part]
            begins = np.cumsum([0, *sizes])[bounds - bounds[0]]
            places = positions(sizes)
            labels = np.where(places == 0, IGNORED, _flat(table["labels"]))
            numbers = np.repeat(table["row"].to_numpy(), sizes)
            write(*((values, begins) for values in (_flat(table["input_ids"]), labels, places, numbers)))


_Lists = tuple[npt.NDArray[Any], npt.NDArray[Any]]
"""Lists one after the other: all their values, and where each begins, with the end of the last."""


def lists(rows: Sequence[list[int]]) -> _Lists:
    begins = np.cumsum([0, *map(len, rows)])
    return np.fromiter(chain.from_iterable(rows), np.int32, begins[-1]), begins


def _flat(column: Any) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = column.combine_chunks().flatten().to_numpy()
    return values


@contextmanager
def stream(path: Path, columns: dict[str, Any]) -> Iterator[Callable[..., None]]:
    """Within the context, a function that writes a batch: for each column an array, or `_Lists`."""
    import pyarrow as pa

    schema = pa.schema(columns)

    def array(values: Any, kind: Any) -> Any:
        if not isinstance(values, tuple):
            return pa.array(values, kind)
        flat, begins = values
        return pa.ListArray.from_arrays(pa.array(begins, pa.int32()), pa.array(flat, kind.value_type))

    def write(*batch: Any) -> None:
        arrays = [array(values, kind) for values, kind in zip(batch, schema.types, strict=True)]
        writer.write_batch(pa.record_batch(arrays, schema=schema))

    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        yield write


def progress(version: Version) -> AbstractContextManager[Callable[[int], None]]:
    """Within the context, a function to tell of rows that are done; small versions show nothing."""
    if version.rows <= _QUIET_ROWS:
        return nullcontext(lambda _: None)
    return counted(f"tokenise {version.ref}", version.rows)
