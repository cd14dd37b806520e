"""Adapters and runs on disk: `adapter_config.json` and `adapter_model.safetensors` in PEFT's key scheme."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from lope_train.attach import attach
from lope_train.config import LopeConfig
from lope_train.errors import ModelError, RunError, SettingsError
from lope_train.methods import METHODS, PEFT_TYPE
from lope_train.models import load_base, load_tokenizer
from lope_train.stages import lope_layers, set_mode

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
RUN = "run.json"
PREFIX = "base_model.model."
TYPES = {name: method.peft_type for name, method in METHODS.items()}
"""What `peft_type` in `adapter_config.json` is for a method of training."""


def save_adapter(model: Any, folder: Path) -> None:
    """Write the adapter of `model` (ours, or a PeftModel, saved by peft itself) into an existing folder.

    Raises ModelError where the model has no adapter.
    """
    if isinstance(model, PeftModel):
        model.save_pretrained(str(folder), save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)  # a model card of blanks
        return
    layers = dict(lope_layers(model))
    if not layers:
        raise ModelError(f"{type(model).__name__} has no adapted layer to save")
    config = next(iter(layers.values())).config
    write_json(folder / CONFIG, {"peft_type": PEFT_TYPE, **config.model_dump(mode="json")})
    state = {PREFIX + name: tensor.detach().contiguous() for name, tensor in _adapter_parameters(model).items()}
    (folder / WEIGHTS).write_bytes(save(state, metadata={"format": "pt"}))  # save_file would make it private


def load_adapter(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """Attach the adapter in `folder` to the base `model`: ours in mode `inference`, or peft's.

    Raises RunError where the folder does not hold a whole adapter that fits this model.
    """
    config = read_json(folder / CONFIG)
    state = _read_weights(folder / WEIGHTS)
    kind = config.pop("peft_type", None)
    if kind == "LORA":
        return _load_lora(model, folder, state)
    if kind != PEFT_TYPE:
        raise RunError(f"{folder / CONFIG}: peft_type is {kind!r}, known are {PEFT_TYPE!r} and 'LORA'")
    try:
        attach(model, LopeConfig(**config))
    except (SettingsError, ModelError) as error:
        raise RunError(f"{folder / CONFIG}: {error}") from None
    parameters = {PREFIX + name: parameter for name, parameter in _adapter_parameters(model).items()}
    _check_fit(folder / WEIGHTS, state, parameters)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(state[name])
    set_mode(model, "inference")
    return model


def load_run(run: Path, model: str | None = None) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The trained model of a run folder, in eval mode, and its tokenizer.

    `model` names the base where it has moved since training. The poisoning expert of lope is masked, and
    compensated for. Raises RunError where the folder is not a whole run, ModelError where the base cannot be
    loaded.
    """
    record = read_json(run / RUN)
    method, settings = record.get("method"), record.get("settings")
    if method not in TYPES or not isinstance(settings, dict) or not isinstance(record.get("model"), str):
        raise RunError(f"{run / RUN}: not the record of a training run; train again")
    kind = read_json(run / CONFIG).get("peft_type")
    if kind != TYPES[method]:
        raise RunError(f"{run}: {RUN} says method {method!r}, but {CONFIG} holds a {kind!r} adapter")
    name = model or record["model"]
    base = load_base(name, settings.get("dtype", "float32"))
    adapted = load_adapter(base, run)
    adapted.eval()  # type: ignore[no-untyped-call]
    return adapted, load_tokenizer(name)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of a run. Raises RunError, one line."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path.parent}: no {path.name}; is this the folder of a run?") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise RunError(f"{path}: must hold a JSON object")
    return value


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Indented JSON with a final newline; NaN is refused."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(f"{text}\n", encoding="utf-8")


def _adapter_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    return {
        f"{name}.{parameter_name}": parameter
        for name, layer in lope_layers(model)
        for parameter_name, parameter in layer.named_parameters(recurse=False)
    }


def _load_lora(model: PreTrainedModel, folder: Path, state: dict[str, Tensor]) -> PreTrainedModel:
    try:
        # Not PeftModel.from_pretrained, which only warns of missing keys; fork_rng since peft draws values first.
        with torch.random.fork_rng():
            config = PeftConfig.from_pretrained(str(folder))
            config.base_model_name_or_path = None  # the base may have moved, of which peft warns
            adapted = get_peft_model(model, config)
    except (ValueError, TypeError, KeyError) as error:  # what peft raises for a config that does not fit
        raise RunError(f"{folder / CONFIG}: {' '.join(str(error).split())}") from error
    _check_fit(folder / WEIGHTS, state, get_peft_model_state_dict(adapted))
    set_peft_model_state_dict(adapted, state)
    return cast("PreTrainedModel", adapted)


def _read_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise RunError(f"{path.parent}: no {path.name}; is this the folder of a run?")
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path}: not a whole safetensors file ({error}); train again") from None


def _check_fit(path: Path, state: dict[str, Tensor], expected: dict[str, Any]) -> None:
    if missing := sorted(expected.keys() - state.keys()):
        raise RunError(f"{path}: {len(missing)} tensors are missing, first {missing[0]!r}; is the base another model?")
    if unexpected := sorted(state.keys() - expected.keys()):
        raise RunError(
            f"{path}: {len(unexpected)} tensors are not of this adapter, first {unexpected[0]!r}; "
            "is the base another model?"
        )
    for name, tensor in state.items():
        if tensor.shape != expected[name].shape:
            raise RunError(
                f"{path}: {name!r} has shape {[*tensor.shape]}, this model needs {[*expected[name].shape]}; "
                "is the base another model?"
            )
