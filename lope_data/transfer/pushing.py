"""Pushing a version to a Hugging Face hub, in one commit: what `export --as version` writes."""

from __future__ import annotations

import fnmatch
import tempfile
from pathlib import Path

from lope_common.hub import check_push, pushing
from lope_common.progress import Progress
from lope_data.errors import StoreError
from lope_data.store.verify import check_files
from lope_data.store.version import Version
from lope_data.transfer.exporting import write_into

_OURS = ("rows.*", "edits/*.parquet")  # of another version pushed before: taken away


def push(version: Version, hub_id: str, private: bool, progress: Progress) -> str:
    """Sends a version to a dataset repository, which is made if there is none; returns its address.

    The folder there is that of `export --as version`, so that `import` makes the same version of it again. The endpoint
    and the token are those of `huggingface_hub` (`HF_ENDPOINT`, `HF_TOKEN`, or what `hf auth login` keeps).

    Raises:
        StoreError: no token, or one that may not; no network; files of the version are not those of its manifest.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    check_push(hub_id, StoreError)
    check_files(version)
    api = HfApi()
    with pushing(hub_id, StoreError):
        address = str(api.create_repo(hub_id, repo_type="dataset", private=private or None, exist_ok=True))
    with tempfile.TemporaryDirectory(prefix="lope-push-") as temporary:
        folder = Path(temporary)
        write_into(folder, version, "parquet", progress)
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        with pushing(hub_id, StoreError):
            others = set(api.list_repo_files(hub_id, repo_type="dataset")) - set(names)
            old = sorted(name for name in others if any(fnmatch.fnmatchcase(name, pattern) for pattern in _OURS))
            sent = [CommitOperationAdd(name, str(folder / name)) for name in names]
            message = f"{version.ref}, {version.manifest.rows:,} rows"
            gone = [CommitOperationDelete(name) for name in old]
            api.create_commit(hub_id, [*gone, *sent], commit_message=message, repo_type="dataset")
    return address
