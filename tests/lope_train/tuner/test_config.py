"""What an adapter may be asked to look like, and its config on disk."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from peft import PeftConfig, PeftType, TaskType

from lope_train.errors import SettingsError
from lope_train.tuner.config import LopeConfig


def test_defaults_are_the_papers() -> None:
    config = LopeConfig()
    assert (config.r, config.num_experts, config.num_poisoning, config.num_normal) == (4, 4, 1, 3)
    assert (config.router_input, config.compensation_experts, config.normalize) == ("latent", None, "sum")
    assert (config.theta, config.inference, config.seed) == ("cosine", "compensated", 614)
    assert config.scaling == 8
    assert config.target_modules is None
    assert config.peft_type is PeftType.LOPE
    assert not config.is_prompt_learning


def test_poison_index_is_drawn_by_the_seed() -> None:
    drawn = [LopeConfig(seed=seed).poison_index for seed in range(40)]
    assert sorted({*map(tuple, drawn)}) == [(0,), (1,), (2,), (3,)]
    assert LopeConfig(seed=1).poison_index == LopeConfig(seed=1).poison_index
    two = LopeConfig(num_experts=6, num_poisoning=2)
    assert sorted(two.poison_columns + two.normal_columns) == list(range(6))
    assert list(two.poison_columns) == two.poison_index == sorted(two.poison_index)
    assert LopeConfig(num_poisoning=0).poison_index == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"poison_index": (3,)}, {"poison_index": [3], "normal_columns": (0, 1, 2)}),
        ({"target_modules": "q_proj"}, {"target_modules": ["q_proj"]}),
        ({"target_modules": frozenset({"q"})}, {"target_modules": ["q"]}),
        ({"target_modules": ("v", "q", "v")}, {"target_modules": ["q", "v"]}),
        ({"num_experts": 1, "num_poisoning": 0}, {"num_normal": 1, "normal_columns": (0,), "poison_columns": ()}),
        ({"compensation_experts": 0}, {"compensation_experts": 0}),
        ({"lora_dropout": 0}, {"lora_dropout": 0}),
        ({"r": 8, "lora_alpha": 4}, {"scaling": 0.5}),
        ({"peft_type": "LORA"}, {"peft_type": PeftType.LOPE}),
        ({"task_type": "CAUSAL_LM"}, {"task_type": TaskType.CAUSAL_LM}),
    ],
    ids=str,
)
def test_config_accepts(values: dict[str, Any], expected: dict[str, Any]) -> None:
    config = LopeConfig(**values)
    assert {name: getattr(config, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"r": 0}, "'r' is 0: must be a whole number of at least 1"),
        ({"r": 4.0}, "'r' is 4.0: must be a whole number"),
        ({"r": True}, "'r' is True: must be a whole number"),
        ({"r": "4"}, "'r' is '4': must be a whole number"),
        ({"lora_alpha": 0}, "'lora_alpha' is 0"),
        ({"num_experts": 0}, "'num_experts' is 0"),
        ({"num_poisoning": -1}, "'num_poisoning' is -1"),
        ({"seed": -1}, "'seed' is -1"),
        ({"compensation_experts": -1}, "'compensation_experts' is -1"),
        ({"compensation_experts": "all"}, "'compensation_experts' is 'all'"),
        ({"lora_dropout": 1.0}, "'lora_dropout' is 1.0: must be at least 0 and below 1"),
        ({"lora_dropout": -0.1}, "'lora_dropout' is -0.1"),
        ({"lora_dropout": float("nan")}, "'lora_dropout' is nan"),
        ({"lora_dropout": None}, "'lora_dropout' is None"),
        ({"router_input": "x"}, "'router_input' is 'x': must be one of latent, hidden"),
        ({"router_input": []}, r"'router_input' is \[\]"),
        ({"normalize": None}, "'normalize' is None: must be one of sum, none"),
        ({"theta": "sine"}, "'theta' is 'sine': must be one of cosine, zero"),
        ({"inference": "none"}, "'inference' is 'none': must be one of compensated, masked, unmasked"),
        ({"num_poisoning": 4}, "num_poisoning is 4 of num_experts 4: at least one expert must be normal"),
        ({"target_modules": []}, r"'target_modules' is \[\]: must name at least one module"),
        ({"target_modules": ""}, "'target_modules' is ''"),
        ({"target_modules": ["q", ""]}, "'target_modules' is"),
        ({"target_modules": ["q", 1]}, "'target_modules' is"),
        ({"target_modules": 5}, "'target_modules' is 5"),
        ({"poison_index": [7]}, r"poison_index \[7\] must hold 1 different, ascending router columns"),
        ({"poison_index": [-1]}, "poison_index"),
        ({"poison_index": []}, "poison_index"),
        ({"poison_index": [0, 1]}, "poison_index"),
        ({"poison_index": [1, 1], "num_poisoning": 2}, "poison_index"),
        ({"poison_index": [2, 1], "num_poisoning": 2}, "poison_index"),
        ({"poison_index": [0], "num_poisoning": 0}, "poison_index"),
        ({"poison_index": 2}, "'poison_index' is 2: must be a list of whole numbers"),
        ({"poison_index": [0.0]}, "'poison_index' is"),
        ({"poison_index": [True]}, "'poison_index' is"),
        ({"poison_index": [[0]]}, "'poison_index' is"),
        ({"poison_index": "0"}, "'poison_index' is '0'"),
    ],
    ids=str,
)
def test_config_refuses(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        LopeConfig(**values)
    assert "\n" not in str(caught.value)


def test_what_peft_checks_is_checked_too() -> None:
    with pytest.raises(TypeError, match="router_inputs"):
        LopeConfig(router_inputs="latent")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="Invalid task type"):
        LopeConfig(task_type="POETRY")


@pytest.mark.parametrize("kind", [LopeConfig, PeftConfig])
@pytest.mark.parametrize(
    "config",
    [
        LopeConfig(),
        LopeConfig(num_poisoning=0, task_type="CAUSAL_LM", base_model_name_or_path="somewhere"),
        LopeConfig(
            r=2,
            lora_alpha=7,
            lora_dropout=0.25,
            target_modules=["q", "v"],
            num_experts=6,
            num_poisoning=2,
            router_input="hidden",
            compensation_experts=2,
            normalize="none",
            theta="zero",
            inference="unmasked",
            seed=3,
            inference_mode=True,
        ),
    ],
    ids=["default", "hydralora", "nothing default"],
)
def test_a_config_is_read_as_it_was_written(config: LopeConfig, kind: type[PeftConfig], tmp_path: Path) -> None:
    config.save_pretrained(str(tmp_path))
    read = kind.from_pretrained(str(tmp_path))
    assert type(read) is LopeConfig
    assert read == config
    assert (read.peft_type, read.poison_index) == (PeftType.LOPE, config.poison_index)
    record = json.loads((tmp_path / "adapter_config.json").read_text())
    assert record["peft_type"] == "LOPE"
    assert record["poison_index"] == config.poison_index


def test_the_columns_in_the_file_hold_whatever_the_seed_would_draw(tmp_path: Path) -> None:
    config = LopeConfig(poison_index=[next(i for i in range(4) if [i] != LopeConfig().poison_index)])
    config.save_pretrained(str(tmp_path))
    assert PeftConfig.from_pretrained(str(tmp_path)).poison_index == config.poison_index != LopeConfig().poison_index


def test_a_wrong_file_is_refused(tmp_path: Path) -> None:
    LopeConfig().save_pretrained(str(tmp_path))
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_experts": 1}))
    with pytest.raises(SettingsError, match="at least one expert must be normal"):
        PeftConfig.from_pretrained(str(tmp_path))


def test_the_member_of_pefts_enum_is_one_of_them() -> None:
    assert PeftType("LOPE") is PeftType.LOPE is PeftType["LOPE"]
    assert PeftType.LOPE in list(PeftType)
    assert (PeftType.LOPE.name, PeftType.LOPE.value) == ("LOPE", "LOPE")
    assert PeftType.LOPE == "LOPE"
    assert hash(PeftType.LOPE) == hash("LOPE")
    assert PeftType.LORA is not PeftType.LOPE
    assert copy.deepcopy(PeftType.LOPE) is PeftType.LOPE
    assert pickle.loads(pickle.dumps(PeftType.LOPE)) is PeftType.LOPE  # noqa: S301
