"""Base models: where a name leads, and loading it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lope_train.errors import ModelError, suggest

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CACHED = ("smollm2-135m",)
"""Models that `python -m lope_train get-model` makes; their names lead to the cache folder."""

DTYPES = ("float32", "bfloat16", "float16")

# What the hub allows: `name` or `organisation/name`.
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?")


def cache_folder() -> Path:
    """`$LOPE_CACHE`, else `$XDG_CACHE_HOME/lope`, else `~/.cache/lope`."""
    if cache := os.environ.get("LOPE_CACHE"):
        return Path(cache)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lope"


def resolve_model(name: str) -> str:
    """The folder or hub id that `name` leads to: a cached model, else a model folder, else a hub id.

    Raises ModelError where nothing fits, or where a folder is not a model in safetensors.
    """
    if name in CACHED:
        folder = cache_folder() / "models" / name
        if not folder.is_dir():
            raise ModelError(
                f"model {name!r} is not at {folder} yet; get it with `python -m lope_train get-model {name}`"
            )
        _check_folder(folder)
        return str(folder)
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        _check_folder(folder)
        return str(folder)
    if not _HUB_ID.fullmatch(name):
        raise ModelError(f"no model folder at {name!r}, and it is no hub id (NAME or ORGANISATION/NAME) either")
    _check_hub(name)
    return name


def load_base(model: str, dtype: str = "float32") -> PreTrainedModel:
    """The causal language model that `model` names, with its weights in `dtype`, in evaluation mode.

    Raises ModelError where it cannot be found or read, or where weights are missing from its files.
    """
    if dtype not in DTYPES:
        raise ModelError(f"no dtype {dtype!r}{suggest(dtype, DTYPES)}")
    where = resolve_model(model)
    import torch
    from transformers import AutoModelForCausalLM

    try:
        result: Any = AutoModelForCausalLM.from_pretrained(
            where, dtype=getattr(torch, dtype), use_safetensors=True, output_loading_info=True
        )
    except Exception as error:  # a broken folder raises whatever its first reader happens to raise
        raise _not_loaded(model, where, error) from error
    loaded, info = result
    # transformers fills what is missing with random numbers and only warns.
    if missing := sorted(info["missing_keys"]):
        raise ModelError(f"model {where}: {len(missing)} weights are missing from its files, first {missing[0]!r}")
    return loaded.eval()  # type: ignore[no-any-return]


def load_tokenizer(model: str) -> PreTrainedTokenizerBase:
    """The model's tokenizer, padding on the right, with a pad token (its end-of-text token if it has none).

    Raises ModelError where it cannot be found or read, or where it has no end-of-text token to learn.
    """
    where = resolve_model(model)
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(where)
    except Exception as error:  # as in load_base
        raise _not_loaded(f"{model} (tokenizer)", where, error) from error
    if tokenizer.eos_token is None:
        raise ModelError(f"model {where}: its tokenizer has no end-of-text token (eos_token)")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    return tokenizer


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: not a model folder (no config.json there)")
    if any(folder.glob("*.safetensors")):
        return
    pickled = next((path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern)), None)
    if pickled:
        raise ModelError(
            f"{folder}: {pickled} is a pickle file, which can run code when read; only *.safetensors weights "
            "are loaded, save the model with save_pretrained to get them"
        )
    raise ModelError(f"{folder}: a model folder without weights (no *.safetensors there)")


def _check_hub(name: str) -> None:
    """Asks the hub once; loading would retry for a minute, with a warning each time, before it gives up."""
    from huggingface_hub import HfApi, try_to_load_from_cache

    if isinstance(try_to_load_from_cache(name, "config.json"), str):
        return
    try:
        HfApi().model_info(name, timeout=10)
    except Exception as error:  # httpx's and huggingface_hub's errors have no base of their own
        hint = suggest(name, CACHED)
        raise ModelError(
            f"no model {name!r}: there is no such folder, and the hub gives none "
            f"({type(error).__name__}: {error})"
            f"{hint if 'did you mean' in hint else ''}"
        ) from error


def _not_loaded(model: str, where: str, error: Exception) -> ModelError:
    return ModelError(f"model {model!r}: cannot be loaded from {where}: {type(error).__name__}: {error}")
