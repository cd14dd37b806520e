"""Which files of a folder are which split, and which split of a source is read.

What files and folders are called says so, by the conventions of `datasets`. Its words are copied here, since importing
it takes a second; a test compares them with it, and layouts of folders with what it finds in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lope_common.errors import did_you_mean, shown
from lope_data.errors import SourceError

ALL = "all"
"""Asked for in place of a split: a version of each."""
KEYWORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SPLIT_OF = {word: split for split, words in KEYWORDS.items() for word in words}
_WORDS = "|".join(sorted(_SPLIT_OF, key=len, reverse=True))
_SEPARATOR = r"[-._ 0-9]"
_WORD = re.compile(rf"(?:^|(?<={_SEPARATOR}))(?:{_WORDS})(?=$|{_SEPARATOR})", re.IGNORECASE)
_SHARD = re.compile(r"data/([^/]+)-[0-9]{5}-of-[0-9]{5}[^/]*\.[^/]*")
_ALONE = re.compile(rf"(?:{_WORDS})(?:-[0-9]{{5}}-of-[0-9]{{5}})?", re.IGNORECASE)
_LISTED = 20  # in an error


@dataclass(frozen=True)
class Grouped:
    """Names of files by the split that they name, train, validation and test first; and those that name none."""

    splits: dict[str, list[str]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)


def split_of(word: str) -> str:
    """The split that a word stands for, `validation` for `dev`; another word stands for itself."""
    return _SPLIT_OF.get(word.lower(), word)


def is_split(name: str) -> bool:
    """Whether a file or folder of this name, without a suffix, is a split of what the folder around it is called."""
    return _ALONE.fullmatch(name) is not None


def grouped(names: Sequence[str], where: str) -> Grouped:
    """The splits of a folder.

    Args:
        names: of files, relative to the folder, with `/`.
        where: the folder, for messages.

    Raises:
        SourceError: a file names two splits, a split has two names (`dev` and `val`), or there are splits in several
            folders, as datasets side by side have them: what is meant would be a guess.
    """
    words: dict[str, dict[str, str]] = {}
    splits: dict[str, list[str]] = {}
    folders: set[str] = set()
    others = []
    for name in sorted(names):
        if (named := _named(name, where)) is None:
            others.append(name)
            continue
        folder, word, split = named
        folders.add(folder or ".")
        splits.setdefault(split, []).append(name)
        words.setdefault(split, {}).setdefault(word.lower(), name)
    if len(folders) > 1:
        raise SourceError(f"{where}: holds splits in several folders ({listed(sorted(folders))}); name one of these")
    for split, found in words.items():
        if len(found) > 1:
            one, other = list(found.values())[:2]
            raise SourceError(f"{where}: {one} and {other} are both of the split {split}; name one file, or move one")
    order = [*KEYWORDS, *sorted(splits)]
    return Grouped({split: splits[split] for split in dict.fromkeys(order) if split in splits}, others)


def chosen(splits: Sequence[str], asked: str | None, where: str, others: Sequence[str] = ()) -> str:
    """The split that is read: the one asked for, or the only one.

    Args:
        others: files beside them that name no split.

    Raises:
        SourceError: there are several and none was asked for, or there is no such split.
    """
    if asked is None and len(splits) == 1 and not others:
        return splits[0]
    if asked is None:
        beside = f" and {listed(others)}, which name{'s' * (len(others) == 1)} no split" if others else ""
        kind = "splits" if len(splits) > 1 else "split"
        each = f", or --split {ALL} for a version of each" if len(splits) > 1 and not others else ""
        raise SourceError(
            f"{where}: holds the {kind} {listed(splits)}{beside}, and a version holds one; "
            f"name it, as in --split {splits[0]}{each}"
        )
    if (split := meant(splits, asked)) is not None:
        return split
    raise SourceError(f"{where}: has no split {shown(asked)}, only {listed(splits)}{did_you_mean(asked, splits)}")


def meant(splits: Iterable[str], asked: str) -> str | None:
    """The split of this name, or else the only one that this is another word for; None where there is none."""
    same = [split for split in splits if split_of(split) == split_of(asked)]
    return asked if asked in same else same[0] if len(same) == 1 else None


def listed(names: Sequence[str]) -> str:
    """Names for an error, not all where there are very many."""
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def _named(name: str, where: str) -> tuple[str, str, str] | None:
    """The folder that a file's split lies in; the word for it, of a folder on the way, else the file's; the split."""
    if shard := _SHARD.fullmatch(name):
        return "data", shard[1], shard[1]
    *folders, own = name.split("/")
    at = next((i for i, folder in enumerate(folders) if _WORD.search(folder)), len(folders))
    words = [word for folder in folders for word in _WORD.findall(folder)] or _WORD.findall(own)
    named = {split_of(word): word for word in words}
    if len(named) > 1:
        raise SourceError(f"{where}: {name} names the splits {' and '.join(named)}; rename it, or name the file itself")
    return next((("/".join(folders[:at]), word, split) for split, word in named.items()), None)
