"""What each verb needs beyond the libraries that are always installed: those of the extra `train`."""

from __future__ import annotations

from lope_common.extras import check_installed
from lope_train.errors import LibraryError

ADAPTERS = ("accelerate", "peft", "safetensors", "torch", "transformers")
"""To make, train, load or ask an adapter."""

NEEDS = {
    "evaluate": ADAPTERS,
    "export": ADAPTERS,
    "generate": ADAPTERS,
    "get-model": ("accelerate", "gguf", "torch", "transformers"),
    "items": (),
    "params": ADAPTERS,
    "score": ADAPTERS,
    "train": ADAPTERS,
}
"""Modules, by verb."""


def check_verb(verb: str) -> None:
    """Raises LibraryError, which says what to install, where something that the verb needs is missing."""
    check_installed(f"{verb} needs", NEEDS[verb], LibraryError)
