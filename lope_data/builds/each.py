"""A version of each split of a source, checked and read before the first is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lope_common.errors import did_you_mean, shown
from lope_data.builds.obtain import Options, build, child_name, obtain
from lope_data.builds.wanted import Clean
from lope_data.errors import SourceError, StoreError
from lope_data.recipe.recipe import Recipe
from lope_data.sources import InMemory, Source, SourceIndex, meant, open_splits
from lope_data.store.version import Version
from lope_data.text import kernels


def ingest_splits(
    source: str | InMemory, recipe: Recipe, limit: int | None, options: Options, name: str | None = None
) -> dict[str, Version]:
    """A clean version of each split.

    Args:
        name: of the dataset, by default the source's; the versions are called NAME-SPLIT.

    Raises:
        SourceError: the source has no splits, or one of them cannot be read.
        StoreError: a name cannot be one, or is that of another source in the store.
    """
    cleans = {
        split: Clean.of(opened, recipe, limit, _of(name, split), options.notice)
        for split, opened in open_splits(
            source, recipe.source, SourceIndex(options.store.root), options.progress
        ).items()
    }
    _prepare(cleans, options)
    return {split: obtain(clean, options) for split, clean in cleans.items()}


def build_splits(
    source: str | InMemory,
    recipe: Recipe,
    noisy: Sequence[str],
    name: str | None,
    limit: int | None,
    options: Options,
    *,
    allow_shortfall: bool = False,
) -> dict[str, Version]:
    """A version of each split: the noisy one of those named, the clean one of the others.

    Args:
        noisy: the splits that get noise.
        name: the versions are called NAME-SPLIT; by default as `build` and `ingest` call them.

    Raises:
        SourceError: the source has no splits or not those named, or one of them cannot be read.
        StoreError: a name cannot be one, or is that of another source in the store.
        NoiseError: the mix cannot touch as many rows of a split as the ratio asks for.
    """
    with kernels.telling(options.notice):
        opened = open_splits(source, recipe.source, SourceIndex(options.store.root), options.progress)
    with_noise = _named(noisy, opened, source)
    cleans = {
        split: Clean.of(one, recipe, limit, None if split in with_noise else _of(name, split), options.notice)
        for split, one in opened.items()
    }
    names = {split: child_name(_of(name, split), recipe, cleans[split].wanted.name) for split in with_noise}
    _prepare(cleans, options, names)
    made = {split: obtain(clean, options) for split, clean in cleans.items()}
    return {
        split: build(version, recipe, names[split], options, allow_shortfall=allow_shortfall)
        if split in names
        else version
        for split, version in made.items()
    }


def _prepare(cleans: Mapping[str, Clean], options: Options, children: Mapping[str, str] | None = None) -> None:
    """Checks the names and reads the rows of all that is not there, so that what is wrong with one stops all."""
    taken = [clean.wanted.name for clean in cleans.values()] + list((children or {}).values())
    if twice := [name for name in taken if taken.count(name) > 1]:
        raise StoreError(f"two splits would be called {twice[0]!r}; name them one by one with --split and --name")
    for clean in cleans.values():
        clean.check_holder(options.store)
    for clean in cleans.values():
        if options.store.find(clean.wanted.name, clean.wanted.version) is None:
            clean.read(options).check(options.workers)  # which is kept until they are written


def _named(noisy: Sequence[str], opened: Mapping[str, Source], source: str | InMemory) -> list[str]:
    """The splits that get noise, in the order of all."""
    found = {name: meant(opened, name) for name in noisy}
    if unknown := [name for name, split in found.items() if split is None]:
        known = f"{', '.join(opened)}{did_you_mean(unknown[0], opened)}"
        raise SourceError(f"{source}: noise for the split {shown(unknown[0])} (--noise-splits), but it has {known}")
    return [split for split in opened if split in found.values()]


def _of(name: str | None, split: str) -> str | None:
    return None if name is None else f"{name}-{split}"
