"""What the version of a source is called by default: after the dataset, not after a split that many datasets have."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lope_data.sources.splits import is_split, split_of
from lope_data.sources.text import COMPRESSIONS

_PLACES = ("data", "dataset", "datasets")  # as folders are called whatever is in them
_LONGEST = 60  # characters of a dataset's name, so that what follows is not cut off


def file_name(path: Path) -> str:
    """`imdb-train` for imdb/train.jsonl, `reviews` for imdb/reviews.jsonl.gz, `TREC-train` for TREC.train."""
    stem = path.stem if path.suffix.lower() not in COMPRESSIONS else path.stem.removesuffix(Path(path.stem).suffix)
    if is_split(path.suffix[1:]):
        return of_split(stem, path.suffix[1:])
    return of_split(_around(path), stem) if is_split(stem) else _text(stem)


def folder_name(path: Path) -> str:
    """`imdb` for imdb/, `imdb-train` for imdb/train/."""
    name = path.name or path.resolve().name
    return of_split(_around(path), name) if is_split(name) else _text(name)


def dataset_name(path: Path) -> str:
    """What a folder that holds splits is called before them: `imdb` for imdb/ and for imdb/data/."""
    name = folder_name(path)
    return (name.lower() in _PLACES and _around(path)) or name


def of_path(dataset: str, parts: Sequence[str]) -> str:
    """The name of a file or folder in a dataset: `glue-sst2-dev` for sst2/data/dev.jsonl in glue."""
    *folders, last = parts or [""]
    telling = [part for part in [*folders, last.partition(".")[0]] if part and part.lower() not in _PLACES]
    return "-".join([_text(dataset)[:_LONGEST], *telling])


def of_split(dataset: str, split: str) -> str:
    """The name of a split of a dataset; one that says so already keeps its name."""
    dataset, split = _text(dataset)[:_LONGEST], _text(split)
    said = split_of(dataset.rpartition("-")[2]) == split_of(split)
    return dataset if said else f"{dataset}-{split}".removeprefix("-")


def _around(path: Path) -> str:
    """The name of the nearest folder around a path that says what dataset it is."""
    folders = [folder.name for folder in Path(os.path.abspath(path)).parents if folder.name]  # noqa: PTH100  # without `..`
    telling = (name for name in folders if name.lower() not in _PLACES and not is_split(name))
    return next(telling, folders[0] if folders else "")


def _text(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "replace")  # file names need not be UTF-8
