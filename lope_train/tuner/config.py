"""What an asymmetric mixture of LoRA experts looks like: sizes, router, compensation; its kind, as peft has it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from peft import PeftConfig, PeftType

from lope_train.errors import SettingsError
from lope_train.keyed import generator
from lope_train.tuner.inference import STAGE2, Inference

RouterInput = Literal["latent", "hidden"]
Normalize = Literal["sum", "none"]
Theta = Literal["cosine", "zero"]


def _peft_type(name: str) -> PeftType:
    """The member of that name, made if peft does not have it: an enum cannot be extended by its public face."""
    if name not in PeftType.__members__:
        member = str.__new__(PeftType, name)
        member._name_, member._value_ = name, name
        type.__setattr__(PeftType, name, member)
        PeftType._member_names_.append(name)
        PeftType._member_map_[name] = member
        PeftType._value2member_map_[name] = member
    return PeftType(name)


LOPE = _peft_type("LOPE")
"""What peft's own functions look our adapters up by."""


@dataclass
class LopeConfig(PeftConfig):
    """The adapter of LoPE, or of HydraLoRA where `num_poisoning` is 0; PEFT's words where PEFT has them.

    Attributes:
        r, lora_alpha, lora_dropout: as in LoRA; the update is scaled by alpha / r.
        target_modules: module names or their ends; None: the query and value projections.
        num_experts: normal and poisoning experts together.
        num_poisoning: poisoning experts; none makes it HydraLoRA.
        router_input: the router reads A x, r values (`latent`, the paper's shape), or x (`hidden`, HydraLoRA's).
        compensation_experts: K of DyCompEnSate (Sec. 3.2.3), largest theta first; None: all, 0: plain masking.
        normalize: beta of DyCompEnSate: `sum` conserves the total weight, `none` is 1.
        theta: `cosine`, or `zero` as a control that tells compensation from renormalisation.
        inference: what the modes `stage2` and `inference` do with the poisoning experts unless told; a word or an
            `Inference`.
        seed: keys the initial values and the draw of `poison_index`.
        poison_index: router columns of the poisoning experts, ascending; None: picked at random (Sec. 3.1).
        modules_to_save: modules that train whole and are saved, as in PEFT; None: a model's classification head.

    Raises `SettingsError` where a value is out of range or contradicts another.
    """

    r: int = 4
    lora_alpha: int = 32
    lora_dropout: float = 0.0
    target_modules: Collection[str] | None = None
    num_experts: int = 4
    num_poisoning: int = 1
    router_input: RouterInput = "latent"
    compensation_experts: int | None = None
    normalize: Normalize = "sum"
    theta: Theta = "cosine"
    inference: Inference = STAGE2.deployed
    seed: int = 614
    poison_index: list[int] | None = field(default=None)
    modules_to_save: list[str] | None = field(default=None)

    def __post_init__(self) -> None:
        super().__post_init__()  # type: ignore[no-untyped-call]
        self.peft_type = LOPE
        for name, least in (("r", 1), ("lora_alpha", 1), ("num_experts", 1), ("num_poisoning", 0), ("seed", 0)):
            _check_whole(name, getattr(self, name), least)
        if self.compensation_experts is not None:
            _check_whole("compensation_experts", self.compensation_experts, 0)
        if not isinstance(self.lora_dropout, int | float) or not 0 <= self.lora_dropout < 1:
            raise _wrong("lora_dropout", self.lora_dropout, "must be at least 0 and below 1")
        for name, known in (
            ("router_input", RouterInput),
            ("normalize", Normalize),
            ("theta", Theta),
        ):
            _check_word(name, getattr(self, name), get_args(known))
        _check_word("inference", self.inference, [*Inference])
        self.inference = Inference(self.inference)
        if self.num_experts > 1024:
            raise _wrong("num_experts", self.num_experts, "must be at most 1024")
        if self.num_poisoning >= self.num_experts:
            raise SettingsError(
                f"num_poisoning is {self.num_poisoning} of num_experts {self.num_experts}: "
                "at least one expert must be normal"
            )
        if self.target_modules is not None:
            names = [self.target_modules] if isinstance(self.target_modules, str) else self.target_modules
            if not isinstance(names, Collection) or not names or not all(isinstance(n, str) and n for n in names):
                raise _wrong("target_modules", self.target_modules, "must name at least one module")
            self.target_modules = sorted(set(names))
        self._check_modules()
        columns = self._drawn() if self.poison_index is None else self.poison_index
        if not isinstance(columns, list | tuple) or not all(type(column) is int for column in columns):
            raise _wrong("poison_index", columns, "must be a list of whole numbers")
        self.poison_index = columns = [*columns]
        if len(columns) != self.num_poisoning or sorted({*columns} & {*range(self.num_experts)}) != columns:
            raise SettingsError(
                f"poison_index {columns} must hold {self.num_poisoning} different, ascending router "
                f"columns below num_experts {self.num_experts}"
            )

    def _check_modules(self) -> None:
        names = self.modules_to_save
        if names is not None and not (isinstance(names, list | tuple) and all(isinstance(n, str) and n for n in names)):
            raise _wrong("modules_to_save", names, "must be a list of names of modules")
        self.modules_to_save = None if names is None else [*names]

    def _drawn(self) -> list[int]:
        order = torch.randperm(self.num_experts, generator=generator(self.seed, "poison_index"))
        columns: list[int] = order[: self.num_poisoning].tolist()
        return sorted(columns)

    @property
    def num_normal(self) -> int:
        """Experts that are trained in stage II and kept at inference."""
        return self.num_experts - self.num_poisoning

    @property
    def poison_columns(self) -> tuple[int, ...]:
        """Router columns of the poisoning experts, ascending."""
        return tuple(self.poison_index or ())

    @property
    def normal_columns(self) -> tuple[int, ...]:
        """Router columns of the normal experts, ascending."""
        return tuple(column for column in range(self.num_experts) if column not in self.poison_columns)

    @property
    def scaling(self) -> float:
        """alpha / r, as in LoRA."""
        return self.lora_alpha / self.r


def _check_whole(name: str, value: Any, least: int) -> None:
    if type(value) is not int or value < least:
        raise _wrong(name, value, f"must be a whole number of at least {least}")


def _check_word(name: str, value: Any, known: Collection[str]) -> None:
    if value not in known:
        raise _wrong(name, value, f"must be one of {', '.join(known)}")


def _wrong(name: str, value: Any, reason: str) -> SettingsError:
    return SettingsError(f"setting {name!r} is {value!r}: {reason}")
