"""The manifest: canonical JSON that says what a version is, with a hash over itself (FORMAT.md)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lope_data.errors import StoreError

FORMAT = 1
NAME = "manifest.json"


def canonical(value: Any) -> bytes:
    """Canonical JSON: UTF-8, sorted keys, no spaces, no NaN, one final newline."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def seal(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with its hash."""
    body = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    return body | {"manifest_sha256": hashlib.sha256(canonical(body)).hexdigest()}


def version_id(kind: str, recipe: Mapping[str, Any], seed: int, ops: Mapping[str, str], source: str, depth: int) -> str:
    """The id of a version: a hash of everything that decides its content."""
    inputs = {
        "format": FORMAT,
        "kind": kind,
        "recipe": recipe,
        "seed": seed,
        "ops": ops,
        "input": source,
        "depth": depth,
    }
    return hashlib.sha256(canonical(inputs)).hexdigest()[:16]


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a version, checked against its own hash.

    Raises:
        StoreError: it is missing, broken, changed, or of a newer format.
    """
    path = folder / NAME
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(f"{folder} is not a version: it has no {NAME}") from None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read ({error}); remove {folder} and build it again") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("format"), int):
        raise StoreError(f"{path} is not a manifest; remove {folder} and build it again")
    if manifest["format"] > FORMAT:
        raise StoreError(f"{path} has format {manifest['format']}; this lope_data reads up to {FORMAT}, upgrade it")
    if seal(manifest) != manifest:
        raise StoreError(f"{path} does not match its own hash; remove {folder} and build it again")
    return manifest
