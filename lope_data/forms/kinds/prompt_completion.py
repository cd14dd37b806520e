"""`prompt-completion`: what is given and what is to be learned, as TRL has them."""

from __future__ import annotations

from typing import Any

from lope_common.conversations import turns
from lope_data.forms.dialogue import asked, chosen, dialogue
from lope_data.forms.form import Form, Misfit, Row


def _convert(row: Row) -> dict[str, Any]:
    has = row.has
    if row.shape == "classification":
        return _pair(has["text"], has["label"], "label")
    if row.shape == "multiple_choice":
        return _pair(has["question"], chosen(row), "answer")
    if row.shape == "instruction" and not row.columns & {"system", "history"}:
        return _pair(asked(row), has["output"], "output")
    if row.shape == "prompt_completion" and isinstance(has["prompt"], str) and isinstance(has["completion"], str):
        return _pair(has["prompt"], has["completion"], "completion")
    messages = dialogue(row)
    if row.shape == "prompt_completion":
        cut = len(turns(has["prompt"], "user") or ())
    elif len(messages) < 2 or messages[-1]["role"] != "assistant":
        raise Misfit("its last message is not the assistant's answer to another")
    else:
        cut = len(messages) - 1
    return {"prompt": messages[:cut], "completion": messages[cut:]}


def _pair(prompt: str, completion: str | None, what: str) -> dict[str, Any]:
    if completion is None:
        raise Misfit(f"it has no {what}")
    return {"prompt": prompt, "completion": completion}


FORM = Form(
    "prompt-completion",
    "{prompt, completion}: texts, or of chats lists of messages, the completion the last of them",
    ("prompt", "completion"),
    {
        "instruction": ("instruction", "input", "output", "system", "history"),
        "chat": ("messages", "system"),
        "prompt_completion": ("prompt", "completion"),
        "multiple_choice": ("question",),
        "classification": ("text", "label"),
    },
    _convert,
)
