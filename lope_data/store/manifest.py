"""The manifest: canonical JSON that says what a version is, with a hash over itself (FORMAT.md)."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lope_common.files import canonical, is_sealed
from lope_common.files import seal as seal  # whoever writes a manifest finds it here
from lope_data.errors import OldFormatError, StoreError

if TYPE_CHECKING:
    from lope_data.store.manifest_model import Manifest
    from lope_data.store.old import OldManifest

FORMAT = 2
BLOCK = 2000  # rows that are hashed alone, and of a record batch: what a random read has to touch
INGEST = 1  # of the rules by which the rows of a source become those of a version; part of its id
NAME = "manifest.json"
_LIBRARIES = ("datasets", "nlpaug", "numpy", "pyarrow", "regex")
_MAX_BYTES = 64 * 2**20


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


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a version, checked against its own hash and its schema. Unknown keys are kept.

    Raises:
        OldFormatError: it is of an older format; says how to build the version again.
        StoreError: it is missing, broken, changed, of a newer format, or a key has a value that it cannot have.
    """
    found = read_any(folder)
    from lope_data.store.old import OldManifest, again

    if isinstance(found, OldManifest):
        raise OldFormatError(
            f"{folder} has format {found.format}, and this lope_data reads format {FORMAT}; "
            f"{again(folder / NAME, found, read_any).told()}"
        )
    return found


def read_any(folder: Path) -> Manifest | OldManifest:
    """The manifest of a version of any format up to ours; of an older one what is known without reading its rows.

    Raises:
        StoreError: as `read_manifest`.
    """
    path = folder / NAME
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise StoreError(f"{path} is not a file; remove {folder} and build it again")
        if status.st_size > _MAX_BYTES:
            raise StoreError(f"{path} is larger than any manifest; remove {folder} and build it again")
        data = path.read_bytes()
    except FileNotFoundError:
        raise StoreError(f"{folder} is not a version: it has no {NAME}") from None
    except (OSError, ValueError) as error:  # a path that cannot be one, too
        raise StoreError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error})") from error
    try:
        manifest = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path} cannot be read ({error}); remove {folder} and build it again") from error
    if not isinstance(manifest, dict) or type(manifest.get("format")) is not int:
        raise StoreError(f"{path} is not a manifest; remove {folder} and build it again")
    if manifest["format"] > FORMAT:
        raise StoreError(f"{path} has format {manifest['format']}; this lope_data reads up to {FORMAT}, upgrade it")
    if not is_sealed(manifest, data):
        raise StoreError(f"{path} does not match its own hash; remove {folder} and build it again")
    from lope_data.store.manifest_model import as_manifest  # pydantic, which only readers need
    from lope_data.store.old import as_old

    return as_manifest(manifest, path) if manifest["format"] == FORMAT else as_old(manifest, path)


def libraries() -> dict[str, str]:
    """Library -> version; for equal ones the bytes of a version's files are promised, not only its content."""
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}
