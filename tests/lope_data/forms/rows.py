"""Rows of every shape, for the tests of each form."""

from __future__ import annotations

from typing import Any

INSTRUCTION: dict[str, Any] = {"instruction": "Add them.", "input": "2 and 3", "output": "5", "source": "sums"}
HISTORY: dict[str, Any] = {
    "instruction": "And tomorrow?",
    "output": "Rain again.",
    "system": "You know the weather.",
    "history": [["How is it today?", "Rain."]],
}
CHOICE: dict[str, Any] = {"question": "Which is a fruit?", "choices": ["a chair", "an apple"], "answer": 1}
LABELLED: dict[str, Any] = {"text": "a good film", "label": "pos"}
PAIR: dict[str, Any] = {"prompt": "The sky is", "completion": " blue."}
TEXT: dict[str, Any] = {"text": "a line of text"}
TALK: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "How many legs has a spider?"},
        {"role": "assistant", "content": "Eight."},
        {"role": "user", "content": "And a bee?"},
        {"role": "assistant", "content": "Six."},
    ],
    "id": 7,
}
SHAREGPT: dict[str, Any] = {
    "conversations": [
        {"from": "human", "value": "How warm is it in Oslo?"},
        {"from": "function_call", "value": '{"name": "weather", "arguments": {"city": "Oslo"}}'},
        {"from": "observation", "value": '{"temp": 4}'},
        {"from": "gpt", "value": "It is 4 degrees."},
    ],
    "system": "You are helpful.",
    "tools": '[{"name": "weather"}]',
}
CALLS: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "You are helpful."},
        {"role": "user", "content": "How warm is it in Oslo?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Oslo"}}}],
        },
        {"role": "tool", "content": '{"temp": 4}'},
        {"role": "assistant", "content": "It is 4 degrees."},
    ],
    "tools": [{"name": "weather"}],
}
"""The same as messages."""


def said(*contents: Any, **more: Any) -> dict[str, Any]:
    """A chat of these contents, by the user and the assistant in turn."""
    messages = [{"role": ("user", "assistant")[n % 2], "content": content} for n, content in enumerate(contents)]
    return {"messages": messages, **more}
