"""The classification head of every family: which modules it is, that it trains, is saved, and is drawn by its key."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, BertConfig, BertForSequenceClassification

from lope_train.errors import ModelError
from lope_train.models import load_base
from lope_train.runs import load_adapter, save_adapter
from lope_train.tuner import (
    LopeConfig,
    attach,
    has_head,
    head_modules,
    head_parameters,
    reset_head,
    set_mode,
    target_modules,
    trained_names,
)

HEADS = {
    "bert": ["classifier", "bert.pooler"],
    "roberta": ["classifier"],
    "distilbert": ["pre_classifier", "classifier"],
    "modernbert": ["head", "classifier"],
    "deberta-v2": ["pooler", "classifier"],
    "electra": ["classifier"],
    "albert": ["classifier", "albert.pooler"],
    "llama": ["score"],
    "gpt2": ["score"],
}
CLASSES = ("a", "b", "c")
IDS = torch.tensor([[2, 7, 9, 12, 3]])
Families = Callable[[str], Path]


def base(tiny_of: Families, family: str) -> Any:
    return load_base(str(tiny_of(family)), classes=CLASSES)


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        found: Tensor = model.eval()(input_ids=IDS, attention_mask=torch.ones_like(IDS)).logits
    return found


def values(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in head_parameters(model)}


def is_drawn(name: str) -> bool:
    """Biases begin at zero; weights of a layer norm at one."""
    return name.endswith("weight") and "norm" not in name.lower()


@pytest.mark.parametrize("family", HEADS)
def test_the_modules_of_a_head(tiny_of: Families, family: str) -> None:
    model = base(tiny_of, family)
    assert has_head(model)
    assert head_modules(model) == HEADS[family]
    assert not has_head(load_base(str(tiny_of("llama"))))


@pytest.mark.parametrize("family", HEADS)
def test_a_head_is_drawn_by_its_key_and_by_nothing_else(tiny_of: Families, family: str) -> None:
    model = attach(base(tiny_of, family), LopeConfig(target_modules=None))
    body = {name: p.detach().clone() for name, p in model.named_parameters() if name not in values(model)}
    state = torch.get_rng_state()
    drawn = []
    for seed, name in ((1, "1"), (1, "2"), (2, "1"), (1, "1")):
        with torch.no_grad():
            for _, parameter in head_parameters(model):
                parameter.fill_(0.5)
        reset_head(model, seed, name)
        drawn.append(values(model))
    assert torch.get_rng_state().equal(state)
    for name, first in drawn[0].items():
        assert first.equal(drawn[3][name])
        assert not (first == 0.5).any()
        if is_drawn(name):
            assert not first.equal(drawn[1][name])
            assert not first.equal(drawn[2][name])
    assert any(is_drawn(name) for name in drawn[0])
    assert all(parameter.equal(body[name]) for name, parameter in model.named_parameters() if name in body)
    other = attach(base(tiny_of, family), LopeConfig())
    reset_head(other, 1, "1")
    assert all(value.equal(drawn[0][name]) for name, value in values(other).items())


def test_a_pooler_of_the_files_begins_as_it_was_there(tiny_of: Families, tmp_path: Path) -> None:
    whole = AutoModelForSequenceClassification.from_pretrained(tiny_of("bert"), num_labels=3)
    whole.save_pretrained(tmp_path / "model")
    load_base(str(tiny_of("bert")), classes=CLASSES)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "model" / name).write_bytes((tiny_of("bert") / name).read_bytes())
    model = attach(load_base(str(tmp_path / "model"), classes=CLASSES), LopeConfig())
    with torch.no_grad():
        for _, parameter in head_parameters(model):
            parameter.fill_(0.5)
    reset_head(model, 1, "1")
    kept = "bert.pooler.modules_to_save.default.dense.weight"
    assert values(model)[kept].equal(whole.bert.pooler.dense.weight)
    # a classifier in the files is for other classes, of which nothing is known
    assert not values(model)["classifier.modules_to_save.default.weight"].equal(whole.classifier.weight)


@pytest.mark.parametrize("family", HEADS)
@pytest.mark.parametrize("wrap", [attach, lambda model, config: get_peft_model(model, config)], ids=["attach", "peft"])
def test_the_head_trains_in_both_stages_and_not_after(tiny_of: Families, family: str, wrap: Any) -> None:
    model = wrap(base(tiny_of, family), LopeConfig(task_type="SEQ_CLS"))
    head = set(values(model))
    assert len(head) == sum(len([*base(tiny_of, family).get_submodule(m).parameters()]) for m in HEADS[family])
    for mode, trains in (("stage1", True), ("stage2", True), ("inference", False)):
        set_mode(model, mode)  # type: ignore[arg-type]
        training = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        assert training == trained_names(model, mode)  # type: ignore[arg-type]
        assert (head & training) == (head if trains else set())
    set_mode(model, "stage1")
    before = logits(model)
    model.train()
    out = model(input_ids=IDS, attention_mask=torch.ones_like(IDS)).logits
    torch.nn.functional.cross_entropy(out, torch.tensor([2])).backward()
    moved = [parameter for _, parameter in head_parameters(model)]
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in moved)
    torch.optim.SGD(moved, 0.5).step()
    assert not logits(model).allclose(before)


@pytest.mark.parametrize("family", HEADS)
def test_a_saved_head_is_loaded_here_and_by_peft_alone(tiny_of: Families, family: str, tmp_path: Path) -> None:
    model: Any = get_peft_model(base(tiny_of, family), LopeConfig(task_type="SEQ_CLS"))
    with torch.no_grad():
        for _, parameter in head_parameters(model):
            parameter.add_(torch.randn_like(parameter))
    expected = logits(model)
    save_adapter(model, tmp_path)
    ours = load_adapter(base(tiny_of, family), tmp_path)
    plain = AutoModelForSequenceClassification.from_pretrained(tiny_of(family), num_labels=3)
    plain.config.pad_token_id = base(tiny_of, family).config.pad_token_id
    assert logits(ours).equal(expected)
    assert logits(PeftModel.from_pretrained(plain, tmp_path)).equal(expected)
    assert not any(parameter.requires_grad for parameter in ours.parameters())


def test_what_attach_made_is_loaded_too(tiny_of: Families, tmp_path: Path) -> None:
    model = attach(base(tiny_of, "roberta"), LopeConfig())
    with torch.no_grad():
        for _, parameter in head_parameters(model):
            parameter.add_(1.0)
    save_adapter(model, tmp_path)
    assert logits(load_adapter(base(tiny_of, "roberta"), tmp_path)).equal(logits(model))


def test_no_adapter_stands_in_a_head(tiny_of: Families) -> None:
    model = base(tiny_of, "roberta")
    adapted = attach(model, LopeConfig(target_modules=["dense"]))
    layers = [name for name, _ in adapted.named_modules() if name.endswith("lope_experts.default")]
    assert layers
    assert all(name.startswith("roberta.encoder.") for name in layers)
    with pytest.raises(ModelError, match="'out_proj' matches no linear layer"):
        target_modules(base(tiny_of, "roberta"), ["out_proj"])


def test_a_name_that_peft_would_mistake_is_refused() -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 32}
    model = BertForSequenceClassification(BertConfig(vocab_size=10, **sizes))
    model.bert.encoder.old_classifier = nn.Linear(4, 4)
    with pytest.raises(ModelError, match=r"peft would take 'bert\.encoder\.old_classifier' for a part of the head"):
        attach(model, LopeConfig())


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "modernbert", "llama"])
def test_a_head_is_in_float32_on_a_base_in_bfloat16(tiny_of: Families, family: str, tmp_path: Path) -> None:
    half = load_base(str(tiny_of(family)), "bfloat16", classes=CLASSES)
    model: Any = get_peft_model(copy.deepcopy(half), LopeConfig(task_type="SEQ_CLS"))
    assert {parameter.dtype for parameter in values(model).values()} == {torch.float32}
    assert {parameter.dtype for name, parameter in model.named_parameters() if "layers.0" in name} <= {
        torch.bfloat16,
        torch.float32,
    }
    with torch.no_grad():
        for _, parameter in head_parameters(model):
            parameter.add_(1e-4)  # lost in bfloat16
    save_adapter(model, tmp_path)
    loaded = load_adapter(half, tmp_path)
    assert all(value.equal(values(loaded)[name]) for name, value in values(model).items())
    assert logits(loaded).equal(logits(model))


def test_peft_s_own_lora_trains_a_pooler_that_no_file_held(tiny_of: Families) -> None:
    """Why `Method.attach` names the modules: by itself peft leaves the random pooler frozen, and out of its file."""
    model = get_peft_model(base(tiny_of, "bert"), LoraConfig(task_type="SEQ_CLS", target_modules=["query"]))
    assert not any("pooler" in name for name in values(model))
