"""From a version on disk to batches: the reader of FORMAT.md, rows, prompts, tokens and their cache, packing.

The reader is written from FORMAT.md alone and shares nothing with `lope_data`; one list of references is tested on
both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_train.data.classified import ClassifiedCollator, classes_of, load_classified
    from lope_train.data.collate import Collator
    from lope_train.data.edits import Mark
    from lope_train.data.injected import find_injected
    from lope_train.data.prompts import PromptTemplate
    from lope_train.data.rows import Layout
    from lope_train.data.tokens import load_tokens
    from lope_train.data.versions import Version, parent, resolve

__all__ = [
    "ClassifiedCollator",
    "Collator",
    "Layout",
    "Mark",
    "PromptTemplate",
    "Version",
    "classes_of",
    "find_injected",
    "load_classified",
    "load_tokens",
    "parent",
    "resolve",
]

__getattr__ = lazy(
    __name__,
    {
        "ClassifiedCollator": "classified",
        "Collator": "collate",
        "Layout": "rows",
        "Mark": "edits",
        "PromptTemplate": "prompts",
        "Version": "versions",
        "classes_of": "classified",
        "find_injected": "injected",
        "load_classified": "classified",
        "load_tokens": "tokens",
        "parent": "versions",
        "resolve": "versions",
    },
)
