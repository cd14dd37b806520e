"""Sending an exported folder to a Hugging Face hub, in one commit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lope_train.errors import RunError


def check_push(hub_id: str) -> None:
    """Raises RunError where the id is not `owner/name`, or where there is no token for the hub."""
    from huggingface_hub import get_token

    part = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
    if not re.fullmatch(f"{part}/{part}", hub_id) or "--" in hub_id or ".." in hub_id:
        raise RunError(
            f"{hub_id[:100]!r} is no hub id: use OWNER/NAME, of letters, digits, '.', '_' and '-', without '--' or '..'"
        )
    if not get_token():
        raise RunError("no token for the hub: set HF_TOKEN, or run `hf auth login`")


def push(folder: Path, hub_id: str, private: bool) -> str:
    """Send what `export` wrote to a model repository, which is made if there is none; returns its address.

    The endpoint and the token are those of `huggingface_hub` (`HF_ENDPOINT`, `HF_TOKEN`, or what `hf auth login`
    keeps). Raises RunError where there is no token, or one that may not, or no network.
    """
    from huggingface_hub import HfApi

    check_push(hub_id)
    api = HfApi()
    with _asked(hub_id):
        address = str(api.create_repo(hub_id, repo_type="model", private=private or None, exist_ok=True))
        api.upload_folder(
            repo_id=hub_id, folder_path=folder, repo_type="model", commit_message="Adapter, exported by lope_train"
        )
    return address


@contextmanager
def _asked(hub_id: str) -> Iterator[None]:
    """What the hub's client raises, as a RunError."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except HfHubHTTPError as error:
        status = None if error.response is None else error.response.status_code
        reason = (error.server_message or str(error)).strip().splitlines()[0]
        hint = "; is the token (HF_TOKEN) right, and may it write there?" if status in (401, 403, 404) else ""
        raise RunError(f"{constants.ENDPOINT} refused {hub_id} ({status}: {reason}){hint}") from error
    except Exception as error:  # of requests, httpx or httpx2, by the version of the client
        raise RunError(f"cannot push to {constants.ENDPOINT} ({error}); is there a network?") from error
