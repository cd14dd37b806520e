"""The noise ops: what an author of one needs, the registry, and the list of what there is.

An op is one decorated function in a file of `ops/`, found by lying there, or in a file of a user's own, which `imports`
imports (docs/guides/new_op.md); a table that it reads is in `data/`. What a level or a preset stands for is in
`editions/`. Choosing rows and counting is not here but in `lope_data.inject`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_data.noise.catalogue import list_ops
    from lope_data.noise.data.tables import vocabulary
    from lope_data.noise.editions import Edition, EditionNumber, get_edition, newest_edition
    from lope_data.noise.imports import import_ops
    from lope_data.noise.op import Ground, Hits, LabelOp, Params, TextOp
    from lope_data.noise.registry import LEVELS, all_ops, get_op, label_op, text_op
    from lope_data.text.cells import Cells
    from lope_data.text.edits import Edits
    from lope_data.text.spans import Spans

__all__ = [
    "LEVELS",
    "Cells",
    "Edition",
    "EditionNumber",
    "Edits",
    "Ground",
    "Hits",
    "LabelOp",
    "Params",
    "Spans",
    "TextOp",
    "all_ops",
    "get_edition",
    "get_op",
    "import_ops",
    "label_op",
    "list_ops",
    "newest_edition",
    "text_op",
    "vocabulary",
]

__getattr__ = lazy(
    __name__,
    {
        "Cells": "op",
        "Edition": "editions",
        "EditionNumber": "editions",
        "Edits": "op",
        "Ground": "op",
        "Hits": "op",
        "LEVELS": "registry",
        "LabelOp": "op",
        "Params": "op",
        "Spans": "op",
        "TextOp": "op",
        "all_ops": "registry",
        "get_edition": "editions",
        "get_op": "registry",
        "import_ops": "imports",
        "label_op": "registry",
        "list_ops": "catalogue",
        "newest_edition": "editions",
        "text_op": "registry",
        "vocabulary": "data.tables",
    },
)
