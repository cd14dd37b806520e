"""A trained model put to use: which model, in which way (`lope_train.tuner.inference`), and talking to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_train.inference.chat import Chat, Sampling, open_chat
    from lope_train.inference.subjects import Subject, find_subjects

__all__ = ["Chat", "Sampling", "Subject", "find_subjects", "open_chat"]

__getattr__ = lazy(
    __name__,
    {
        "Chat": "chat",
        "Sampling": "chat",
        "Subject": "subjects",
        "find_subjects": "subjects",
        "open_chat": "chat",
    },
)
