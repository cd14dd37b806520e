"""The noise ops: what an author of one needs, the registry, and the list of what there is.

An op is one decorated function in a file of `ops/`, found by lying there (docs/guides/new_op.md); a table that it reads
is in `data/`. Choosing rows and counting is not here but in `lope_data.inject`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_data.noise.catalogue import list_ops
    from lope_data.noise.data.tables import vocabulary
    from lope_data.noise.op import Ground, Hits, LabelOp, Params, TextOp
    from lope_data.noise.registry import DEFAULT_LEVELS, LEVELS, all_ops, get_op, label_op, members, text_op
    from lope_data.text.cells import Cells
    from lope_data.text.edits import Edits
    from lope_data.text.spans import Spans

__all__ = [
    "DEFAULT_LEVELS",
    "LEVELS",
    "Cells",
    "Edits",
    "Ground",
    "Hits",
    "LabelOp",
    "Params",
    "Spans",
    "TextOp",
    "all_ops",
    "get_op",
    "label_op",
    "list_ops",
    "members",
    "text_op",
    "vocabulary",
]

__getattr__ = lazy(
    __name__,
    {
        "Cells": "op",
        "DEFAULT_LEVELS": "registry",
        "Edits": "op",
        "Ground": "op",
        "Hits": "op",
        "LEVELS": "registry",
        "LabelOp": "op",
        "Params": "op",
        "Spans": "op",
        "TextOp": "op",
        "all_ops": "registry",
        "get_op": "registry",
        "label_op": "registry",
        "list_ops": "catalogue",
        "members": "registry",
        "text_op": "registry",
        "vocabulary": "data.tables",
    },
)
