"""Building versions: source -> ingested version -> noisy version, each found if it is already there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass

from lope_common.progress import Notice, Progress, silent
from lope_data.builds.wanted import Clean, Wanted
from lope_data.errors import NoiseError, StoreError
from lope_data.names import check_name
from lope_data.noise.registry import op_version
from lope_data.recipe.recipe import Recipe
from lope_data.sources import InMemory, SourceIndex, open_source
from lope_data.sources.sample import FINGERPRINTS
from lope_data.store.locks import left_locked, locked, locked_if_free
from lope_data.store.manifest import version_id
from lope_data.store.store import Store
from lope_data.store.version import Version
from lope_data.text import kernels


@dataclass(frozen=True)
class Options:
    """How to build, as opposed to what: none of this can change a version's content.

    Attributes:
        workers: threads.
        shard_rows: rows of a data file; None: as `store.shard_rows` says.
        progress: called as shards are done.
        notice: called with what the user should know while waiting.
    """

    store: Store
    workers: int = 1
    shard_rows: int | None = None
    progress: Progress = silent
    notice: Notice = silent


def ingest(
    source: str | InMemory,
    recipe: Recipe,
    limit: int | None,
    options: Options,
    check: Callable[[str], object] = silent,
    name: str | None = None,
    without: Version | None = None,
) -> Version:
    """The source as a clean version of its own.

    Args:
        check: called with its name before it is made.
        name: of the version, by default the source's.
        without: leave out the rows that stand in this version.

    Raises:
        SourceError: the source cannot be read, or holds several splits and the recipe says none; or all of its rows
            stand in that version.
        StoreError: no name was given, and the source's is that of another source in the store.
    """
    with kernels.telling(options.notice):
        opened = open_source(source, recipe.source, SourceIndex(options.store.root), options.progress)
    clean = Clean.of(opened, recipe, limit, name, options.notice, without)
    check(clean.wanted.name)
    clean.check_holder(options.store)
    return obtain(clean, options)


def obtain(clean: Clean, options: Options) -> Version:
    """The clean version: the one that is there, or made now."""

    def make() -> Version:
        from lope_data.builds.make import make_clean

        made = make_clean(clean, options)
        clean.check_holder(options.store)  # again: it may have taken long, and another process the name
        return made

    found = obtained(clean.wanted.name, clean.wanted.version, options, make)
    clean.remember(options.store)
    return found


def build(
    parent: Version, recipe: Recipe, name: str | None, options: Options, *, allow_shortfall: bool = False
) -> Version:
    """The noisy version of a parent.

    Raises:
        NoiseError: the mix cannot touch as many rows as the ratio asks for.
        StoreError: the parent cannot be read or has the same name, or the store cannot be written.
    """
    origin = parent.manifest
    name = child_name(name, recipe, origin.name)
    resolved = recipe.resolved()
    ops = op_versions(recipe)
    version = version_id("build", resolved, recipe.seed, ops, origin.content_digest, origin.depth + 1)

    def make() -> Version:
        from lope_data.builds.make import make_noisy

        wanted = Wanted(name, version, recipe.seed, resolved, ops, _op_modules(recipe))
        return make_noisy(parent, recipe, wanted, options, allow_shortfall=allow_shortfall)

    found = options.store.find(name, version)
    missing = found.manifest.shortfall if found is not None and found.manifest.kind == "build" else 0
    if found is not None and missing and not allow_shortfall:
        raise NoiseError(
            f"{found.ref} exists and falls {missing:,} rows short of what was asked; lower the "
            "ratio, add ops that apply to more rows, or take it with --allow-shortfall"
        )
    made = obtained(name, version, options, make)
    hints, said = {"embedding_alpha": recipe.embedding.alpha}, made.manifest.hints.plain
    if said != hints:  # outside the id, so the version is the same and cannot say both
        raise StoreError(f"{made.ref} exists with the hints {said}, not {hints}; give another --name")
    return made


def obtained(name: str, version: str, options: Options, make: Callable[[], Version]) -> Version:
    """The version: the one that is there, or the one that another process is making, or else what `make` makes."""
    store = options.store
    found = store.find(name, version)
    if found is None:
        with locked(store, name, version, options.notice):
            found = store.find(name, version)
            if found is None:
                if (place := store.folder(name, version)).is_symlink():
                    raise StoreError(f"{place} is a link; a store holds its versions itself: remove it")
                made = make()
                store.set_ref(name, "latest", version)
                return made
    if store.draft(name, version).exists() or left_locked(store, name, version):  # its process was killed at its end
        with locked_if_free(store, name, version) as free:
            if free:
                shutil.rmtree(store.draft(name, version), ignore_errors=True)
    try:
        store.set_ref(name, "latest", version)
    except StoreError as error:
        options.notice(str(error))  # the version is there all the same
    return found


def op_versions(recipe: Recipe) -> dict[str, str]:
    """The version of each op; where steps give one op other parameters, and so tables, of each in turn."""
    versions: dict[str, list[str]] = {}
    for step in recipe.steps:
        for op in step.weights:
            version = op_version(step.ops[op], step.params_of(op))
            if version not in versions.setdefault(op, []):
                versions[op].append(version)
    return {op: ",".join(found) for op, found in versions.items()}


def _op_modules(recipe: Recipe) -> dict[str, str]:
    own = {name: op.origin for step in recipe.steps for name, op in step.ops.items() if op.origin is not None}
    return {name: origin.module for name, origin in own.items()}


def child_name(name: str | None, recipe: Recipe, parent: str) -> str:
    """The name of what is built on a dataset, by default PARENT-RECIPE.

    Raises:
        StoreError: it cannot be one, or it is the parent's.
    """
    name = check_name(f"{parent}-{recipe.name}" if name is None else name)
    if name == parent:
        raise StoreError(f"{name!r} is the parent's name; choose another, or its latest version would be the noisy one")
    return name


def ingest_samples(recipe: Recipe, limit: int | None, options: Options, child: str | None = None) -> Version:
    """The embedded sample; its held-out split is ingested beside it, whole, for those who evaluate.

    Args:
        child: the name of what is to be built on it; by default PARENT-RECIPE.
    """
    child_name(child, recipe, f"sample-{limit}" if limit else "sample")
    built = {name: ingest(name, Recipe(), None, options) for name in FINGERPRINTS}
    return ingest("sample", recipe, limit, options) if limit else built["sample"]
