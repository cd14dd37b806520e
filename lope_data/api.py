"""The Python face: opening versions and building them, as the command line does."""

from __future__ import annotations

from pathlib import Path

from lope_data.builds.obtain import Options, ingest, ingest_samples
from lope_data.builds.obtain import build as build_on
from lope_data.errors import RecipeError
from lope_data.recipe.recipe import Recipe
from lope_data.store.locks import in_use
from lope_data.store.store import Store
from lope_data.store.version import Version


def open(ref: str, *, store: Path | str | None = None) -> Version:  # noqa: A001
    """A version: its `dataset` (`datasets.Dataset`), `rows` and `edits` (Arrow tables), `manifest`, `parent`.

    Args:
        ref: NAME, NAME@TAG, NAME@VERSION or its first digits, or the path of a version's folder.
        store: the folder of the versions; by default `$LOPE_STORE`, else `./lope-store`.

    Raises:
        StoreError: there is none, or its manifest is not as it was written.
    """
    return _store(store).resolve(ref)


def build(
    recipe: Recipe | None = None,
    *,
    source: str | None = None,
    parent: Version | str | None = None,
    name: str | None = None,
    limit: int | None = None,
    store: Path | str | None = None,
    workers: int = 1,
    allow_shortfall: bool = False,
) -> Version:
    """The version that a recipe makes of a source or of a parent: made now, or the one that is there.

    Args:
        recipe: by default HyNoIse.
        source: what to ingest, by default the embedded sample.
        parent: a version, or a reference to one, instead of a source.
        limit: rows of the source to keep, a keyed sample.
        workers: threads; they change nothing.
        allow_shortfall: change what there is where too few rows can be changed.

    Raises:
        LopeDataError: the source, the parent, the recipe or the store does not do; says what and where.
    """
    recipe = recipe or Recipe()
    for what, number in (("limit", limit), ("workers", workers)):
        if number is not None and number < 1:
            raise RecipeError(f"{what} must be 1 or more, not {number}")
    options = Options(_store(store), workers)
    if parent is not None and (source is not None or limit is not None):
        raise RecipeError("a version is built on a source, of which `limit` rows are kept, or on a parent")
    with in_use(options.store, options.notice):
        if isinstance(parent, str):
            parent = options.store.resolve(parent)
        elif parent is None and source is None:
            parent = ingest_samples(recipe, limit, options, name).version
        elif parent is None:
            parent = ingest(str(source), recipe, limit, options, name).version
        return build_on(parent, recipe, name, options, allow_shortfall=allow_shortfall).version


def _store(store: Path | str | None) -> Store:
    return Store(None if store is None else Path(store))
