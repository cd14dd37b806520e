"""Adapters for others: a folder with a card, without paths of this machine, and sending it to the hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_train.publish.folder import export, push

__all__ = ["export", "push"]

__getattr__ = lazy(
    __name__,
    {
        "export": "folder",
        "push": "folder",
    },
)
