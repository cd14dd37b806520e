"""What an asymmetric mixture of LoRA experts looks like: sizes, router, compensation."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler

from lope_train.errors import SettingsError
from lope_train.keyed import generator
from lope_train.settings import one_line

RouterInput = Literal["latent", "hidden"]


def _draw_poison_index(fields: dict[str, Any]) -> tuple[int, ...]:
    """The router columns of the poisoning experts, picked at random (Sec. 3.1), keyed by the seed."""
    order = torch.randperm(fields["num_experts"], generator=generator(fields["seed"], "poison_index"))
    return tuple(sorted(order[: fields["num_poisoning"]].tolist()))


class LopeConfig(BaseModel):
    """The adapter of LoPE, or of HydraLoRA where `num_poisoning` is 0; PEFT's words where PEFT has them.

    Raises `SettingsError` where a value is out of range or contradicts another.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    r: int = Field(4, ge=1)
    lora_alpha: int = Field(32, ge=1)
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: tuple[str, ...] | None = Field(
        None, min_length=1, description="Module names or their ends; None: the query and value projections."
    )
    num_experts: int = Field(4, ge=1, description="Normal and poisoning experts together.")
    num_poisoning: int = Field(1, ge=0)
    router_input: RouterInput = Field("latent", description="The router reads A x (latent) or x (hidden).")
    compensation_experts: int | None = Field(
        None,
        ge=0,
        description="K of DyCompEnSate (Sec. 3.2.3), largest theta first; None: all, 0: plain masking.",
    )
    normalize: Literal["sum", "none"] = Field(
        "sum", description="beta of DyCompEnSate: `sum` conserves the total weight, `none` is 1."
    )
    seed: int = Field(614, ge=0, description="Keys the initial values and the draw of `poison_index`.")
    poison_index: tuple[int, ...] = Field(
        default_factory=_draw_poison_index, description="Router columns of the poisoning experts, ascending."
    )

    @model_validator(mode="wrap")
    @classmethod
    def _checked(cls, values: Any, handler: ModelWrapValidatorHandler[LopeConfig]) -> LopeConfig:
        try:
            config = handler(values)
        except ValidationError as error:
            raise SettingsError(one_line(error, cls)) from None
        if config.num_poisoning >= config.num_experts:
            raise SettingsError(
                f"num_poisoning is {config.num_poisoning} of num_experts {config.num_experts}: "
                "at least one expert must be normal"
            )
        columns = config.poison_index
        if len(columns) != config.num_poisoning or sorted({*columns} & {*range(config.num_experts)}) != [*columns]:
            raise SettingsError(
                f"poison_index {list(columns)} must hold {config.num_poisoning} different, ascending router "
                f"columns below num_experts {config.num_experts}"
            )
        return config

    @property
    def num_normal(self) -> int:
        """Experts that are trained in stage II and kept at inference."""
        return self.num_experts - self.num_poisoning

    @property
    def normal_index(self) -> tuple[int, ...]:
        """Router columns of the normal experts, ascending."""
        return tuple(column for column in range(self.num_experts) if column not in self.poison_index)

    @property
    def scaling(self) -> float:
        """alpha / r, as in LoRA."""
        return self.lora_alpha / self.r
