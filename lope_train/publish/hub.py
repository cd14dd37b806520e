"""Sending an exported folder to a Hugging Face hub, in one commit."""

from __future__ import annotations

from pathlib import Path

from lope_common.hub import check_push, pushing
from lope_train.errors import RunError


def push(folder: Path, hub_id: str, private: bool) -> str:
    """Send what `export` wrote to a model repository, which is made if there is none; returns its address.

    The endpoint and the token are those of `huggingface_hub` (`HF_ENDPOINT`, `HF_TOKEN`, or what `hf auth login`
    keeps). Raises RunError where there is no token, or one that may not, or no network.
    """
    from huggingface_hub import HfApi

    check_push(hub_id, RunError)
    api = HfApi()
    with pushing(hub_id, RunError):
        address = str(api.create_repo(hub_id, repo_type="model", private=private or None, exist_ok=True))
        api.upload_folder(
            repo_id=hub_id, folder_path=folder, repo_type="model", commit_message="Adapter, exported by lope_train"
        )
    return address
