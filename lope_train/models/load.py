"""Base models: where a name leads, loading it, and how much a loaded one reads."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lope_common.errors import did_you_mean, suggest
from lope_common.extras import check_installed
from lope_common.hub import is_model_id
from lope_common.places import cache_folder, typed_path
from lope_train.errors import ModelError
from lope_train.models.heads import Head, head_of, is_encoder
from lope_train.models.sources import CACHED

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

DTYPES = ("float32", "bfloat16", "float16")


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
    folder = typed_path(name)
    if name and folder.is_dir():
        _check_folder(folder)
        return str(folder)
    if not is_model_id(name):
        raise ModelError(f"no model folder at {name!r}, and it is no hub id (NAME or ORGANISATION/NAME) either")
    _check_hub(name)
    return name


def load_config(model: str) -> PretrainedConfig:
    """The config of the model that `model` names. Raises ModelError where it cannot be found or read."""
    where = resolve_model(model)
    from transformers import AutoConfig

    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(where, trust_remote_code=False)
        return config
    except Exception as error:  # as in load_base
        raise _not_loaded(model, where, error) from error


def resolve_head(model: str, asked: Head | None) -> Head:
    """As `heads.head_of`, of the model that `model` names."""
    return head_of(model, load_config(model), asked)


def load_base(
    model: str, dtype: str = "float32", quantization: str | None = None, classes: Sequence[str] | None = None
) -> PreTrainedModel:
    """The language model that `model` names, decoder or encoder-decoder, with its weights in `dtype`, in eval mode.

    With `classes`, the texts of at least two, it is an encoder or decoder with a classification head instead, whose
    values say nothing: `tuner.head.reset_head` draws them, and a run's adapter holds them. `quantization` is "4bit" or
    "8bit", by bitsandbytes. Raises ModelError where the model cannot be found or read, where weights are missing from
    its files, or where an encoder is asked for as a language model.
    """
    if dtype not in DTYPES:
        raise ModelError(f"no dtype {dtype!r}{suggest(dtype, DTYPES)}")
    where = resolve_model(model)
    config: Any = load_config(model)
    if classes is None and is_encoder(config):
        raise ModelError(f"{model} is an encoder ({config.model_type}), no language model: it needs a trained head")
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    kind: Any = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    more = _quantized(quantization, getattr(torch, dtype))
    drawing: AbstractContextManager[Any] = nullcontext()
    if classes is not None:
        kind, more = _with_head(model, config, classes, more)
        drawing = _head_drawn()
    try:
        with drawing:
            result: Any = kind.from_pretrained(
                where,
                config=config,
                dtype=getattr(torch, dtype),
                use_safetensors=True,
                output_loading_info=True,
                trust_remote_code=False,
                **more,
            )
    except ModelError:
        raise
    except Exception as error:  # a broken folder raises whatever its first reader happens to raise
        raise _not_loaded(model, where, error) from error
    loaded, info = result
    # transformers fills what is missing with random numbers and only warns.
    absent = {*info["missing_keys"], *(name for name, *_ in info["mismatched_keys"])}
    if classes is not None:
        absent = _take_head(loaded, absent)
    if missing := sorted(absent):
        raise ModelError(f"model {where}: {len(missing)} weights are missing from its files, first {missing[0]!r}")
    if quantization == "4bit":
        for module in loaded.modules():
            if hasattr(module, "support_avx512bf16_for_cpu"):
                # bitsandbytes packs the weights at the first pass in eval mode, into a product without a gradient
                module.support_avx512bf16_for_cpu = False
    return loaded.eval()  # type: ignore[no-any-return]


def _with_head(model: str, config: Any, classes: Sequence[str], more: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The class of the model, and what else loading takes; `config` is changed in place."""
    head_of(model, config, "classification")
    import torch
    from transformers import AutoModelForSequenceClassification

    from lope_train.tuner.head import head_modules

    config.num_labels = len(classes)
    config.id2label = dict(enumerate(classes))
    config.label2id = {text: number for number, text in enumerate(classes)}
    config.problem_type = "single_label_classification"
    if not is_encoder(config):  # it reads the last token that is no pad, and needs no cache of the others
        config.get_text_config().pad_token_id = load_tokenizer(model, "classification").pad_token_id
        config.use_cache = False
    more = more | {"ignore_mismatched_sizes": True}  # of another head in the files
    if "quantization_config" in more:
        with torch.device("meta"):
            empty = AutoModelForSequenceClassification.from_config(config, trust_remote_code=False)  # type: ignore[no-untyped-call]
        more["quantization_config"].llm_int8_skip_modules = head_modules(empty)
    return AutoModelForSequenceClassification, more


@contextmanager
def _head_drawn() -> Iterator[None]:
    """Within the context transformers draws a head that no file holds: it moves no generator, and reports nothing."""
    import torch

    reporter = logging.getLogger("transformers.modeling_utils")
    level = reporter.level
    reporter.setLevel(logging.ERROR)
    try:
        with torch.random.fork_rng():
            yield
    finally:
        reporter.setLevel(level)


def _take_head(loaded: PreTrainedModel, absent: set[str]) -> set[str]:
    """Those of the `absent` weights that are not of the head; what the files hold of the head is remembered."""
    from lope_train.tuner.head import head_modules, in_head, note_files

    modules = head_modules(loaded)
    body = f"{loaded.base_model_prefix}."
    outside = {name for name, _ in loaded.named_parameters() if not name.startswith(body)}
    note_files(loaded, absent | outside)  # a head for other classes may be in the files, of this size or another
    return {name for name in absent if not in_head(name, modules)}


def fingerprint(model: str, config: PretrainedConfig) -> str:
    """What distinguishes the weights that `model` names, whose config this is: a hub's commit, or a sha256 over a
    folder's files."""
    folder = Path(resolve_model(model))
    if not folder.is_dir():
        return f"commit:{getattr(config, '_commit_hash', None)}"
    return folder_fingerprint(folder)


def folder_fingerprint(folder: Path) -> str:
    """A sha256 over the config and the weights in a model's folder."""
    whole = hashlib.sha256()
    for path in sorted([folder / "config.json", *folder.glob("*.safetensors")]):
        with path.open("rb") as file:
            whole.update(path.name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return f"sha256:{whole.hexdigest()}"


def load_tokenizer(model: str, head: Head = "lm") -> PreTrainedTokenizerBase:
    """The model's tokenizer, padding on the right, with a pad token (its end-of-text token if it has none).

    Raises ModelError where it cannot be found or read, where it has no end-of-text token for a language model to
    learn, or no token to pad with.
    """
    where = resolve_model(model)
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(where, trust_remote_code=False)
    except Exception as error:  # as in load_base
        raise _not_loaded(f"{model} (tokenizer)", where, error) from error
    if tokenizer.eos_token is None and (head == "lm" or tokenizer.pad_token is None):
        raise ModelError(f"model {where}: its tokenizer has no end-of-text token (eos_token)")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    return tokenizer


def has_virtual_tokens(model: Any) -> bool:
    """Whether the model has an adapter that puts tokens of its own before the prompt."""
    from peft import PeftModel

    return isinstance(model, PeftModel) and bool(model.active_peft_config.is_prompt_learning)


def context_length(model: Any) -> int | None:
    """The most tokens that the model reads, beside the virtual ones of its adapter; None where nothing limits it."""
    limit = getattr(model.config, "max_position_embeddings", None)
    virtual = model.active_peft_config.num_virtual_tokens if has_virtual_tokens(model) else 0
    if limit is None or limit < 1:  # XLNet says -1
        return None
    return int(limit) - _unused_positions(model) - int(virtual)


def _unused_positions(model: Any) -> int:
    """How many of a model's positions no token is at: encoders like RoBERTa count from their pad token's id on."""
    for name, module in model.named_modules() if is_encoder(model.config) else ():
        if name.endswith(".position_embeddings") and (pad := getattr(module, "padding_idx", None)) is not None:
            return int(pad) + 1
    return 0


def _quantized(quantization: str | None, dtype: Any) -> dict[str, Any]:
    if quantization is None:
        return {}
    check_installed(f"quantization {quantization} needs", ["bitsandbytes"], ModelError)
    from transformers import BitsAndBytesConfig

    kind: Any = BitsAndBytesConfig
    if quantization == "8bit":
        return {"quantization_config": kind(load_in_8bit=True)}
    return {"quantization_config": kind(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)}


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: not a model folder (no config.json there)")
    if any(folder.glob("*.safetensors")):
        return
    pickled = min((path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern)), default=None)
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
        raise ModelError(
            f"no model {name!r}: there is no such folder, and the hub gives none "
            f"({type(error).__name__}: {error}){did_you_mean(name, CACHED)}"
        ) from error


def _not_loaded(model: str, where: str, error: Exception) -> ModelError:
    return ModelError(f"model {model!r}: cannot be loaded from {where}: {type(error).__name__}: {error}")
