"""The features of `dataset_info.json`: Arrow types as `datasets` names them.

Written here and tested against `datasets` for every type that a version can hold: importing it takes a second, which
every build would pay for these few lines.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

_NAMES = {pa.float16(): "float16", pa.float32(): "float32", pa.float64(): "float64"}
_NAMES |= {pa.date32(): "date32", pa.date64(): "date64"}


def features(schema: pa.Schema) -> dict[str, Any]:
    """What `datasets.Features.from_arrow_schema(schema).to_dict()` gives."""
    return {field.name: _feature(field.type) for field in schema}


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    if pa.types.is_large_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "LargeList"}
    return {"dtype": _NAMES.get(kind, str(kind)), "_type": "Value"}
