"""The canonical view of a version's rows: each shape under one set of names, however the source wrote it.

A source's names of columns and its spellings of messages are known here alone (`lope_data/store/FORMAT.md`, Columns).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from lope_common.conversations import conversation, parsed, role_key, text_key, turns
from lope_train.errors import VersionError

ROW_ID, SHAPE, WEIGHT = "lope_row_id", "lope_shape", "lope_weight"
MESSAGES, ASKED = "messages", "asked"
Keys = tuple[str | int, ...]
"""The way from a canonical row to a text in it: `("messages", 0, "content")`."""


@dataclass(frozen=True)
class Shape:
    """`noisy`: the keys whose texts noise in the text goes to; of messages only to those by the user."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    noisy: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        return self.required + self.optional


SHAPES = {
    "instruction": Shape(("instruction", "output"), ("input", "system", "history"), ("instruction", "input")),
    "multiple_choice": Shape(("question", "choices", "answer"), (), ("question",)),
    "classification": Shape(("text", "label"), (), ("text",)),
    "chat": Shape((MESSAGES,), ("system", "tools"), (MESSAGES,)),
    "prompt_completion": Shape(("prompt", "completion"), (), ("prompt", MESSAGES)),
    "text": Shape(("text",), (), ("text",)),
}
SEVERAL = "choices"
"""The key that several columns may hold together."""

_DIGITS = 18
"""Of an answer at most; Python refuses to read thousands."""


class Text(NamedTuple):
    """A text of a canonical row; `exposed` where text noise goes to it."""

    keys: Keys
    text: str
    exposed: bool


@dataclass(frozen=True)
class Layout:
    """Which columns hold what each shape has, what class numbers mean, and which columns are JSON that `datasets` gives
    as its text: the manifest's `layout`.
    """

    columns: Mapping[str, Mapping[str, str | list[str]]]
    classes: Mapping[str, Sequence[str]]
    raw: Sequence[str] = ()

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Layout:
        """The layout of a version whose manifest this is."""
        layout = manifest["layout"]
        return cls(layout["columns"], layout["classes"], layout["raw"])

    @property
    def names(self) -> list[str]:
        """The columns of the source that rows are read from, each once."""
        found = [name for keys in self.columns.values() for name in keys.values()]
        return list(dict.fromkeys(name for one in found for name in ([one] if isinstance(one, str) else one)))

    def called(self, shape: str, key: str) -> str:
        """What the source calls a key of a shape; the key itself where that is no one column."""
        name = self.columns[shape].get(key, key)
        return name if isinstance(name, str) else key

    def view(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The canonical form of a row as `datasets` gives it: `lope_row_id`, `lope_shape` and the shape's keys.

        What the source lacks is None. `choices` is a list, `answer` an integer, `label` a text. Messages are lists of
        `{role, content, ...}`, nested as in the source; a completion of messages stands with its prompt under
        `messages`, of which the first `asked` are the prompt's. Raises VersionError for a row of a shape that the
        layout lacks.
        """
        shape = row[SHAPE]
        if shape not in SHAPES or shape not in self.columns:
            raise VersionError(f"row {row.get(ROW_ID)!r} has shape {shape!r}, which its manifest lacks; build it again")
        row = self._read(row)
        view: dict[str, Any] = {ROW_ID: row.get(ROW_ID), SHAPE: shape}
        for key in SHAPES[shape].keys:
            name = self.columns[shape].get(key)
            value = [row[one] for one in name] if isinstance(name, list) else row[name] if name else None
            if key == "label":
                value = self._label(value, str(name))
            elif key == "answer":
                value = _number(value)
            elif key == MESSAGES:
                value = conversation(parsed(value))
            view[key] = value
        return _joined(view) if shape == "prompt_completion" else view

    def path(self, row: Mapping[str, Any], keys: Keys) -> str:
        """The path of a text of the row's view, as edits have it: `context`, `conversations[3].value`."""
        row = self._read(row)
        first, *rest = keys
        columns = self.columns[row[SHAPE]]
        if first == MESSAGES and MESSAGES not in columns:
            return self._path_in_pair(row, rest)
        name = columns[str(first)]
        if isinstance(name, list):
            return name[int(rest[0])]
        return name + _spelled(parsed(row[name]) if first == MESSAGES else row[name], rest)

    def _path_in_pair(self, row: Mapping[str, Any], keys: Sequence[str | int]) -> str:
        """The path of what stands in the joined messages of a prompt and its completion."""
        prompt, completion = (str(self.columns[row[SHAPE]][key]) for key in ("prompt", "completion"))
        number, *rest = keys
        asked = len(turns(row[prompt], "user") or ())
        name, number = (prompt, int(number)) if int(number) < asked else (completion, int(number) - asked)
        return name if isinstance(row[name], str) else name + _spelled(row[name], [number, *rest])

    def _read(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The row with the JSON that came as its text read."""
        texts = {name: row[name] for name in self.raw if isinstance(row.get(name), str)}
        return {**row, **{name: json.loads(text) for name, text in texts.items()}} if texts else row

    def _label(self, value: Any, name: str) -> str | None:
        """The text of a label: class numbers by their names, in a list too, all else but strings as JSON; of a number
        that is no class's (-1), none.
        """
        if (names := self.classes.get(name)) is not None and type(value) is int:
            return names[value] if 0 <= value < len(names) else None
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, list) and (names := self.classes.get(f"{name}[]")) is not None:
            known = dict(enumerate(names))
            value = [known.get(number, number) for number in value]
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def texts_of(view: Mapping[str, Any]) -> list[Text]:
    """The texts of a canonical row with something in them, those of messages part by part."""
    noisy = SHAPES[view[SHAPE]].noisy
    found = [
        text
        for key, value in view.items()
        if key not in (ROW_ID, SHAPE)
        for text in _walk(value, (key,), key in noisy)
        if text.text.strip() or len(text.keys) > 1
    ]
    asked = view.get(ASKED)
    return [text._replace(exposed=text.exposed and (asked is None or int(text.keys[1]) < asked)) for text in found]


def _walk(value: Any, keys: Keys, noisy: bool) -> Iterator[Text]:
    if isinstance(value, str) and value:
        yield Text(keys, value, noisy)
    elif isinstance(value, Mapping) and "role" in value:
        yield from _walk(value["content"], (*keys, "content"), noisy and value["role"] == "user")
    elif isinstance(value, Mapping):
        yield from _walk(value.get("text"), (*keys, "text"), noisy)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _walk(one, (*keys, number), noisy)


def _number(value: Any) -> int | None:
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) <= _DIGITS else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _joined(view: dict[str, Any]) -> dict[str, Any]:
    """A prompt and its completion as one conversation, unless both are plain texts."""
    prompt, completion = view.pop("prompt"), view.pop("completion")
    if isinstance(prompt, str | None) and isinstance(completion, str | None):
        return view | {"prompt": prompt, "completion": completion}
    asked, answered = turns(prompt, "user"), turns(completion, "assistant")
    if asked is None or answered is None:
        return view | {MESSAGES: None}
    return view | {MESSAGES: asked + answered, ASKED: len(asked)}


def _spelling(message: Mapping[str, Any], name: str) -> str:
    """What the message calls its role or content; other names are their own."""
    key = role_key(message) if name == "role" else text_key(message) if name == "content" else None
    return key or name


def _spelled(value: Any, keys: Sequence[str | int]) -> str:
    """The keys of a canonical text as a path from the source's value."""
    path = ""
    rest = list(keys)
    while rest:
        key = rest.pop(0)
        if not isinstance(value, Mapping):
            path, value = f"{path}[{key}]", value[key]
            continue
        name = _spelling(value, str(rest.pop(0) if isinstance(key, int) else key))
        path, value = f"{path}.{name}", value[name]
        if isinstance(key, int):  # a struct of lists
            path, value = f"{path}[{key}]", value[key]
    return path
