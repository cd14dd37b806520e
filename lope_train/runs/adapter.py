"""Adapters and runs on disk: `adapter_config.json` and `adapter_model.safetensors`, as peft has them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from lope_common.files import write_whole
from lope_train.errors import LopeTrainError, ModelError, RunError
from lope_train.methods import METHODS
from lope_train.models.load import DTYPES, fingerprint, load_base, load_tokenizer
from lope_train.tuner.head import widen_head
from lope_train.tuner.model import ADAPTER

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
RUN = "run.json"
_PREFIX = "base_model.model."
_CODE = ("auto_mapping", "runtime_config", "megatron_config", "megatron_core")
"""Keys of a config of peft that name code to import, or what is of this machine."""
_SIZES = ("token_dim", "num_layers", "num_attention_heads")
"""Keys of a prompt's config that are the base model's."""


def save_adapter(model: Any, folder: Path, state: dict[str, Tensor] | None = None) -> None:
    """Write the adapter of `model` (a PeftModel, or what `attach` returned) into an existing folder.

    `state` is the model's state where it cannot be asked for it, because it is sharded. Raises ModelError where the
    model has no adapter.
    """
    config = getattr(model, "peft_config", {}).get(ADAPTER)
    if config is None:
        raise ModelError(f"{type(model).__name__} has no adapter named {ADAPTER!r} to save")
    tensors = get_peft_model_state_dict(model, state, save_embedding_layers=False)
    if not config.is_prompt_learning:
        tensors = {_PREFIX + name.removeprefix(_PREFIX): tensor for name, tensor in tensors.items()}
    record = config.to_dict() | {"inference_mode": True}
    if record.get("modules_to_save"):  # to which peft adds its own names each time that it meets the config
        record["modules_to_save"] = sorted(set(record["modules_to_save"]))
    name = getattr(getattr(model, "config", None), "_name_or_path", None)
    record["base_model_name_or_path"] = record["base_model_name_or_path"] or name
    write_json(folder / CONFIG, {key: _plain(value) for key, value in sorted(record.items())})
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    (folder / WEIGHTS).write_bytes(save(plain, metadata={"format": "pt"}))  # save_file would make it private


def load_adapter(model: PreTrainedModel, folder: Path, trainable: bool = False) -> PeftModel:
    """The base `model` with the adapter in `folder` on it: in eval mode and frozen, unless it is to be trained.

    Raises RunError where the folder does not hold a whole adapter that fits this model.
    """
    config = _read_config(folder)
    config.inference_mode = not trainable
    state = _read_weights(folder / WEIGHTS)
    sizes = {name: getattr(config, name) for name in _SIZES if hasattr(config, name)}
    for name in sizes:
        setattr(config, name, None)  # peft then takes them from the model, and they can be compared
    try:
        # Not PeftModel.from_pretrained, which only warns of missing keys; fork_rng since peft draws values first.
        with torch.random.fork_rng(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the base may have moved, of which peft warns
            adapted = get_peft_model(model, config)
            widen_head(adapted)
            for name, size in sizes.items():
                if size != getattr(config, name):
                    raise RunError(
                        f"{name} is {size!r}, this model has {getattr(config, name)!r}; is the base another model?"
                    )
            load_weights(adapted, folder, state)
    except LopeTrainError as error:
        raise error if str(folder) in str(error) else RunError(f"{folder / CONFIG}: {error}") from None
    except (ValueError, TypeError, KeyError, RuntimeError) as error:  # whatever peft makes of what does not fit
        raise RunError(f"{folder / CONFIG}: {type(error).__name__}: {' '.join(str(error).split())}") from error
    if not trainable:
        adapted.eval()
        adapted.requires_grad_(False)
    return adapted


def load_weights(model: PeftModel, folder: Path, state: dict[str, Tensor] | None = None) -> None:
    """Put the weights in `folder` into a model that has the adapter. Raises RunError where they do not fit it."""
    state = _read_weights(folder / WEIGHTS) if state is None else state
    try:
        held = get_peft_model_state_dict(model, save_embedding_layers=False)
        _check_fit(folder / WEIGHTS, state, {name: tensor.shape for name, tensor in held.items()})
        set_peft_model_state_dict(model, state)
    except (RuntimeError, KeyError, IndexError) as error:  # AdaLoRA's ranks, which are in the config
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise RunError(f"{folder / WEIGHTS}: does not fit ({reason}); is the base another model?") from error


def load_run(run: Path, model: str | None = None) -> tuple[PeftModel, PreTrainedTokenizerBase]:
    """The trained model of a run folder, in eval mode, and its tokenizer.

    `model` names the base where it has moved since training. The poisoning expert of lope is treated as the run's
    settings say. Raises RunError where the folder is not a whole run, ModelError where the base cannot be loaded.
    """
    record = read_run(run)
    name = model or record["model"]
    settings = record["settings"]
    base = load_base(name, settings.get("dtype", "float32"), settings.get("quantization"), record.get("classes"))
    if fingerprint(name, base.config) != record.get("model_fingerprint"):
        raise RunError(f"{run}: was trained on another model than {name} is now; name the right one with --model")
    return load_adapter(base, run), load_tokenizer(name, record.get("head", "lm"))


def read_run(run: Path) -> dict[str, Any]:
    """The record of a run whose adapter is of the method that it names. Raises RunError, one line."""
    if not run.is_dir():
        raise RunError(f"{run}: no such folder; train makes one with `python -m lope_train train ... --out {run}`")
    record = read_json(run / RUN)
    method, settings = record.get("method"), record.get("settings")
    if (
        not isinstance(method, str)
        or method not in METHODS
        or not isinstance(settings, dict)
        or not isinstance(record.get("model"), str)
        or settings.get("dtype", "float32") not in DTYPES
        or settings.get("quantization") not in (None, "4bit", "8bit")
        or (record.get("head", "lm") == "lm") != (record.get("classes") is None)
        or not _are_classes(record.get("classes"))
        or not isinstance(record.get("stages"), list)
        or not all(isinstance(stage, dict) for stage in record["stages"])
    ):
        raise RunError(f"{run / RUN}: not the record of a training run; train again")
    kind = read_json(run / CONFIG).get("peft_type")
    if kind != METHODS[method].peft_type:
        raise RunError(f"{run}: {RUN} says method {method!r}, but {CONFIG} holds a {kind!r} adapter")
    return record


def read_language_model(run: Path, verb: str) -> dict[str, Any]:
    """As `read_run`, for a `verb` that goes by tokens. Raises RunError for a run with a classification head too."""
    record = read_run(run)
    if record.get("classes") is not None:
        raise RunError(f"{run}: has a classification head, so there is no next token to {verb}; evaluate classifies")
    return record


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
    """Indented JSON with a final newline, whole or not at all; NaN is refused."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(path, f"{text}\n")


def _are_classes(value: Any) -> bool:
    """Whether a run's record may have it: the classes of a head, or None."""
    return value is None or (isinstance(value, list) and len(value) > 1 and all(isinstance(one, str) for one in value))


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, set | frozenset) else value


def _read_config(folder: Path) -> PeftConfig:
    record = read_json(folder / CONFIG)
    kind = record.get("peft_type")
    known = {method.peft_type for method in METHODS.values()}
    if not isinstance(kind, str) or kind not in known:
        raise RunError(f"{folder / CONFIG}: peft_type is {kind!r}, known are {', '.join(sorted(known))}")
    for key in _CODE:
        record.pop(key, None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # peft drops what it does not know, with a warning
            config: PeftConfig = PeftConfig.from_peft_type(**record)  # type: ignore[no-untyped-call]
            return config
    except Exception as error:  # whatever a config of peft makes of wrong values
        raise RunError(f"{folder / CONFIG}: {' '.join(str(error).split())}") from error


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
        if tensor.shape != expected[name]:
            raise RunError(
                f"{path}: {name!r} has shape {[*tensor.shape]}, this model needs {[*expected[name]]}; "
                "is the base another model?"
            )
