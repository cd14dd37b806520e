"""The recipe of a version that was built: its manifest holds it whole, so that the same noise is made again by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lope_common.files import is_sealed
from lope_data.errors import RecipeError


def recipe_of(path: Path) -> dict[str, Any]:
    """What is in a recipe, from the manifest.json of a build of any format: its recipe, its seed, its hint to trainers.

    Raises:
        RecipeError: the file cannot be read, is no manifest, is not as it was written, or is that of a clean source.
    """
    try:
        data = path.read_bytes()
        manifest = json.loads(data.decode())
    except OSError as error:
        raise RecipeError(f"cannot read the recipe {path}: {error.strerror}") from error
    except (ValueError, RecursionError):  # no file has such a name, too
        manifest = None
    if not isinstance(manifest, dict) or not {"format", "kind", "manifest_sha256"} <= manifest.keys():
        raise RecipeError(f"{path} is not a version's manifest.json; a recipe of your own is a TOML file (NAME.toml)")
    if not is_sealed(manifest, data):
        raise RecipeError(f"{path} does not match its own hash; take it from a version that verify finds whole")
    recipe, hints = manifest.get("recipe"), manifest.get("hints")
    if manifest["kind"] != "build" or not isinstance(recipe, dict):
        raise RecipeError(f"{path} is the manifest of a clean source, which has no noise; give that of a build")
    alpha = hints.get("embedding_alpha") if isinstance(hints, dict) else None
    embedding = {} if alpha is None else {"embedding": {"alpha": alpha}}
    return {**recipe, "seed": manifest.get("seed"), **embedding}
