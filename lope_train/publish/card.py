"""The model card: README.md with the front matter that the Hugging Face hub reads. Records are untrusted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lope_common.hub import is_model_id
from lope_common.shown import one_line
from lope_train.inspection.parameters import Count
from lope_train.methods import METHODS, Method
from lope_train.models.sources import CACHED
from lope_train.tuner.inference import Inference

_STAGE = {
    "stage": "stage",
    "reads": "reads",
    "rows": "rows",
    "left_out": "left out",
    "steps": "steps",
    "first_loss": "first loss",
    "final_loss": "last loss",
    "trained_parameters": "trained parameters",
    "embedding_alpha": "embedding noise",
    "embedding_noise_ratio": "embedding noise ratio",
    "seconds": "seconds",
}
_FOLDERS = ("out", "store")
"""Settings that say nothing elsewhere."""


@dataclass(frozen=True)
class Card:
    """What a card is written from."""

    record: Mapping[str, Any]
    """run.json, without paths of the machine."""
    config: Mapping[str, Any]
    """adapter_config.json."""
    model: str
    """The base as run.json names it."""
    parameters: Count | None

    @property
    def classes(self) -> Sequence[str]:
        """Of a classification head; none of a language model."""
        return self.record.get("classes") or ()

    @property
    def method(self) -> Method:
        return METHODS[self.record["method"]]


def hub_id(model: str) -> str | None:
    """The base's id on the hub; None where it is a folder or what get-model makes."""
    return model if is_model_id(model) and model not in CACHED else None


def card(card: Card) -> str:
    """The text of README.md."""
    parts = [_front_matter(card), _about(card), _load(card), _training(card), _parameters(card), _settings(card)]
    return "\n".join(part for part in parts if part)


def _front_matter(card: Card) -> str:
    base = hub_id(card.model)
    lines = ["---", *([f"base_model: {json.dumps(base)}"] if base else []), "library_name: peft"]
    tags = dict.fromkeys(("lope", card.method.name, "noise-robustness"))
    lines += ["pipeline_tag: text-classification"] if card.classes else []
    return "\n".join([*lines, "tags:", *(f"- {tag}" for tag in tags), "---", ""])


def _about(card: Card) -> str:
    lines = [
        f"# {card.method.label} adapter",
        "",
        f"An adapter, trained with lope_train. Its base is {_base(card)}.",
    ]
    if card.method.poisoning:
        asked = str(card.config.get("inference"))
        kept = Inference(asked).treatment if asked in {*Inference} else "treated as adapter_config.json says"
        lines += ["", f"One of its experts, the poisoning expert, was trained on noise. At inference it is {kept}."]
    return "\n".join([*lines, ""])


def _base(card: Card) -> str:
    if base := hub_id(card.model):
        return f"{_code(base)} of the Hugging Face hub"
    if card.model in CACHED:
        return f"{_code(card.model)}, which `python -m lope_train get-model {card.model}` makes"
    return (
        "a local model folder, which is not named here; `model_fingerprint` in `run.json` tells whether it is the same"
    )


def _load(card: Card) -> str:
    base = hub_id(card.model) or "path/to/the/base"
    kinds = {"SEQ_2_SEQ_LM": "AutoModelForSeq2SeqLM", "SEQ_CLS": "AutoModelForSequenceClassification"}
    kind = kinds.get(str(card.config.get("task_type")), "AutoModelForCausalLM")
    more = f", num_labels={len(card.classes)}" if card.classes else ""
    routed = card.method.experts
    lines = ["## Load", "", "```python"]
    lines += ["import lope_train  # makes the adapter's kind known to peft"] if routed else []
    lines += ["from peft import PeftModel", f"from transformers import {kind}, AutoTokenizer", ""]
    lines += [f"base = {kind}.from_pretrained({json.dumps(base)}{more})"]
    lines += ['model = PeftModel.from_pretrained(base, "path/to/this/folder")']
    lines += [f"tokenizer = AutoTokenizer.from_pretrained({json.dumps(base)})"]
    if card.classes:
        lines += ["tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token"]
        lines += ["base.config.pad_token_id = tokenizer.pad_token_id  # a decoder reads the last token that is no pad"]
    lines += ["```", ""]
    if card.classes:
        classes = ", ".join(f"{number} {_code(text)}" for number, text in enumerate(card.classes))
        lines += [f"Its classes, in the order of the logits: {classes}.", ""]
    if routed:
        lines += [
            "It is routed by token, so it cannot be merged into the base weights: its update is not one matrix.",
            "",
        ]
    return "\n".join(lines)


def _training(card: Card) -> str:
    data = card.record.get("data")
    data = data if isinstance(data, Mapping) else {}
    versions = [(data.get("ref"), data.get("content_digest")), (data.get("parent"), data.get("parent_content_digest"))]
    lines = ["## Training", "", "| dataset | content digest |", "|---|---|"]
    lines += [f"| {_code(ref)} | {_code(digest)} |" for ref, digest in versions if ref]
    if held_out := card.record.get("held_out"):
        said = held_out.get("ref") if isinstance(held_out, Mapping) else held_out
        lines += ["", f"Its loss was measured on {_code(said)}."]
    stages = [stage for stage in card.record.get("stages") or () if isinstance(stage, Mapping)]
    shown = {key: title for key, title in _STAGE.items() if any(key in stage for stage in stages)}
    lines += ["", _row(shown.values()), f"|{'---|' * len(shown)}"]
    lines += [_row(_code(stage.get(key)) for key in shown) for stage in stages]
    if "embedding_noise_ratio" in shown:
        tokens = next((stage["embedding_noise_tokens"] for stage in stages if "embedding_noise_tokens" in stage), None)
        rows = "" if tokens is None else f", in rows of {_code(tokens)} tokens"
        lines += ["", f"The ratio is the noise's standard deviation over that of the input embeddings{rows}."]
    if stages and isinstance(losses := stages[-1].get("losses"), Mapping):
        unit, rows, on = (one_line(str(losses.get(key))) for key in ("unit", "rows", "on"))
        nats = losses["nats"] if isinstance(losses.get("nats"), Mapping) else {}
        lines += ["", f"Loss, nats a {unit}, on {rows} {on}:", ""]
        lines += [_row(map(_code, nats)), f"|{'---|' * len(nats)}", _row(map(_code, nats.values()))]
    return "\n".join([*lines, ""])


def _parameters(card: Card) -> str:
    counted = card.parameters
    if counted is None:
        return ""
    lines = ["## Parameters", "", "| | number | % of the base |", "|---|--:|--:|"]
    numbers = {
        "base": counted.total,
        "trained, in any stage": counted.trainable,
        "used at inference": counted.inference,
    }
    lines += [f"| {what} | {number:,} | {100 * number / counted.total:.3f} |" for what, number in numbers.items()]
    if card.method.experts:
        lines += [
            "",
            "The last line is the LoPE paper's %Param, which counts no router, poisoning expert or head.",
        ]
    return "\n".join([*lines, ""])


def _settings(card: Card) -> str:
    lines = ["## Settings", ""]
    for key in ("settings", "libraries"):
        values = card.record.get(key)
        if isinstance(values, Mapping):
            lines += [f"| {key} | |", "|---|---|"]
            shown = {name: value for name, value in values.items() if value is not None and name not in _FOLDERS}
            lines += [f"| {_code(name)} | {_code(value)} |" for name, value in shown.items()]
            lines += [""]
    return "\n".join([*lines, "`run.json` is the whole record.", ""])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(value: Any) -> str:
    """A value as a code span in one cell, in which no markup of its own can stand."""
    if isinstance(value, float):
        value = f"{value:.6g}"
    elif not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False)
    text = one_line(value).replace("`", "'").replace("|", "\\|")
    return f"`{text}`" if text else ""
