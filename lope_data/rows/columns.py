"""How a source names its columns."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from lope_common.errors import shown
from lope_data.errors import RecipeError
from lope_data.models import Strict


class Columns(Strict):
    """How the source names the columns: canonical name -> its name there; `id` names a column of row ids.

    `choices` may name several columns, each of one choice.
    """

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
    system: str | None = None
    history: str | None = None
    tools: str | None = None
    prompt: str | None = None
    completion: str | None = None

    @property
    def given(self) -> dict[str, str | tuple[str, ...]]:
        """What a shape has -> the source's column or columns, as somebody said."""
        named: dict[str, str | tuple[str, ...]] = self.model_dump(exclude_none=True, exclude={"id"})
        return named

    @classmethod
    def parsed(cls, text: str | None) -> dict[str, Any] | None:
        """`text=body,label=category` as a recipe has it; `choices` may stand there several times.

        Raises:
            RecipeError: a part is not NAME=COLUMN, or a name is given twice.
        """
        if text is None:
            return None
        found: dict[str, Any] = {}
        for part in text.split(","):
            name, separator, column = (piece.strip() for piece in part.partition("="))
            if not (name and separator and column):
                raise RecipeError(f"--columns {shown(text)}: {shown(part)} is not NAME=COLUMN, as in text=body")
            if name in found and name != "choices":
                raise RecipeError(f"--columns {shown(text)}: {shown(name)} is given twice")
            found[name] = (*found.get(name, ()), column) if name == "choices" else column
        if len(found.get("choices", ())) == 1:
            (found["choices"],) = found["choices"]
        return found

    @field_validator("choices")
    @classmethod
    def _distinct(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        if isinstance(value, tuple) and len(set(value)) < len(value):
            raise ValueError("it names a column twice")
        return value
