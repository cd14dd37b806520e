"""The texts of a row that stand in its prompt and its completion, each with its path, and where they stand there."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from lope_train.data.prompts import Example, PromptTemplate
from lope_train.data.rows import Keys, Layout, texts_of

_MARK = re.compile("\ue000\\d+\ue001")
"""What stands for a field: characters of private use, which no template writes or changes."""


@dataclass(frozen=True)
class Field:
    """A text of a row; `exposed` where text noise goes to it (FORMAT.md, Columns)."""

    path: str
    """As edits name it: `input`, `messages[0].content[1].text`."""
    text: str
    exposed: bool


@dataclass(frozen=True)
class Span:
    """A field's place in a rendered text, in characters; `lead` are those of the field that the template cut off."""

    field: Field
    begin: int
    end: int
    lead: int = 0


class Spans(NamedTuple):
    """The fields of a row, in order, in its prompt and in its completion."""

    prompt: list[Span]
    completion: list[Span]


def spans_of(row: Mapping[str, Any], layout: Layout, example: Example, template: PromptTemplate) -> Spans | None:
    """Where the row's fields stand in its example; None where the template does more to them than trim them.

    The row's view is rendered again with a mark in place of each field, which leaves the template's own words: a short
    field may well occur in them, so it is not searched for. The result is checked against the example, whole.
    """
    view = layout.view(row)
    marked = copy.deepcopy(view)
    fields: dict[str, Field] = {}
    for number, (keys, text, exposed) in enumerate(texts_of(view)):
        mark = f"\ue000{number}\ue001"
        fields[mark] = Field(layout.path(row, keys), text, exposed)
        _put(marked, keys, mark)
    skeleton = template.render(marked)
    if skeleton is None:
        return None
    prompt = _laid(example.prompt, skeleton.prompt, fields)
    completion = _laid(example.completion, skeleton.completion, fields)
    return None if prompt is None or completion is None else Spans(prompt, completion)


def _laid(text: str, skeleton: str, fields: Mapping[str, Field]) -> list[Span] | None:
    """The fields whose marks the skeleton has, in the text that it is of."""
    marks = _MARK.findall(skeleton)
    pieces = _MARK.split(skeleton)
    if len(set(marks)) < len(marks) or not text.startswith(pieces[0]):
        return None
    spans: list[Span] = []
    at = len(pieces[0])
    for mark, piece in zip(marks, pieces[1:], strict=True):
        field = fields[mark]
        forms = (field.text, field.text.strip(), field.text.rstrip(), field.text.lstrip())
        form = next((form for form in forms if text.startswith(form + piece, at)), None)
        if form is None:
            return None
        spans.append(Span(field, at, at + len(form), field.text.index(form)))
        at += len(form) + len(piece)
    return spans if at == len(text) else None


def _put(row: Any, keys: Keys, text: str) -> None:
    for key in keys[:-1]:
        row = row[key]
    row[keys[-1]] = text
