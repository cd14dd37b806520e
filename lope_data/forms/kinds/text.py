"""`text`: plain text. Other rows are not joined into one: how is for a chat template to say."""

from __future__ import annotations

from typing import Any

from lope_data.forms.form import Form, Row


def _convert(row: Row) -> dict[str, Any]:
    return {"text": row.has["text"]}


FORM = Form(
    "text",
    "{text}",
    ("text",),
    {"text": ("text",), "classification": ("text",)},
    _convert,
)
