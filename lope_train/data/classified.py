"""A version's classification rows for a head: texts as token ids, without a prompt, and labels as class numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lope_common.places import cache_folder
from lope_train.data import cache as token_cache
from lope_train.data.collate import padded
from lope_train.data.prompts import around
from lope_train.data.rows import SHAPE
from lope_train.data.tokens import BATCH_ROWS, Counts, Tokens, fingerprint, lists, only_rows, progress, stream
from lope_train.data.versions import Version
from lope_train.errors import VersionError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

_CLASSIFICATION = "classification"
_FORMAT = 1
_WHOLE = re.compile(r"-?[0-9]{1,18}")


def classes_of(versions: Iterable[Version]) -> tuple[str, ...]:
    """The different labels of the versions' classification rows: whole numbers in their order, else in that of text.

    Raises VersionError where there are fewer than two, or where a label is a list or a number with a fraction, as a
    head learns one class a row.
    """
    found: set[str] = set()
    refs = []
    for version in versions:
        refs.append(version.ref)
        found |= _labels(version)
    if len(found) < 2:
        what = f"all of their labels are {found.pop()!r}" if found else "they have no classification rows with a label"
        raise VersionError(f"{', '.join(refs)}: a classification head needs at least two classes, and {what}")
    if all(map(_WHOLE.fullmatch, found)):
        return tuple(sorted(found, key=lambda text: (int(text), text)))
    return tuple(sorted(found))


def check_known(version: Version, classes: Sequence[str]) -> None:
    """Raise VersionError where the version has a class that is not one of these, which training has seen."""
    if unknown := sorted(_labels(version) - set(classes)):
        raise VersionError(f"{version.ref}: {unseen(unknown, classes)}")


def unseen(unknown: Sequence[str], classes: Sequence[str]) -> str:
    """What is wrong with classes that training has not seen."""
    known = ", ".join(map(repr, classes[:10])) + (", ..." if len(classes) > 10 else "")
    return f"has the {_named(unknown)}, which training has not seen; it has seen {known}"


def _named(names: Sequence[str]) -> str:
    """The first of some classes, as a sentence has them: `class 'a'`, `classes 'a', 'b'`."""
    return f"class{'es' if len(names) > 1 else ''} " + ", ".join(map(repr, names[:5])) + ", ..." * (len(names) > 5)


def check_trained(
    ref: str, tokens: Tokens, classes: Sequence[str], max_length: int, weights: torch.Tensor | None = None
) -> None:
    """Raise VersionError where a class has no row among the tokens, of version `ref`, that the model is trained on, or
    where all of its rows weigh 0, by the `weights` of the version's rows.
    """
    labels = np.asarray(tokens.dataset["labels"])
    held = {*labels.tolist()}
    if weights is not None:
        weighing = {*labels[weights.numpy()[np.asarray(tokens.dataset["row"])] > 0].tolist()}
        if nothing := [name for number, name in enumerate(classes) if number in held - weighing]:
            raise VersionError(f"{ref}: all rows of the {_named(nothing)} weigh 0; give some of them a weight")
    absent = [name for number, name in enumerate(classes) if number not in held]
    if absent:
        said = f"no row to train on of the {_named(absent)}"
        if long := tokens.counts.too_long:
            said += f": {long} rows are too long for {max_length} tokens; raise --max-length or give --truncate"
        else:
            said += ", which only the noisy version has; leave such rows out of it"
        raise VersionError(f"{ref}: {said}")


def is_classified(row: Mapping[str, Any]) -> bool:
    """Whether the canonical row has a text and a label."""
    return row[SHAPE] == _CLASSIFICATION and all(isinstance(row[k], str) and row[k].strip() for k in ("text", "label"))


def _labels(version: Version) -> set[str]:
    if _CLASSIFICATION not in version.manifest["shapes"]:
        return set()
    found = {row["label"] for row in version.views() if is_classified(row)}
    if not _is_text(version):
        column = version.layout.called(_CLASSIFICATION, "label")
        for label in sorted(found):
            value = json.loads(label)
            if isinstance(value, list | dict) or (isinstance(value, float) and not value.is_integer()):
                raise VersionError(
                    f"{version.ref}: {column!r} has the label {label}: a head learns one class a row, "
                    "not several or an amount; train with --head lm"
                )
    return found


def _is_text(version: Version) -> bool:
    """Whether labels are texts in the source, or names of class numbers: others are JSON in the canonical view."""
    import pyarrow as pa

    column = version.layout.called(_CLASSIFICATION, "label")
    if column in version.layout.classes:
        return True
    kind = version.dataset().features.arrow_schema.field(column).type
    return column not in version.layout.raw and (pa.types.is_string(kind) or pa.types.is_large_string(kind))


class Encoder:
    """Texts as a model with a head reads them: the tokenizer's own special tokens around each, and no prompt."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._before, self._after = around(tokenizer)

    def __call__(self, texts: Sequence[str], most: int | None) -> list[tuple[list[int], bool]]:
        """Of each text the token ids, at most `most`, and whether they were cut; the special tokens are kept."""
        if not texts:
            return []
        encoded = self._tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        room = None if most is None else max(0, most - len(self._before) - len(self._after))
        return [(self._before + ids[:room] + self._after, room is not None and len(ids) > room) for ids in encoded]


def load_classified(
    version: Version,
    tokenizer: PreTrainedTokenizerBase,
    classes: Sequence[str],
    *,
    max_length: int,
    truncate: bool = False,
    only: npt.NDArray[np.int64] | None = None,
    cache: Path | None = None,
) -> Tokens:
    """As `tokens.load_tokens`, of the version's classification rows alone; `labels` is an index into `classes`.

    A row longer than `max_length` is left out; with `truncate` its text loses its right end, and the special tokens
    after it stay. Raises VersionError where a label is not one of the classes, or where no row is left.
    """
    import datasets

    key = {
        "format": _FORMAT,
        "head": _CLASSIFICATION,
        "classes": list(classes),
        "content_digest": version.content_digest,
        "tokenizer": fingerprint(tokenizer),
        "max_length": max_length,
        "truncate": truncate,
    }

    def make(path: Path, _folder: Path) -> dict[str, int]:
        return asdict(_write_rows(path, version, tokenizer, classes, max_length, truncate))

    data, counts = token_cache.entry(cache or cache_folder() / "tokens", key, make)
    tokens = Tokens(datasets.Dataset.from_file(str(data)).with_format("numpy"), Counts(**counts))
    return tokens if only is None else only_rows(version, tokens, only)


def _write_rows(
    path: Path,
    version: Version,
    tokenizer: PreTrainedTokenizerBase,
    classes: Sequence[str],
    max_length: int,
    truncate: bool,
) -> Counts:
    import pyarrow as pa

    encode = Encoder(tokenizer)
    number_of = {text: number for number, text in enumerate(classes)}
    seen, unusable, too_long, truncated = 0, 0, 0, 0
    columns = {"input_ids": pa.list_(pa.int32()), "labels": pa.int64(), "row": pa.int64()}
    with stream(path, columns) as write, progress(version) as advance:
        views = version.views()
        while batch := list(islice(views, BATCH_ROWS)):
            rows = [(seen + i, row) for i, row in enumerate(batch) if is_classified(row)]
            encoded = encode([row["text"] for _, row in rows], max_length)
            full = [(number, row, ids, cut) for (number, row), (ids, cut) in zip(rows, encoded, strict=True) if ids]
            if any(row["label"] not in number_of for _, row in rows):
                check_known(version, classes)
            kept = [(number, row, ids, cut) for number, row, ids, cut in full if truncate or not cut]
            write(
                lists([ids for _, _, ids, _ in kept]),
                np.array([number_of[row["label"]] for _, row, _, _ in kept], np.int64),
                np.array([number for number, _, _, _ in kept], np.int64),
            )
            seen += len(batch)
            unusable += len(batch) - len(full)
            too_long += len(full) - len(kept)
            truncated += sum(cut for _, _, _, cut in kept)
            advance(len(batch))
    if unusable + too_long == seen:
        remedy = "; raise --max-length or give --truncate" if too_long else ""
        raise VersionError(
            f"{version.ref}: nothing to train on: of {seen} rows {unusable} are no classification rows with a text "
            f"and a label, {too_long} are too long for {max_length} tokens{remedy}"
        )
    return Counts(seen, unusable, too_long, truncated)


@dataclass(frozen=True)
class ClassifiedCollator:
    """Pads rows of `load_classified` on the right, to the longest of the batch; every tensor is int64.

    `input_ids` and `attention_mask` (b, l), `labels` and `row` (b,).
    """

    tokenizer: PreTrainedTokenizerBase

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        import torch

        batch = {
            **padded_ids(self.tokenizer, [row["input_ids"] for row in rows]),
            "labels": np.array([row["labels"] for row in rows], np.int64),
            "row": np.array([row["row"] for row in rows], np.int64),
        }
        return {name: torch.from_numpy(values) for name, values in batch.items()}


def padded_ids(tokenizer: PreTrainedTokenizerBase, ids: Sequence[Sequence[int]]) -> dict[str, Any]:
    """`input_ids` and `attention_mask` of a batch, as arrays (b, l)."""
    pad = tokenizer.pad_token_id
    if not isinstance(pad, int):
        raise TypeError("a batch needs a tokenizer with a pad token; models.load_tokenizer sets one")
    return {"input_ids": padded(ids, pad), "attention_mask": padded([np.ones(len(row), np.int64) for row in ids], 0)}
