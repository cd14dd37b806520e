"""`alpaca`: an instruction and its output; earlier turns of a chat are its history, as LLaMA-Factory reads them."""

from __future__ import annotations

from typing import Any

from lope_data.forms.dialogue import dialogue, only_text, with_system_apart
from lope_data.forms.form import Form, Misfit, Row


def _convert(row: Row) -> dict[str, Any]:
    if row.shape == "instruction":
        has = row.has
        found = {"instruction": has["instruction"], "input": has["input"] or "", "output": has["output"]}
        return found | {key: has[key] for key in ("system", "history") if has[key]}
    system, messages = with_system_apart(dialogue(row))
    for number, message in enumerate(messages):
        wanted = ("user", "assistant")[number % 2]
        if message["role"] != wanted:
            raise Misfit(f"its turns are not the user's and the assistant's in turn ({message['role']!r})")
    if not messages or len(messages) % 2:
        raise Misfit("its last message is not the assistant's")
    texts = [only_text(message) for message in messages]
    found = {"instruction": texts[-2], "input": "", "output": texts[-1]}
    history = [list(pair) for pair in zip(texts[:-2:2], texts[1:-2:2], strict=True)]
    return found | ({"system": system} if system else {}) | ({"history": history} if history else {})


FORM = Form(
    "alpaca",
    "{instruction, input, output}, and system and history where there are any",
    ("instruction", "input", "output", "system", "history"),
    {
        "instruction": ("instruction", "input", "output", "system", "history"),
        "chat": ("messages", "system"),
        "prompt_completion": ("prompt", "completion"),
        "multiple_choice": ("question",),
    },
    _convert,
    "--as messages holds conversations of any kind, --as source every row",
)
