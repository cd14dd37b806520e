"""LoPE as a method of peft: the model that puts the experts on, and its registration."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils.peft_types import register_peft_method
from torch import nn

from lope_train.errors import ModelError
from lope_train.tuner.config import LOPE, LopeConfig
from lope_train.tuner.head import has_head, head_modules, in_head, widen_head
from lope_train.tuner.layer import UNMERGEABLE, LopeLinear, is_linear
from lope_train.tuner.targets import matches, target_modules

ModelT = TypeVar("ModelT", bound=nn.Module)
ADAPTER = "default"
"""The adapter that is attached, saved and loaded, by peft's name for the only one."""


class LopeModel(BaseTuner):
    """What `get_peft_model` wraps a model in. Target layers become `LopeLinear`, everything else is frozen."""

    prefix = "lope_"
    tuner_layer_cls = LopeLinear
    target_module_mapping: dict[str, list[str]] = {}  # noqa: RUF012  # peft's; ours reads the model itself

    def _prepare_adapter_config(self, peft_config: Any, model_config: dict[str, Any]) -> Any:  # noqa: ARG002
        # Before anything is replaced, so that an error leaves the model as it was.
        peft_config.target_modules = target_modules(self.model, peft_config.target_modules, peft_config.r)
        if has_head(self.model):
            peft_config.modules_to_save = sorted({*(peft_config.modules_to_save or ()), *head_modules(self.model)})
        return peft_config

    def inject_adapter(self, model: nn.Module, *args: Any, **kwargs: Any) -> None:
        """As in peft, with a classification head in the dtype of the experts."""
        super().inject_adapter(model, *args, **kwargs)
        widen_head(model)

    @staticmethod
    def _check_target_module_exists(peft_config: Any, key: str) -> bool:
        if in_head(key, peft_config.modules_to_save or ()):
            return False
        return any(matches(key, target) for target in peft_config.target_modules or ())

    def _create_and_replace(
        self,
        peft_config: Any,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,  # noqa: ARG002
    ) -> None:
        if not is_linear(target):
            return  # a layer of another kind whose name ends alike
        layer = target if isinstance(target, LopeLinear) else LopeLinear(target)
        layer.add_experts(adapter_name, peft_config, current_key)
        setattr(parent, target_name, layer)

    def _check_merge_allowed(self) -> None:
        raise ModelError(UNMERGEABLE)


def attach(model: ModelT, config: LopeConfig) -> ModelT:
    """Freeze `model`, replace its target layers by `LopeLinear`, and return it in mode `stage1`.

    Without poisoning experts the mode is `stage2`. Raises ModelError, with the model untouched, where a target
    matches no linear layer, where the rank is above a layer's size, or where an adapter is attached already.
    """
    if any(isinstance(module, BaseTunerLayer) for module in model.modules()):
        raise ModelError(f"{type(model).__name__} has an adapter already; load the base anew")
    LopeModel(model, copy.deepcopy(config), ADAPTER)
    return model


def _register() -> None:
    from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING

    if LOPE not in PEFT_TYPE_TO_TUNER_MAPPING:
        register_peft_method(name="lope", config_cls=LopeConfig, model_cls=LopeModel)


_register()
