"""The API: from a source to a version and back to it. The command line calls it, so both check the same in one order.

Everything that can be checked is checked before anything is read or written: numbers, what excludes what, the name.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lope_common.errors import shown
from lope_common.progress import Notice, Progress, silent
from lope_data.builds import obtain
from lope_data.builds.obtain import Options, child_name
from lope_data.errors import LopeDataError, RecipeError, SourceError, StoreError
from lope_data.names import check_name
from lope_data.noise.imports import Imports, import_ops
from lope_data.recipe.recipe import Recipe, named_recipe, validated
from lope_data.rows.columns import Columns
from lope_data.store.locks import in_use
from lope_data.store.store import Store
from lope_data.store.version import Version

if TYPE_CHECKING:
    from lope_data.builds.preview import Preview

RecipeLike = Recipe | Mapping[str, Any] | str | os.PathLike[str] | None


def open(ref: str, *, store: Path | str | None = None) -> Version:  # noqa: A001
    """A version: its `dataset` (`datasets.Dataset`), `rows` and `edits` (Arrow tables), `manifest`, `parent`.

    Args:
        ref: NAME, NAME@TAG, NAME@VERSION or its first digits, or the path of a version's folder.
        store: the folder of the versions; by default `$LOPE_STORE`, else `./lope-store`.

    Raises:
        StoreError: there is none, or its manifest is not as it was written.
    """
    return _store(store).resolve(_text("ref", ref, StoreError))


def ingest(
    source: str | os.PathLike[str],
    recipe: RecipeLike = None,
    *,
    columns: Mapping[str, Any] | None = None,
    limit: int | None = None,
    store: Path | str | None = None,
    workers: int | None = None,
    shard_rows: int | None = None,
    imports: Imports = (),
    progress: Progress = silent,
    notice: Notice = silent,
) -> Version:
    """A source as a clean version, named after it: made now, or the one that is there (`existed`).

    Args:
        source: a file, a folder, a hub id, or `sample`.
        recipe: as for `build`; its `shape`, `columns` and `source` say how to read it, and its seed draws the rows of
            a `limit`.

    The other arguments are those of `build`.

    Raises:
        LopeDataError: an argument, the source or the store does not do; says what and where.
    """
    import_ops(imports)
    checked, options = _recipe(recipe, columns), _options(store, workers, shard_rows, progress, notice)
    rows, place = _count("limit", limit), _text("source", source, SourceError)
    with in_use(options.store, options.notice):
        return obtain.ingest(place, checked, rows, options)


def build(
    recipe: RecipeLike = None,
    *,
    source: str | os.PathLike[str] | None = None,
    parent: Version | str | None = None,
    columns: Mapping[str, Any] | None = None,
    name: str | None = None,
    limit: int | None = None,
    store: Path | str | None = None,
    workers: int | None = None,
    shard_rows: int | None = None,
    allow_shortfall: bool = False,
    imports: Imports = (),
    progress: Progress = silent,
    notice: Notice = silent,
) -> Version:
    """The version that a recipe makes of a source or of a parent: made now, or the one that is there (`existed`).

    Args:
        recipe: or a dict of what is in one, or the name of a packaged one or a file; by default HyNoIse, of the newest
            edition.
        source: what to ingest, by default the embedded sample.
        parent: a version, or a reference to one, instead of a source.
        columns: what columns of the source stand for, where their names do not say: {"text": "body"}.
        name: of the version, by default PARENT-RECIPE.
        limit: rows of the source to keep, a keyed sample.
        store: the folder of the versions; by default `$LOPE_STORE`, else `./lope-store`.
        workers: threads, by default the cores; they change nothing.
        shard_rows: rows of a data file, which change no content; by default as many as make 50 files, within bounds.
        allow_shortfall: change what there is where too few rows can be changed.
        imports: files and modules that register ops of your own; they are imported before the recipe is read.
        progress: called with (what, how many are done, how many there are).
        notice: called with what the user should know while waiting.

    Raises:
        LopeDataError: an argument, the source, the parent or the store does not do; says what and where.
    """
    import_ops(imports)
    checked, options = _recipe(recipe, columns), _options(store, workers, shard_rows, progress, notice)
    rows = _count("limit", limit)
    if source is not None and parent is not None:
        raise RecipeError("source (--source) and parent (--from) exclude each other: a version is built on one of them")
    if limit is not None and parent is not None:
        raise RecipeError("limit (--limit) is for a source; a version keeps its parent's rows")
    if columns is not None and parent is not None:
        raise RecipeError("columns (--columns) are of a source; a version has its parent's")
    if name is not None:
        check_name(_text("name", name, StoreError))
    if isinstance(parent, Version):
        parent = Version.at(parent.folder)  # as it is now, whoever wrote it
        child_name(name, checked, parent.manifest.name)
    elif parent is not None:
        parent = _text("parent", parent, StoreError)
    place = None if source is None else _text("source", source, SourceError)
    with in_use(options.store, options.notice):
        if isinstance(parent, str):
            parent = options.store.resolve(parent)
        elif parent is None and place is None:
            parent = obtain.ingest_samples(checked, rows, options, name)
        elif parent is None:
            parent = obtain.ingest(str(place), checked, rows, options, lambda own: child_name(name, checked, own))
        return obtain.build(parent, checked, name, options, allow_shortfall=allow_shortfall)


def preview(
    recipe: RecipeLike = None,
    *,
    source: str | os.PathLike[str] | None = None,
    columns: Mapping[str, Any] | None = None,
    imports: Imports = (),
) -> Preview:
    """What `build` would do to a source, in memory: its touched rows `clean` and `noisy`, and every edit.

    Args:
        recipe, columns, imports: as for `build`.
        source: by default the embedded sample.

    Raises:
        LopeDataError: as `build`, but for a shortfall, which is told.
    """
    from lope_data.builds.preview import preview as previewed

    import_ops(imports)
    checked = _recipe(recipe, columns)
    return previewed("sample" if source is None else _text("source", source, SourceError), checked)


def _recipe(recipe: Any, columns: Mapping[str, Any] | None) -> Recipe:
    """The recipe, with `columns` put over its own."""
    found = _as_recipe(recipe)
    if columns is None:
        return found
    if not isinstance(columns, Mapping):
        raise RecipeError(f'columns must be a dict such as {{"text": "body"}}, not {shown(columns)}')
    mapped = validated(Columns, found.columns.model_dump(exclude_none=True) | dict(columns), "columns")
    return found.model_copy(update={"columns": mapped})


def _as_recipe(recipe: Any) -> Recipe:
    if recipe is None or isinstance(recipe, str | os.PathLike):
        return named_recipe(None if recipe is None else _text("recipe", recipe, RecipeError), {})
    if isinstance(recipe, Mapping):
        return validated(Recipe, recipe, "the recipe")
    if not isinstance(recipe, Recipe):
        raise RecipeError(f"recipe must be a lope_data.Recipe, a dict, or a name or file, not {shown(recipe)}")
    return recipe


def _options(store: Any, workers: Any, shard_rows: Any, progress: Progress, notice: Notice) -> Options:
    threads = _count("workers", workers) or os.cpu_count() or 1
    return Options(_store(store), threads, _count("shard_rows", shard_rows), progress, notice)


def _store(store: Any) -> Store:
    return Store(None if store is None else Path(_text("store", store, StoreError)))


def _count(what: str, number: Any) -> int | None:
    """A number of rows or threads, numpy's too."""
    if number is None:
        return None
    try:
        count = operator.index(number)
    except TypeError:
        count = 0
    if isinstance(number, bool) or not 1 <= count < 2**63:
        raise RecipeError(f"{what} must be 1 or more, as a whole number below 2**63, not {shown(number)}")
    return count


def _text(what: str, value: Any, error: type[LopeDataError]) -> str:
    try:
        text = os.fspath(value)
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise error(f"{what} must be text, not {shown(value)}")
    return text
