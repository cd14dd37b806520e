"""The shapes of rows: what each has, where text noise goes, and where label noise goes (FORMAT.md, Columns)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

ROW_ID, SHAPE, OPS, KEYS = "lope_row_id", "lope_shape", "lope_ops", "lope_keys"
WEIGHT = "lope_weight"
OURS = (ROW_ID, SHAPE, OPS, KEYS, WEIGHT)
"""The columns that versions add to the source's."""

Kind = Literal["text", "messages", "text or messages", "choices", "answer", "label", "any"]
"""What a column may hold: `messages` are conversations however they are written, `any` what a version can hold."""


@dataclass(frozen=True)
class Shape:
    """What the rows of a shape have.

    Attributes:
        key: what marks a row: its column is not null.
        required, optional: what each holds.
        inputs: where text noise goes.
        target: where label noise goes, and what label ops see in it: a `response`, a `choice` or a `class`.
        alone: whether it is recognised only where there is no other column, or where somebody says so.
    """

    name: str
    key: str
    required: Mapping[str, Kind]
    inputs: tuple[str, ...]
    optional: Mapping[str, Kind] = field(default_factory=dict)
    target: str | None = None
    target_kind: str | None = None
    alone: bool = False

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """What each column holds, required or not."""
        return {**self.required, **self.optional}


SHAPES: dict[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape(
            "instruction",
            key="instruction",
            required={"instruction": "text", "output": "text"},
            optional={"input": "text", "system": "any", "history": "any"},
            inputs=("instruction", "input"),
            target="output",
            target_kind="response",
        ),
        Shape(
            "multiple_choice",
            key="question",
            required={"question": "text", "choices": "choices", "answer": "answer"},
            inputs=("question",),
            target="answer",
            target_kind="choice",
        ),
        Shape(
            "classification",
            key="text",
            required={"text": "text", "label": "label"},
            inputs=("text",),
            target="label",
            target_kind="class",
        ),
        Shape(
            "chat",
            key="messages",
            required={"messages": "messages"},
            optional={"system": "any", "tools": "any"},
            inputs=("messages",),
            target="messages",
            target_kind="response",
        ),
        Shape(
            "prompt_completion",
            key="prompt",
            required={"prompt": "text or messages", "completion": "text or messages"},
            inputs=("prompt",),
            target="completion",
            target_kind="response",
        ),
        Shape("text", key="text", required={"text": "text"}, inputs=("text",), alone=True),
    )
}
