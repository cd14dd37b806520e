"""Writing a version: shards, then what `datasets` needs, then the manifest, then one rename."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lope_data.digest import content_digest
from lope_data.errors import StoreError
from lope_data.manifest import FORMAT, NAME, canonical, seal
from lope_data.store import Store
from lope_data.version import Version

_BATCH = 2000  # rows of a record batch: what a random read has to touch


def shard_name(index: int, count: int) -> str:
    return f"data-{index:05d}-of-{count:05d}.arrow"


def write_shard(folder: Path, index: int, count: int, rows: pa.Table, edits: pa.Table) -> None:
    """Writes one shard's rows and edits, flushed to disk."""
    with (folder / shard_name(index, count)).open("wb") as file:
        with pa.ipc.new_stream(file, rows.schema) as writer:
            writer.write_table(rows, max_chunksize=_BATCH)
        os.fsync(file.fileno())
    with (folder / "edits" / f"{index:05d}-of-{count:05d}.parquet").open("wb") as file:
        pq.write_table(edits, file, compression="zstd")
        os.fsync(file.fileno())


@contextmanager
def half_built(store: Store, name: str, version: str) -> Iterator[Path]:
    """A folder beside the version's place, removed at the end unless it was renamed into it.

    Raises:
        StoreError: the store cannot be written to.
    """
    home = store.folder(name, version).parent
    try:
        home.mkdir(parents=True, exist_ok=True)
        folder = home / f".{version}-{os.getpid()}-{secrets.token_hex(4)}"
        (folder / "edits").mkdir(parents=True)
    except OSError as error:
        raise StoreError(
            f"cannot write to the store {store.root} ({error.strerror}); choose another with --store"
        ) from error
    try:
        yield folder
    except OSError as error:
        raise StoreError(f"cannot write to {home} ({error.strerror}); nothing was kept of this version") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def commit(store: Store, folder: Path, shards: int, description: Mapping[str, Any]) -> Version:
    """Completes a half-built folder whose shards are written, and makes it the version that `description` names.

    If another process was first with the same version, its is kept: the two are equal.
    """
    digest = content_digest(
        (pa.ipc.open_stream(pa.memory_map(str(folder / shard_name(i, shards)))).read_all() for i in range(shards)),
        (pq.read_table(file) for file in sorted((folder / "edits").glob("*.parquet"))),
    )
    _write_datasets_files(folder, shards, digest)
    manifest = {"format": FORMAT, **description, "content_digest": digest, "libraries": _libraries()}
    _write(folder / "README.md", _card(manifest).encode())
    manifest["files"] = [_described(folder, path) for path in sorted(folder.rglob("*")) if path.is_file()]
    manifest = seal(manifest)
    _write(folder / NAME, canonical(manifest))
    name, version = str(description["name"]), str(description["version"])
    target = store.folder(name, version)
    if target.exists() and not (target / NAME).is_file():
        shutil.rmtree(target)  # not a version, so nobody's
    try:
        folder.rename(target)
    except OSError:
        if not (target / NAME).is_file():
            raise
    store.set_ref(name, "latest", version)
    found = store.find(name, version)
    assert found is not None
    return found


def _write_datasets_files(folder: Path, shards: int, digest: str) -> None:
    import datasets  # slow to import, and only needed here

    schema = pa.ipc.open_stream(pa.memory_map(str(folder / shard_name(0, shards)))).schema
    info = {"features": datasets.Features.from_arrow_schema(schema).to_dict()}
    state: dict[str, Any] = {
        "_data_files": [{"filename": shard_name(i, shards)} for i in range(shards)],
        "_fingerprint": digest.removeprefix("sha256:")[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    _write(folder / "dataset_info.json", json.dumps(info, indent=2, sort_keys=True).encode() + b"\n")
    _write(folder / "state.json", json.dumps(state, indent=2, sort_keys=True).encode() + b"\n")


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _described(folder: Path, path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {"path": path.relative_to(folder).as_posix(), "bytes": path.stat().st_size, "sha256": sha256}


def _libraries() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("datasets", "nlpaug", "numpy", "pyarrow", "regex")}


def _card(manifest: Mapping[str, Any]) -> str:
    parents = manifest["parents"]
    origin = (
        f"`{parents[0]['name']}@{parents[0]['version']}`" if parents else f"the source `{manifest['source']['name']}`"
    )
    return f"""---
tags: [lope, {"noisy" if manifest["kind"] == "build" else "clean"}]
---
# {manifest["name"]}

Version `{manifest["version"]}`, made by `lope_data` from {origin}:
{manifest["rows"]:,} rows, {manifest["touched"]:,} of them with noise.
`manifest.json` holds the recipe, the seed and what was realised; `edits/` every edit.

```python
import datasets
rows = datasets.load_from_disk("{manifest["name"]}/{manifest["version"]}")
```
"""
