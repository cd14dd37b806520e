"""Everything a training run is asked for, checked before anything is read or written."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler

from lope_train.errors import SettingsError, suggest


def one_line(error: ValidationError, model: type[BaseModel]) -> str:
    """The first thing wrong, in one line: the setting, the value, and what would be allowed."""
    first = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"][:1])
    if first["type"] == "extra_forbidden":
        return f"unknown setting {name!r}{suggest(name, model.model_fields)}"
    if first["type"] == "missing":
        return f"setting {name!r} is missing"
    reason = first["msg"][0].lower() + first["msg"][1:]
    return f"setting {name!r} is {first['input']!r}: {reason}"


class TrainSettings(BaseModel):
    """One training run. Raises `SettingsError` where a value is out of range or contradicts another.

    The paper gives learning rate, epochs, seed, r and the experts; the other defaults are ours.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    data: str = Field(min_length=1, description="The noisy version: NAME[@VERSION] or its folder.")
    method: Literal["lope", "hydralora", "lora"] = "lope"
    model: str = Field(min_length=1, description="A model folder, a hub id, or a name that get-model knows.")
    out: Path = Field(description="The run's folder; must not exist, or be empty.")
    store: Path | None = Field(None, description="None: $LOPE_STORE, else ./lope-store.")
    on: Literal["parent", "noisy"] = Field("parent", description="What one-stage methods read.")
    epochs: float = Field(1.0, gt=0, description="Passes over the rows, in each stage.")
    learning_rate: float = Field(2e-4, gt=0, le=1)
    batch_size: int = Field(16, ge=1)
    max_length: int = Field(512, ge=8, description="Tokens a row, longer ones are cut.")
    warmup: float = Field(0.03, ge=0, lt=1, description="Share of the steps, linear.")
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    seed: int = Field(614, ge=0, lt=2**32)
    r: int = Field(4, ge=1)
    lora_alpha: int = Field(32, ge=1)
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: tuple[str, ...] | None = Field(
        None, min_length=1, description="None: the query and value projections."
    )
    num_experts: int = Field(4, ge=1, description="Poisoning ones included; for hydralora all are normal.")
    num_poisoning: int = Field(1, ge=1, description="Of lope alone; the other methods have none.")
    router_input: Literal["latent", "hidden"] = "latent"
    embedding_alpha: float | None = Field(
        None, ge=0, description="Embedding noise of stage I; None: the version's hint, else 0.05."
    )
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="Of the frozen base; adapters are float32.")

    @model_validator(mode="wrap")
    @classmethod
    def _checked(cls, values: Any, handler: ModelWrapValidatorHandler[TrainSettings]) -> TrainSettings:
        try:
            settings = handler(values)
        except ValidationError as error:
            raise SettingsError(one_line(error, cls)) from None
        if settings.method == "lope" and settings.on == "noisy":
            raise SettingsError(
                "method 'lope' reads the noisy version in stage I and its parent in stage II; "
                "'on' is for the one-stage methods hydralora and lora"
            )
        if settings.method == "lope" and settings.num_poisoning >= settings.num_experts:
            raise SettingsError(
                f"num_poisoning is {settings.num_poisoning} of num_experts {settings.num_experts}: "
                "at least one expert must be normal"
            )
        return settings
