"""Making a version again from its source, by what its manifests say, and comparing the digests."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from lope_common.progress import Notice, Progress, silent
from lope_data.builds.curation import curate, derived
from lope_data.builds.obtain import Options, build, ingest, op_versions
from lope_data.builds.without import held_without
from lope_data.errors import StoreError
from lope_data.noise.registry import all_ops
from lope_data.recipe.recipe import Recipe, validated
from lope_data.store.manifest_model import Curated, Ingest, Manifest
from lope_data.store.store import Store
from lope_data.store.verify import Finding
from lope_data.store.version import Version


def replay(
    version: Version,
    source: str,
    workers: int,
    progress: Progress,
    notice: Notice = silent,
    store: Path | None = None,
) -> list[Finding]:
    """Builds the whole lineage of a version again, in a store that is thrown away.

    Args:
        source: what the first version was ingested from.
        store: where the version whose rows were left out of the source is looked for, if it is not beside this one.

    Returns:
        The first version that came out otherwise, if any did.

    Raises:
        StoreError: the source is not what it was, or what the manifests ask for is not what this lope_data does: a
            manifest imports nothing, so ops of a user's own are those that were imported before. Also where the
            version whose rows were left out is not there.
    """
    for original in version.lineage:
        _check_known(original)
    with tempfile.TemporaryDirectory(prefix="lope-replay-") as folder:
        options = Options(Store(Path(folder)), workers, progress=progress, notice=notice)
        again: Version | None = None
        for original in reversed(version.lineage):
            manifest = original.manifest
            if manifest.kind == "ingest":
                beside = original.folder.absolute().parents[1]
                stores = [beside, *([] if store is None else [store])]
                if manifest.curated is not None:
                    again = _curated(original, manifest.curated, options, stores)
                else:
                    again = _ingested(manifest, source, options, stores)
            else:
                assert again is not None  # the model: a build has parents, and what has none is an ingested source
                recipe = _recipe(manifest, manifest.recipe.plain)
                _check_ops(original, recipe)
                name = "noisy" if again.manifest.name != "noisy" else "noisier"  # no name decides what comes out
                again = build(again, recipe, name, options, allow_shortfall=True)
            if again.manifest.content_digest != manifest.content_digest:
                what = f"made again its digest is {again.manifest.content_digest}, not {manifest.content_digest}"
                return [Finding(original.ref, "rows and edits", what)]
            if again.manifest.version != manifest.version:
                what = f"made again it is version {again.manifest.version}"
                return [Finding(original.ref, "manifest.json", what)]
    return []


def _curated(original: Version, link: Curated, options: Options, stores: list[Path]) -> Version:
    """By the lists that its rows and those of the version that they are of tell, whose digest is recorded."""
    source = held_without(link, stores)
    if source is None:
        raise StoreError(
            f"cannot replay: {original.ref} is made of rows of {link.ref}, which is not in the store {stores[-1]}; "
            "ingest, build or import that one again"
        )
    name = "curated" if source.manifest.name != "curated" else "again"  # no name decides what comes out
    return curate(derived(original, source), name, options)


def _ingested(manifest: Ingest, source: str, options: Options, stores: list[Path]) -> Version:
    how = manifest.recipe.plain
    without = None if manifest.without is None else held_without(manifest.without, stores)
    if manifest.without is not None and without is None:
        raise StoreError(
            f"cannot replay: {manifest.ref} was ingested without the rows of {manifest.without.ref}, which is not in "
            f"the store {stores[-1]}; ingest or import that one again"
        )
    recipe = _recipe(manifest, {key: how[key] for key in ("shape", "columns", "source") if key in how})
    again = ingest(source, recipe, manifest.recipe.limit, options, without=without)
    found, wanted = again.manifest.source.fingerprint, manifest.source.fingerprint
    if found != wanted:
        raise StoreError(
            f"{source} is not what {manifest.ref} was ingested from: its fingerprint is {found}, not {wanted}; name "
            "the right one with --source"
        )
    return again


def _recipe(manifest: Manifest, plain: dict[str, Any]) -> Recipe:
    data = {**plain, "seed": manifest.seed, "embedding": _embedding(manifest)}
    return validated(Recipe, data, f"the recipe of {manifest.ref}")


def _embedding(manifest: Manifest) -> dict[str, Any]:
    alpha = manifest.hints.embedding_alpha
    return {} if alpha is None else {"alpha": alpha}


def _check_known(version: Version) -> None:
    """Before the manifest's recipe is read as one, which imports what it names from installed packages."""
    manifest = version.manifest
    named = dict.fromkeys([*manifest.ops, *(op for step in manifest.steps for op in step.mix)])
    if unknown := [op for op in named if op not in all_ops()]:
        op, module = unknown[0], manifest.op_modules.get(unknown[0])
        if module is None:
            raise StoreError(f"{version.ref} was made with {op}, which this lope_data does not have; upgrade it")
        raise StoreError(f"{version.ref} was made with {op} of {module}, which is not imported; {_pass(module)}")


def _pass(module: str) -> str:
    """What to type so that an op of that module is known; of a file the manifest has the name and not the path."""
    return f"pass --import {module}" + (" (where that file is now)" if module.endswith(".py") else "")


def _check_ops(version: Version, recipe: Recipe) -> None:
    now = op_versions(recipe)
    ops = version.manifest.ops
    for op, made_by in ops.items():
        if now.get(op) == made_by:
            continue
        module = version.manifest.op_modules.get(op)
        if module is None:
            whose, todo = "this lope_data has", "replay it with the lope_data that made it"
        else:
            whose, todo = "what was imported is", f"find the source that made it, then {_pass(module)}"
        made = f"{version.ref} was made by {op} version {made_by}"
        raise StoreError(f"{made}, and {whose} {now.get(op)}, which makes other noise; {todo}")
