"""Settings out of range are refused in one line, before anything is read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, get_args

import pytest

from lope_train.errors import SettingsError
from lope_train.methods import METHODS
from lope_train.settings.settings import TrainSettings

REQUIRED: dict[str, Any] = {"data": "tiny", "model": "m", "out": Path("run")}


def test_defaults_are_those_of_the_paper() -> None:
    settings = TrainSettings(**REQUIRED)
    assert (settings.learning_rate, settings.epochs, settings.seed) == (2e-4, 1, 614)
    assert (settings.r, settings.num_experts, settings.num_poisoning) == (4, 4, 1)
    assert (settings.method, settings.on, settings.router_input) == ("lope", "parent", "latent")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"r": 0}, "setting 'r' is 0: input should be greater than or equal to 1"),
        ({"epochs": 0}, "'epochs' is 0"),
        ({"epochs": math.nan}, "'epochs' is nan: input should be a finite number"),
        ({"learning_rate": math.inf}, "'learning_rate' is inf"),
        ({"learning_rate": -1e-4}, "'learning_rate' is -0.0001"),
        ({"learning_rate": "abc"}, "'learning_rate' is 'abc'"),
        ({"warmup": 1.0}, "'warmup' is 1.0"),
        ({"weight_decay": -0.1}, "'weight_decay' is -0.1"),
        ({"lora_dropout": 1.0}, "'lora_dropout' is 1.0"),
        ({"embedding_alpha": math.nan}, "'embedding_alpha' is nan"),
        ({"embedding_alpha": -1}, "'embedding_alpha' is -1"),
        ({"batch_size": 0}, "'batch_size' is 0"),
        ({"batch_size": 1.5}, "'batch_size' is 1.5"),
        ({"max_length": 1}, "'max_length' is 1"),
        ({"seed": -1}, "'seed' is -1"),
        ({"seed": 2**32}, "'seed' is 4294967296"),
        ({"dtype": "float8"}, "'dtype' is 'float8'"),
        ({"method": "lop"}, "'prefix' or 'ptuning'; did you mean 'lope'?"),
        ({"target_modules": ()}, "'target_modules' is ()"),
        ({"head": "classify"}, "'lm' or 'classification'"),
        ({"head": "classification", "packing": True}, "packing does not go with a classification head"),
        ({"data": ""}, "'data' is ''"),
        ({"learning_rates": 1}, "unknown setting 'learning_rates'; did you mean 'learning_rate'?"),
        ({"on": "noisy"}, "method 'lope' reads the noisy version in stage I"),
        ({"num_experts": 1}, "at least one expert must be normal"),
        ({"inference": "maskd"}, "'masked' or 'unmasked'; did you mean 'masked'?"),
        ({"stage2": "frozn"}, "'masked' or 'compensated'; did you mean 'frozen'?"),
        ({"method": "hydralora", "stage2": "masked"}, "stage2 is for method lope; 'hydralora' has one stage"),
        ({"method": "lora", "inference": "masked"}, "inference is for method lope; 'lora' has one stage"),
        ({"stage2": "masked", "inference": "compensated"}, "stage2 'masked' contradicts inference 'compensated'"),
        ({"stage2": "compensated", "inference": "unmasked"}, "stage2 'compensated' contradicts inference 'unmasked'"),
        (
            {"method": "prefix", "packing": True},
            "packing does not go with method 'prefix': rows in one sequence could not be kept apart; leave it out",
        ),
        (
            {"method": "adalora", "fsdp": True},
            "fsdp does not go with method 'adalora': it needs its adapter whole in every process; leave it out",
        ),
        ({"method": "lora", "hynoise": "both"}, "hynoise 'both' contradicts on 'parent'"),
        (
            {"method": "lora", "embedding_alpha": 5.0},
            "embedding_alpha is of noise in the embeddings, and there is none",
        ),
        ({"method": "lora", "embedding_scale": "neftune"}, "embedding_scale is of noise in the embeddings"),
        ({"hynoise": "discrete", "embedding_alpha": 0.1}, "embedding_alpha is of noise in the embeddings"),
        ({"route": "edit"}, "'none' or 'edits'; did you mean 'edits'?"),
        ({"method": "lora", "route": "edits"}, "route is for method lope; 'lora' has no poisoning expert"),
        ({"method": "hydralora", "train_router": True}, "train_router is for method lope"),
        ({"method": "lora", "stage1": "injected"}, "stage1 is for method lope"),
        ({"stage1": "injected", "hynoise": "continuous"}, "stage1 'injected' contradicts hynoise 'continuous'"),
        ({"route": "edits", "stage1": "injected"}, "stage1 does not go with route 'edits': it has one stage"),
        ({"route": "edits", "train_router": True}, "train_router does not go with route 'edits'"),
        ({"route": "edits", "stage2": "frozen"}, "stage2 does not go with route 'edits': it has no stage II"),
        ({"route": "edits", "stage2": "compensated"}, "stage2 does not go with route 'edits'"),
        ({"route": "edits", "on": "noisy"}, "on does not go with route 'edits': it reads the noisy version"),
        ({"route": "edits", "embedding_alpha": 0.1}, "embedding_alpha does not go with route 'edits': noise in the"),
        ({"route": "edits", "embedding_scale": "neftune"}, "embedding_scale does not go with route 'edits'"),
        ({"route": "edits", "loss": "gce"}, "loss does not go with route 'edits': it knows where the noise is"),
        ({"route": "edits", "hynoise": "both"}, "hynoise 'both' contradicts route 'edits'"),
        ({"route": "edits", "hynoise": "none"}, "hynoise 'none' contradicts route 'edits'"),
    ],
)
def test_bad_settings_are_one_clear_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        TrainSettings(**{**REQUIRED, **values})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "stage2", "inference"),
    [
        ({}, "compensated", "compensated"),
        ({"stage2": "masked"}, "masked", "masked"),
        ({"stage2": "compensated"}, "compensated", "compensated"),
        ({"stage2": "frozen"}, "frozen", "compensated"),
        ({"inference": "masked"}, "masked", "masked"),
        ({"inference": "compensated"}, "compensated", "compensated"),
        ({"inference": "unmasked"}, "frozen", "unmasked"),
        ({"stage2": "frozen", "inference": "masked"}, "frozen", "masked"),
    ],
)
def test_stage_2_and_inference_follow_from_each_other(given: dict[str, str], stage2: str, inference: str) -> None:
    settings = TrainSettings(**REQUIRED, **given)
    assert (settings.stage2, settings.inference) == (stage2, inference)
    forward = {"frozen": "unmasked"}.get(stage2, stage2)
    assert [stage.forward for stage in settings.stages] == ["unmasked", forward]
    assert TrainSettings(**REQUIRED, method="lora").stage2 is None


def test_variants_of_the_stages() -> None:
    def stages(**values: Any) -> list[tuple[Any, ...]]:
        found = TrainSettings(**REQUIRED, **values).stages
        return [(stage.reads, stage.mode, stage.embedding_noise, stage.forward, stage.injected) for stage in found]

    second = ("parent", "stage2", False, "compensated", False)
    assert stages() == [("noisy", "stage1", True, "unmasked", False), second]
    assert stages(stage1="injected") == [("noisy", "stage1", True, "unmasked", True), second]
    assert stages(train_router=True) == [("noisy", "stage1_router", True, "unmasked", False), second]
    for hynoise in (None, "discrete"):
        assert stages(route="edits", hynoise=hynoise) == [("noisy", "routed", False, "unmasked", False)]
    routed = TrainSettings(**REQUIRED, route="edits", embedding_alpha=0)
    assert (routed.stage2, routed.inference) == (None, "compensated")
    assert TrainSettings(**REQUIRED, route="edits", inference="masked").inference == "masked"
    assert TrainSettings.model_validate(routed.model_dump()) == routed


def test_every_method_that_may_be_asked_for_exists() -> None:
    assert get_args(TrainSettings.model_fields["method"].annotation) == tuple(METHODS)


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(SettingsError, match="setting 'out' is missing"):
        TrainSettings(data="tiny", model="m")


def test_one_stage_methods_may_read_the_noise_and_have_one_expert() -> None:
    settings = TrainSettings(**REQUIRED, method="hydralora", on="noisy", num_experts=1)
    assert settings.on == "noisy"
