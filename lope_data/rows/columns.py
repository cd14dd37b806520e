"""How a source names its columns."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Columns(BaseModel):
    """How the source names the columns: canonical name -> its name there; `id` names a column of row ids.

    `choices` may name several columns, each of one choice.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str | None = None
    instruction: str | None = None
    input: str | None = None
    output: str | None = None
    question: str | None = None
    choices: str | Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    answer: str | None = None
    text: str | None = None
    label: str | None = None
    messages: str | None = None

    @field_validator("choices")
    @classmethod
    def _distinct(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        if isinstance(value, tuple) and len(set(value)) < len(value):
            raise ValueError("it names a column twice")
        return value
