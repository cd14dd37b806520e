"""The API: from a source to a version and back to it. The command line calls it, so both check the same in one order.

Everything that can be checked is checked before anything is read or written: numbers, what excludes what, the name.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from lope_common.errors import shown
from lope_common.progress import Notice, Progress, silent
from lope_data.arguments import (
    count_of,
    name_of,
    one_split,
    options_of,
    recipe_of,
    source_of,
    store_of,
    text_of,
    with_reading,
)
from lope_data.builds import each, obtain
from lope_data.builds.obtain import child_name
from lope_data.builds.without import find_without
from lope_data.errors import RecipeError, SourceError, StoreError
from lope_data.noise.imports import Imports, import_ops
from lope_data.recipe.recipe import Recipe
from lope_data.store.locks import in_use
from lope_data.store.version import Version

if TYPE_CHECKING:
    import datasets
    import pandas
    import polars
    import pyarrow as pa

    from lope_data.builds.preview import Preview

    ListLike: TypeAlias = str | os.PathLike[str] | pa.Table | polars.DataFrame | Sequence[Mapping[str, Any]]
    SourceLike: TypeAlias = (
        str
        | os.PathLike[str]
        | Sequence[Mapping[str, Any]]
        | Sequence[str | None]
        | datasets.Dataset
        | datasets.DatasetDict
        | datasets.IterableDataset
        | datasets.IterableDatasetDict
        | pandas.DataFrame
        | pandas.Series[Any]
        | polars.DataFrame
        | polars.LazyFrame
        | polars.Series
        | pa.Table
        | pa.RecordBatch
        | pa.RecordBatchReader
        | pa.Array
        | pa.ChunkedArray
    )

NOISE_SPLITS = ("train",)
"""Of `build_splits`: noise is put where models learn, and what they are measured on stays clean."""
RecipeLike = Recipe | Mapping[str, Any] | str | os.PathLike[str] | None


def open(ref: str, *, store: Path | str | None = None) -> Version:  # noqa: A001
    """A version: its `dataset` (`datasets.Dataset`), `rows` and `edits` (Arrow tables), `manifest`, `parent`.

    Args:
        ref: NAME, NAME@TAG, NAME@VERSION or its first digits, or the path of a version's folder.
        store: the folder of the versions; by default `$LOPE_STORE`, else `./lope-store`.

    Raises:
        StoreError: there is none, or its manifest is not as it was written.
    """
    return store_of(store).resolve(text_of("ref", ref, StoreError))


def ingest(
    source: SourceLike,
    recipe: RecipeLike = None,
    *,
    columns: Mapping[str, Any] | None = None,
    split: str | None = None,
    config: str | None = None,
    revision: str | None = None,
    name: str | None = None,
    limit: int | None = None,
    without: Version | str | None = None,
    store: Path | str | None = None,
    workers: int | None = None,
    shard_rows: int | None = None,
    imports: Imports = (),
    progress: Progress = silent,
    notice: Notice = silent,
) -> Version:
    """A source as a clean version, named after it: made now, or the one that is there (`existed`).

    Args:
        source: a file, a folder, a hub id, or `sample`; or an object in memory: a `datasets.Dataset`, `DatasetDict`,
            `IterableDataset` or `IterableDatasetDict`, a frame of pandas or polars, an Arrow table, record batch or
            reader, a list of dicts; for texts alone a list, a Series, an Arrow array or `dataset["text"]`.
            The version of an object is called after the dataset that the object says it is of, else `memory`; another
            object under that name makes the next version of it. Of a pandas frame the row numbers in its index are
            left out, and any other index is refused. Of a Dataset all columns are read, whatever its format shows.
        recipe: as for `build`; its `shape`, `columns` and `source` say how to read it, and its seed draws the rows of
            a `limit`.
        name: of the version, by default the source's, which is refused where another source has it.

    The other arguments are those of `build`.

    Raises:
        LopeDataError: an argument, the source or the store does not do; says what and where.
    """
    import_ops(imports)
    checked, options = recipe_of(recipe, columns), options_of(store, workers, shard_rows, progress, notice)
    rows, place = count_of("limit", limit), source_of(source)
    checked = one_split(with_reading(checked, split=split, config=config, revision=revision), "ingest_splits")
    name = name_of(name)
    with in_use(options.store, options.notice):
        left_out = None if without is None else find_without(without, options.store)
        return obtain.ingest(place, checked, rows, options, name=name, without=left_out)


def ingest_splits(
    source: SourceLike,
    recipe: RecipeLike = None,
    *,
    columns: Mapping[str, Any] | None = None,
    config: str | None = None,
    revision: str | None = None,
    name: str | None = None,
    limit: int | None = None,
    store: Path | str | None = None,
    workers: int | None = None,
    shard_rows: int | None = None,
    imports: Imports = (),
    progress: Progress = silent,
    notice: Notice = silent,
) -> dict[str, Version]:
    """A clean version of each split of a source, by split: what `ingest --split all` makes.

    Args:
        name: the versions are called NAME-SPLIT; by default the source's name, which is refused where another has it.

    The other arguments are those of `ingest`.

    Raises:
        LopeDataError: as `ingest`; the source has no splits, too. Then no version of any split has been written.
    """
    import_ops(imports)
    checked, options = recipe_of(recipe, columns), options_of(store, workers, shard_rows, progress, notice)
    rows, place = count_of("limit", limit), source_of(source)
    checked = with_reading(checked, config=config, revision=revision)
    name = name_of(name)
    with in_use(options.store, options.notice):
        return each.ingest_splits(place, checked, rows, options, name)


def build(
    recipe: RecipeLike = None,
    *,
    source: SourceLike | None = None,
    split: str | None = None,
    config: str | None = None,
    revision: str | None = None,
    parent: Version | str | None = None,
    columns: Mapping[str, Any] | None = None,
    name: str | None = None,
    limit: int | None = None,
    without: Version | str | None = None,
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
        recipe: or a dict of what is in one, or the name of a packaged one or a file (TOML, or the manifest.json of a
            build); by default HyNoIse, of the newest edition.
        source: what to ingest, as for `ingest`; by default the embedded sample.
        split: of the source, which must be named where it has several. `build_splits` makes a version of each.
        config: of a dataset on the hub; by default the dataset's own default.
        revision: of a dataset on the hub: a branch, a tag or a commit. The commit is recorded, also by default.
        parent: a version, or a reference to one, instead of a source.
        columns: what columns of the source stand for, where their names do not say: {"text": "body"}.
        name: of the version, by default PARENT-RECIPE.
        limit: rows of the source to keep, a keyed sample.
        without: a clean version, or a reference to one: the rows of the source that stand in it are left out, and the
            manifest says how many. Compared is what a row asks, and not its label: its input texts, and the choices
            of a question; in any case and with any white space (FORMAT.md, Rows that are left out).
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
    checked, options = recipe_of(recipe, columns), options_of(store, workers, shard_rows, progress, notice)
    rows = count_of("limit", limit)
    asked = {"split": split, "config": config, "revision": revision}
    checked = with_reading(checked, **asked)
    if source is not None and parent is not None:
        raise RecipeError("source (--source) and parent (--from) exclude each other: a version is built on one of them")
    if limit is not None and parent is not None:
        raise RecipeError("limit (--limit) is for a source; a version keeps its parent's rows")
    if without is not None and (parent is not None or source is None):
        raise RecipeError("without (--without) is for a source; say which (--source)")
    if columns is not None and parent is not None:
        raise RecipeError("columns (--columns) are of a source; a version has its parent's")
    said = asked if parent is not None else checked.source.model_dump(include=set(asked))
    if source is None and (given := [what for what in asked if said[what] is not None]):
        raise RecipeError(f"{given[0]} (--{given[0]}) is for a source that has several; say which (--source)")
    if parent is None:
        checked = one_split(checked, "build_splits")
    name = name_of(name)
    if isinstance(parent, Version):
        parent = Version.at(parent.folder)  # as it is now, whoever wrote it
        child_name(name, checked, parent.manifest.name)
    elif parent is not None:
        parent = text_of("parent", parent, StoreError)
    place = None if source is None else source_of(source)
    with in_use(options.store, options.notice):
        if isinstance(parent, str):
            parent = options.store.resolve(parent)
        elif parent is None and place is None:
            parent = obtain.ingest_samples(checked, rows, options, name)
        elif place is not None:
            left_out = None if without is None else find_without(without, options.store)
            parent = obtain.ingest(
                place, checked, rows, options, lambda own: child_name(name, checked, own), without=left_out
            )
        assert parent is not None
        return obtain.build(parent, checked, name, options, allow_shortfall=allow_shortfall)


def curate(
    ref: Version | str,
    *,
    drop: ListLike | None = None,
    relabel: ListLike | None = None,
    weight: ListLike | None = None,
    name: str | None = None,
    store: Path | str | None = None,
    workers: int | None = None,
    shard_rows: int | None = None,
    progress: Progress = silent,
    notice: Notice = silent,
) -> Version:
    """A version without some of its rows, or with other targets or weights of some: a clean version of its own, made
    now, or the one that is there (`existed`). Noise is built on it as on any other.

    Args:
        ref: the version, or a reference to it, clean or noisy.
        drop: a list with the column `row_id`: a file (csv, jsonl, json, parquet), a table, a frame, a list of dicts.
            Other columns are ignored, so that the list of `lope_train score` will do.
        relabel: a list with `row_id` and `target`, the new target as text: a label that the version has, the number
            of a choice, or a response.
        weight: a list with `row_id` and `weight`, how much the row counts in training, a number from 0 on;
            other rows keep the weight that they have, or 1. The version has it as `lope_weight`, float32, and so has
            noise that is built on it.
        name: by default the version's with `-curated`.

    The other arguments are those of `build`.

    Raises:
        LopeDataError: a list cannot be followed, or nothing would change; says what and where.
    """
    from lope_data.builds.curation import curate as curated
    from lope_data.builds.curation import read_curation

    if drop is None and relabel is None and weight is None:
        raise SourceError("a version is curated by lists: give drop (--drop), relabel (--relabel) or weight (--weight)")
    options, name = options_of(store, workers, shard_rows, progress, notice), name_of(name)
    with in_use(options.store, options.notice):
        found = Version.at(ref.folder) if isinstance(ref, Version) else None
        source = found or options.store.resolve(text_of("ref", ref, StoreError))
        return curated(read_curation(source, drop, relabel, weight), name, options)


def build_splits(
    source: SourceLike,
    recipe: RecipeLike = None,
    *,
    noise_splits: str | Iterable[str] = NOISE_SPLITS,
    columns: Mapping[str, Any] | None = None,
    config: str | None = None,
    revision: str | None = None,
    name: str | None = None,
    limit: int | None = None,
    store: Path | str | None = None,
    workers: int | None = None,
    shard_rows: int | None = None,
    allow_shortfall: bool = False,
    imports: Imports = (),
    progress: Progress = silent,
    notice: Notice = silent,
) -> dict[str, Version]:
    """A version of each split of a source, by split: what `build --split all` makes.

    Args:
        noise_splits: the splits that are built with noise; of the others the clean version is given.
        name: the versions are called NAME-SPLIT; by default as `build` and `ingest` call them.
        limit: rows of each split to keep.

    The other arguments are those of `build`.

    Raises:
        LopeDataError: as `build`; the source has no splits or not those named, too.
    """
    import_ops(imports)
    checked, options = recipe_of(recipe, columns), options_of(store, workers, shard_rows, progress, notice)
    rows, place = count_of("limit", limit), source_of(source)
    try:
        given = [noise_splits] if isinstance(noise_splits, str) else [*noise_splits]
    except TypeError:
        raise SourceError(f"noise_splits must hold names of splits, not {shown(noise_splits)}") from None
    noisy = [text_of("noise_splits", one, SourceError) for one in given]
    checked = with_reading(checked, config=config, revision=revision)
    name = name_of(name)
    with in_use(options.store, options.notice):
        return each.build_splits(place, checked, noisy, name, rows, options, allow_shortfall=allow_shortfall)


def preview(
    recipe: RecipeLike = None,
    *,
    source: SourceLike | None = None,
    columns: Mapping[str, Any] | None = None,
    split: str | None = None,
    config: str | None = None,
    revision: str | None = None,
    imports: Imports = (),
) -> Preview:
    """What `build` would do to a source, in memory: its touched rows `clean` and `noisy`, and every edit.

    Args:
        recipe, columns, split, config, revision, imports: as for `build`.
        source: by default the embedded sample.

    Raises:
        LopeDataError: as `build`, but for a shortfall, which is told.
    """
    from lope_data.builds.preview import preview as previewed

    import_ops(imports)
    checked = one_split(with_reading(recipe_of(recipe, columns), split=split, config=config, revision=revision), None)
    return previewed("sample" if source is None else source_of(source), checked)
