"""The Hugging Face hub: ids, the token, and what its client raises, as the error class that a half passes in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_MODEL = re.compile(f"{_PART}(/{_PART})?")
_REPOSITORY = re.compile(f"{_PART}/{_PART}")


def is_model_id(text: str) -> bool:
    """Whether the text can be a model on the hub: `name` or `organisation/name`."""
    return _MODEL.fullmatch(text) is not None


def check_push(hub_id: str, error: type[Exception]) -> None:
    """That something can be sent to a repository: its id is `owner/name`, and there is a token.

    Raises:
        error: it is not such an id, or there is no token.
    """
    from huggingface_hub import get_token

    if not _REPOSITORY.fullmatch(hub_id) or "--" in hub_id or ".." in hub_id:
        raise error(
            f"{hub_id[:100]!r} is no hub id: use OWNER/NAME, of letters, digits, '.', '_' and '-', without '--' or '..'"
        )
    if not get_token():
        raise error("no token for the hub: set HF_TOKEN, or run `hf auth login`")


@contextmanager
def pushing(hub_id: str, error: type[Exception]) -> Iterator[None]:
    """Within the context what the hub's client raises is an `error` that says what was refused, and why."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except HfHubHTTPError as refused:
        status = None if refused.response is None else refused.response.status_code
        reason = (refused.server_message or str(refused)).strip().splitlines()[0]
        hint = "; is the token (HF_TOKEN) right, and may it write there?" if status in (401, 403, 404) else ""
        raise error(f"{constants.ENDPOINT} refused {hub_id} ({status}: {reason}){hint}") from refused
    except Exception as failed:  # of requests, httpx or httpx2, by the version of the client
        raise error(f"cannot push to {constants.ENDPOINT} ({failed}); is there a network?") from failed
