"""What is evaluated: items with options from versions, the same items in every noisy version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import xxhash

from lope_train.data.prompts import has_prompt, options
from lope_train.data.versions import Version, parent, resolve
from lope_train.errors import SettingsError, VersionError

DEFAULT_DATA = "sample-heldout"
_TARGETS = ("lope_shape", "choices", "answer", "label")
_OTHER_SHAPE = "of another shape than classification"
_KEY = 614
"""Keys which items a limit takes."""


@dataclass(frozen=True, kw_only=True)
class EvalSet:
    """What runs are asked."""

    name: str
    ids: list[str]
    """Of its items, in order."""
    chance: float | None
    """Expected accuracy of a blind guess; None where answers are not chosen from options."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Rows of the version that are no items, by reason."""
    clean: str | None = None
    """The name of the set with the same items without the noise."""


@dataclass(frozen=True, kw_only=True)
class VersionSet(EvalSet):
    """Rows of a version. `rows`, `texts` (the options) and `gold` (the right one) go together."""

    rows: list[dict[str, Any]]
    texts: list[list[str]]
    gold: list[int]
    classified: bool
    """Whether all are classification rows, so that the options of all are the same classes."""


def build_sets(
    data: str | None,
    noise: Sequence[str],
    tasks: Sequence[str],
    data_dir: Path | None,
    store: Path | None,
    limit: int | None,
    heads: bool = False,
) -> list[EvalSet]:
    """The sets that were asked for: data and noise on it, then tasks, each with the noise on it.

    `data` is a version (None: the held-out sample, unless tasks are asked for); `noise` are versions of its rows, or
    of a task's items, that differ in text alone. `tasks` go through lm-evaluation-harness, on files in `data_dir`
    or, without one, on the hub's data. `limit` takes that many items, the first by a hash of their ids, so they are
    the same in every run, and a larger limit keeps them. A version named as a task is called NAME@VERSION, since
    results go by the names of sets. `heads` says that a run with a classification head is to answer, which takes
    classification rows alone. Raises VersionError, TaskError or SettingsError.
    """
    if limit is not None and limit < 1:
        raise SettingsError(f"limit is {limit}; it must be at least 1")
    if heads and tasks:
        raise SettingsError(
            "--tasks are for language models, and a run with a classification head is not one: leave --tasks out"
        )
    rest = list(dict.fromkeys(noise))
    asked: list[EvalSet] = []
    if tasks:
        from lope_train.evaluation.tasks.sets import build_task_sets

        found, rest = build_task_sets(list(dict.fromkeys(tasks)), rest, data_dir, store, limit, data is None)
        asked += found
    if data is None and heads:
        raise SettingsError("a run with a classification head needs --data: a version with the classes that it learned")
    if data is None and not tasks:
        data = DEFAULT_DATA
    if data is not None:
        asked = [*_version_sets(data, rest, tasks, store, limit, heads), *asked]
    names = [one.name for one in asked]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SettingsError(f"{twice!r} is asked for twice in --data, --noise and --tasks; name it once")
    return asked


def _version_sets(
    data: str, noise: list[str], tasks: Sequence[str], store: Path | None, limit: int | None, heads: bool
) -> list[EvalSet]:
    clean = resolve(data, store)
    noisy = {name: resolve(name, store) for name in noise}
    for other in noisy.values():
        _check_descends(other, clean, store)
    for other in noisy.values():
        _check_same_items(other, clean)

    classes = sorted({row["label"] for row in clean.views() if row.get("label") is not None})
    skipped = {"without options": 0, "without a prompt": 0, **({_OTHER_SHAPE: 0} if heads else {})}
    ids: list[str] = []
    items: list[int] = []
    found: dict[int, tuple[list[str], int]] = {}
    for index, alike in enumerate(zip(clean.views(), *(other.views() for other in noisy.values()), strict=True)):
        ids.append(alike[0]["lope_row_id"])
        choice = options(alike[0], classes)
        if heads and alike[0]["lope_shape"] != "classification":
            skipped[_OTHER_SHAPE] += 1
        elif choice is None:
            skipped["without options"] += 1
        elif not all(map(has_prompt, alike)):
            skipped["without a prompt"] += 1
        else:
            items.append(index)
            found[index] = choice
    if not items:
        needs = "a classification head needs" if heads else "accuracy over options needs multiple_choice or"
        raise VersionError(f"{clean.ref}: no row to evaluate: {needs} classification rows")
    picked = [items[i] for i in pick([ids[index] for index in items], limit)]
    texts, gold = [found[index][0] for index in picked], [found[index][1] for index in picked]
    rows = _rows(clean, picked)
    first = VersionSet(
        name=_unlike(tasks, data, clean),
        ids=[ids[index] for index in picked],
        chance=chance(texts),
        skipped=skipped,
        rows=rows,
        texts=texts,
        gold=gold,
        classified=all(row["lope_shape"] == "classification" for row in rows),
    )
    noisy_sets = [
        replace(
            first,
            name=_unlike(tasks, name, other),
            rows=_rows(other, picked),
            clean=first.name,
        )
        for name, other in noisy.items()
    ]
    return [first, *noisy_sets]


def _rows(version: Version, picked: list[int]) -> list[dict[str, Any]]:
    return list(map(version.layout.view, version.dataset().select(picked)))


def _unlike(tasks: Sequence[str], typed: str, version: Version) -> str:
    """The name of the version's set: as it was typed, unless a task is called so."""
    return version.ref if typed in tasks else typed


def chance(options: Sequence[Sequence[str]]) -> float:
    """Expected accuracy of a blind guess at the options of items."""
    return sum(1 / len(texts) for texts in options) / len(options)


def pick(ids: Sequence[str], limit: int | None) -> list[int]:
    """Indices of the first `limit` ids by keyed hash, in the given order."""
    if limit is None or limit >= len(ids):
        return list(range(len(ids)))
    ranked = sorted(
        range(len(ids)), key=lambda index: (xxhash.xxh3_64_intdigest(ids[index].encode(), seed=_KEY), ids[index])
    )
    return sorted(ranked[:limit])


def _check_descends(version: Version, clean: Version, store: Path | None) -> None:
    at = version
    while at.content_digest != clean.content_digest:
        if not at.manifest["parents"]:
            raise VersionError(
                f"{version.ref} was not made from {clean.ref}, so its items cannot be paired; "
                f"make noise on it with `python -m lope_data build --from {clean.ref}`"
            )
        if at.manifest["parents"][0]["content_digest"] == clean.content_digest:
            return
        at = parent(at, store)


def _check_same_items(version: Version, clean: Version) -> None:
    """Same rows in the same order, same options and answers: noise in the text alone."""
    changed: dict[str, list[tuple[str, str]]] = {key: [] for key in _TARGETS}
    none: dict[str, Any] = {}
    for noisy, row in zip_longest(version.views(), clean.views(), fillvalue=none):
        if noisy.get("lope_row_id") != row.get("lope_row_id"):
            raise VersionError(f"{version.ref}: its rows are not those of {clean.ref}, in order")
        for key in _TARGETS:
            if noisy.get(key) != row.get(key):
                changed[key].append((row["lope_shape"], row["lope_row_id"]))
    for key, rows in changed.items():
        if rows:
            shape, row_id = rows[0]
            raise VersionError(
                f"{version.ref}: {len(rows)} rows differ from {clean.ref} in {clean.layout.called(shape, key)!r} "
                f"(first {row_id!r}); evaluation needs text noise alone, build it with `--mix char=1,word=1`"
            )
