"""Pushing a version to a Hugging Face hub, in one commit: what `export --to parquet` writes."""

from __future__ import annotations

import fnmatch
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lope_data.errors import StoreError
from lope_data.progress import Progress
from lope_data.store.verify import check_files
from lope_data.store.version import Version
from lope_data.transfer.export import write_into

_OURS = ("rows.*", "edits/*.parquet")  # of another version pushed before: taken away


def check_hub_id(hub_id: str) -> str:
    """The id, if it is `owner/name`.

    Raises:
        StoreError: it is not.
    """
    part = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
    if not re.fullmatch(f"{part}/{part}", hub_id) or "--" in hub_id or ".." in hub_id:
        raise StoreError(
            f"{hub_id[:100]!r} is no hub id: use OWNER/NAME, of letters, digits, '.', '_' and '-', without '--' or '..'"
        )
    return hub_id


def push(version: Version, hub_id: str, private: bool, progress: Progress) -> str:
    """Sends a version to a dataset repository, which is made if there is none; returns its address.

    The folder there is that of `export --to parquet`, so that `import` makes the same version of it again. The endpoint
    and the token are those of `huggingface_hub` (`HF_ENDPOINT`, `HF_TOKEN`, or what `hf auth login` keeps).

    Raises:
        StoreError: no token, or one that may not; no network; files of the version are not those of its manifest.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token

    check_hub_id(hub_id)
    if not get_token():
        raise StoreError("no token for the hub: set HF_TOKEN, or run `hf auth login`")
    check_files(version)
    api = HfApi()
    with _asked(hub_id):
        address = str(api.create_repo(hub_id, repo_type="dataset", private=private or None, exist_ok=True))
    with tempfile.TemporaryDirectory(prefix="lope-push-") as temporary:
        folder = Path(temporary)
        write_into(folder, version, "parquet", progress)
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        with _asked(hub_id):
            others = set(api.list_repo_files(hub_id, repo_type="dataset")) - set(names)
            old = sorted(name for name in others if any(fnmatch.fnmatchcase(name, pattern) for pattern in _OURS))
            sent = [CommitOperationAdd(name, str(folder / name)) for name in names]
            message = f"{version.ref}, {version.manifest['rows']:,} rows"
            gone = [CommitOperationDelete(name) for name in old]
            api.create_commit(hub_id, [*gone, *sent], commit_message=message, repo_type="dataset")
    return address


@contextmanager
def _asked(hub_id: str) -> Iterator[None]:
    """What the hub's client raises, as a StoreError."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except HfHubHTTPError as error:
        status = None if error.response is None else error.response.status_code
        reason = (error.server_message or str(error)).strip().splitlines()[0]
        hint = "; is the token (HF_TOKEN) right, and may it write there?" if status in (401, 403, 404) else ""
        raise StoreError(f"{constants.ENDPOINT} refused {hub_id} ({status}: {reason}){hint}") from error
    except Exception as error:  # of requests, httpx or httpx2, by the version of the client
        raise StoreError(f"cannot push to {constants.ENDPOINT} ({error}); is there a network?") from error
