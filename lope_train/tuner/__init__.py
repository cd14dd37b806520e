"""The adapter: its configuration, layer, experts, modes and ways of inference, under PEFT's file names.

`model` makes it known to peft, and the hooks in `lope_train/__init__.py` import that as soon as peft is there. It is
not done here, since settings and command lines read `inference` without peft. What trains with it is in
`lope_train.methods`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_train.tuner.config import LOPE, LopeConfig
    from lope_train.tuner.experts import TRAINED, LopeExperts
    from lope_train.tuner.head import has_head, head_modules, head_parameters, reset_head
    from lope_train.tuner.inference import (
        ALL_MODES,
        NO_EXPERT,
        STAGE2,
        Inference,
        InferenceMode,
        Stage2,
        inference_modes,
        stage2_and_inference,
    )
    from lope_train.tuner.layer import LopeLinear, features, is_linear
    from lope_train.tuner.model import LopeModel, attach
    from lope_train.tuner.modes import lope_experts, set_mode, trained_names
    from lope_train.tuner.routing import Routing, gradient_routing
    from lope_train.tuner.targets import matches, target_modules

__all__ = [
    "ALL_MODES",
    "LOPE",
    "NO_EXPERT",
    "STAGE2",
    "TRAINED",
    "Inference",
    "InferenceMode",
    "LopeConfig",
    "LopeExperts",
    "LopeLinear",
    "LopeModel",
    "Routing",
    "Stage2",
    "attach",
    "features",
    "gradient_routing",
    "has_head",
    "head_modules",
    "head_parameters",
    "inference_modes",
    "is_linear",
    "lope_experts",
    "matches",
    "reset_head",
    "set_mode",
    "stage2_and_inference",
    "target_modules",
    "trained_names",
]

__getattr__ = lazy(
    __name__,
    {
        "ALL_MODES": "inference",
        "Inference": "inference",
        "InferenceMode": "inference",
        "LOPE": "config",
        "LopeConfig": "config",
        "LopeExperts": "experts",
        "LopeLinear": "layer",
        "LopeModel": "model",
        "NO_EXPERT": "inference",
        "Routing": "routing",
        "STAGE2": "inference",
        "Stage2": "inference",
        "TRAINED": "experts",
        "attach": "model",
        "features": "layer",
        "gradient_routing": "routing",
        "has_head": "head",
        "head_modules": "head",
        "head_parameters": "head",
        "inference_modes": "inference",
        "is_linear": "layer",
        "lope_experts": "modes",
        "matches": "targets",
        "reset_head": "head",
        "set_mode": "modes",
        "stage2_and_inference": "inference",
        "target_modules": "targets",
        "trained_names": "modes",
    },
)
