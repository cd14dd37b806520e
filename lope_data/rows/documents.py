"""The texts in JSON documents, one a row, and the way back. Where they lie is the same as in columns of structs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from lope_common.conversations import NOBODY, role_key, text_key, usual_role
from lope_data.rows.json_type import dumps, loads, read_quickly


@dataclass
class Documents:
    """The texts of some documents: for each its row, its path from the document on, and its message or -1; and for each
    message its row and who says it.
    """

    documents: Sequence[str | None]
    values: list[str | None] = field(default_factory=list)
    row: list[int] = field(default_factory=list)
    path: list[str] = field(default_factory=list)
    message: list[int] = field(default_factory=list)
    message_row: list[int] = field(default_factory=list)
    role: list[str] = field(default_factory=list)

    def read(self, row: int, value: Any, path: str = "", message: int = -1) -> None:
        """Takes the texts and messages of a row's document, or of a part of it."""
        if isinstance(value, str):
            self.values.append(value)
            self.row.append(row)
            self.path.append(path)
            self.message.append(message)
        elif isinstance(value, list):
            for number, item in enumerate(value):
                self.read(row, item, f"{path}[{number}]", message)
        elif isinstance(value, dict):
            if message < 0 and (said_by := role_key(value)):
                message, said = len(self.role), value[said_by]
                self.message_row.append(row)
                self.role.append((usual_role(said) if isinstance(said, str) else None) or NOBODY)
            if (child := text_key(value)) is not None:
                self.read(row, value[child], f"{path}.{child}", message)

    def put(self, values: Sequence[str | None]) -> list[str | None]:
        """The documents with other texts in the same places; those whose texts are the same stay as they are."""
        put = list(self.documents)
        changed = {self.row[i] for i, value in enumerate(values) if value != self.values[i]}
        mine: dict[int, list[str | None]] = {row: [] for row in changed}
        for row, value in zip(self.row, values, strict=True):
            if row in mine:
                mine[row].append(value)
        for row, texts in mine.items():
            document = self.documents[row]
            assert document is not None
            put[row] = dumps(_replaced(loads(document), iter(texts)))
        return put


def document_leaves(documents: Sequence[str | None]) -> Documents:
    """The texts of some JSON texts: a string that is the whole document, or the contents of messages."""
    found = Documents(documents)
    for row, document in enumerate(documents):
        if document is not None:
            found.read(row, read_quickly(document))
    return found


def _replaced(value: Any, texts: Iterator[str | None]) -> Any:
    """The same value with its texts, in the order in which `read` takes them, exchanged."""
    if isinstance(value, str):
        return next(texts)
    if isinstance(value, list):
        value[:] = [_replaced(item, texts) for item in value]
    elif isinstance(value, dict) and (child := text_key(value)) is not None:
        value[child] = _replaced(value[child], texts)
    return value
