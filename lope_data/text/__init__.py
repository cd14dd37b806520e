"""A batch of texts as one buffer of bytes, and what is worked out on it: cells, spans, graphemes, edits, kernels.

Random numbers are here too, drawn by key. Nothing here knows of rows, ops or files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_data.text.buffers import Mask
    from lope_data.text.cells import Cells
    from lope_data.text.draws import I64, Draw, row_hashes
    from lope_data.text.edits import Edits, cells_text, splice

__all__ = ["I64", "Cells", "Draw", "Edits", "Mask", "cells_text", "row_hashes", "splice"]

__getattr__ = lazy(
    __name__,
    {
        "Cells": "cells",
        "Draw": "draws",
        "Edits": "edits",
        "I64": "draws",
        "Mask": "buffers",
        "cells_text": "edits",
        "row_hashes": "draws",
        "splice": "edits",
    },
)
