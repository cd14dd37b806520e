"""Wrong responses that no score of `score` was designed on, as ops for `lope_data build --import` of this file."""

from __future__ import annotations

import re

import pyarrow as pa

from lope_data.noise import label_op

REFUSAL = "I'm sorry, but I can't help with that."
_NUMBER = re.compile(r"(?<![\w.,])\d{1,6}(?![\w.,]*\d)")


def _texts(given: list[str | None]) -> tuple[pa.Array, pa.Array]:
    return pa.array(given, pa.large_string()), pa.nulls(len(given), pa.string())


@label_op("label.bench_refusal", version=1, kind="response", needs="a response")
def refusal(rows, population, draw, params):  # noqa: ARG001
    """Refuses what was asked."""
    return _texts([None if text is None else REFUSAL for text in rows["target"].to_pylist()])


@label_op("label.bench_repeat", version=1, kind="response", needs="a response")
def repeat(rows, population, draw, params):  # noqa: ARG001
    """Says everything twice."""
    return _texts([None if text is None else f"{text}\n\n{text}" for text in rows["target"].to_pylist()])


@label_op("label.bench_splice", version=1, kind="response", needs="a response of four words or more")
def splice(rows, population, draw, params):  # noqa: ARG001
    """Switches to another row's response in the middle."""
    others = [text for text in population["target"].to_pylist() if text and len(text.split()) >= 4]
    made: list[str | None] = []
    for text, pick in zip(rows["target"].to_pylist(), draw.bits("other").tolist(), strict=True):
        words = (text or "").split(" ")
        rest = others[pick % len(others)].split(" ")
        made.append(" ".join([*words[: len(words) // 2], *rest[len(rest) // 2 :]]) if len(words) >= 4 else None)
    return _texts(made)


@label_op("label.bench_number", version=1, kind="response", needs="a response with two numbers or more")
def number(rows, population, draw, params):  # noqa: ARG001
    """Makes another number of one that is not the last: a slip on the way to the result."""
    made: list[str | None] = []
    for text, pick in zip(rows["target"].to_pylist(), draw.bits("which").tolist(), strict=True):
        found = [*_NUMBER.finditer(text or "")][:-1]
        if not found:
            made.append(None)
            continue
        one = found[pick % len(found)]
        value = int(one.group())
        made.append(f"{text[: one.start()]}{value + 1 + pick // 97 % max(9, value)}{text[one.end() :]}")
    return _texts(made)
