"""The texts of a row that stand in its prompt and its completion, each with its path, and where they stand there."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lope_train.data.prompts import Example, PromptTemplate

_Keys = tuple[str | int, ...]
_PROMPT = {
    "instruction": ("instruction", "input"),
    "classification": ("text",),
    "multiple_choice": ("question",),
}
_TARGET = {"instruction": "output", "classification": "label"}


@dataclass(frozen=True)
class Field:
    """A text of a row; `exposed` where text noise goes to it (FORMAT.md, Columns)."""

    keys: _Keys
    text: str
    exposed: bool

    @property
    def path(self) -> str:
        """As edits name it: `input`, `messages[0].content[1].text`."""
        first, *rest = self.keys
        return f"{first}{''.join(f'[{key}]' if isinstance(key, int) else f'.{key}' for key in rest)}"


@dataclass(frozen=True)
class Span:
    """A field's place in a rendered text, in characters; `lead` are those of the field that the template cut off."""

    field: Field
    begin: int
    end: int
    lead: int = 0


def prompt_spans(row: Mapping[str, Any], example: Example, template: PromptTemplate) -> list[Span] | None:
    """The row's fields in its prompt, in order; None where the template does more to them than trim them.

    The row is rendered again with a mark in place of each field, which leaves the template's own words: a short
    field may well occur in them, so it is not searched for. The result is checked against the prompt, whole.
    """
    fields = _prompt_fields(row)
    marked: Any = copy.deepcopy(dict(row))
    marks = [f"\ue000{number}\ue001" for number in range(len(fields))]
    for field, mark in zip(fields, marks, strict=True):
        _put(marked, field.keys, mark)
    skeleton = template.render(marked)
    if skeleton is None:
        return None
    pieces: list[str] = []
    rest = skeleton.prompt
    for mark in marks:
        piece, found, rest = rest.partition(mark)
        if not found:
            return None
        pieces.append(piece)
    pieces.append(rest)
    return _laid(example.prompt, pieces, fields)


def completion_spans(row: Mapping[str, Any]) -> list[Span]:
    """The row's target in its completion, which begins with it."""
    spans: list[Span] = []
    begin = 0
    for field in _target_fields(row):
        spans.append(Span(field, begin, begin + len(field.text)))
        begin += len(field.text)
    return spans


def _laid(prompt: str, pieces: Sequence[str], fields: Sequence[Field]) -> list[Span] | None:
    if not prompt.startswith(pieces[0]):
        return None
    spans: list[Span] = []
    at = len(pieces[0])
    for field, piece in zip(fields, pieces[1:], strict=True):
        text = field.text
        forms = (text, text.strip(), text.rstrip(), text.lstrip())
        form = next((form for form in forms if prompt.startswith(form + piece, at)), None)
        if form is None:
            return None
        spans.append(Span(field, at, at + len(form), text.index(form)))
        at += len(form) + len(piece)
    return spans if at == len(prompt) else None


def _prompt_fields(row: Mapping[str, Any]) -> list[Field]:
    shape = row.get("lope_shape")
    if shape == "chat":
        turns, last = _exchange(row)
        return [
            Field(keys, text, message["role"] == "user")
            for place, message in turns[:last]
            for keys, text in _texts(message["content"], (*place, "content"))
        ]
    columns = _PROMPT.get(str(shape), ())
    return [Field((name,), str(row[name]), True) for name in columns if (row.get(name) or "").strip()]


def _target_fields(row: Mapping[str, Any]) -> list[Field]:
    shape = str(row.get("lope_shape"))
    if shape == "chat":
        turns, last = _exchange(row)
        place, message = turns[last]
        return [Field(keys, text, False) for keys, text in _texts(message["content"], (*place, "content"))]
    if shape == "multiple_choice":
        return [Field(("choices", row["answer"]), row["choices"][row["answer"]], False)]
    return [Field((_TARGET[shape],), row[_TARGET[shape]], False)]


def _exchange(row: Mapping[str, Any]) -> tuple[list[tuple[_Keys, Mapping[str, Any]]], int]:
    """The messages of the conversation that is read, with their places, and the index of the last by the assistant."""
    keys: _Keys = ("messages",)
    found: Any = row["messages"]
    while True:
        present = [(number, one) for number, one in enumerate(found) if one is not None]
        if isinstance(present[-1][1], Mapping):
            break
        keys, found = (*keys, present[-1][0]), present[-1][1]
    turns = [((*keys, number), message) for number, message in present]
    return turns, max(number for number, (_, message) in enumerate(turns) if message["role"] == "assistant")


def _texts(content: Any, keys: _Keys) -> list[tuple[_Keys, str]]:
    if isinstance(content, str):
        return [(keys, content)] if content else []
    if isinstance(content, Mapping):
        return _texts(content.get("text"), (*keys, "text"))
    return [found for number, part in enumerate(content or ()) for found in _texts(part, (*keys, number))]


def _put(row: Any, keys: _Keys, text: str) -> None:
    for key in keys[:-1]:
        row = row[key]
    row[keys[-1]] = text
