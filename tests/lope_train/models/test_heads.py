"""What a model can be trained as, and bases with a classification head."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForSequenceClassification

from lope_train.errors import ModelError
from lope_train.models.heads import head_of, is_encoder
from lope_train.models.load import context_length, load_base, load_tokenizer, resolve_head

ENCODERS = ("bert", "roberta", "xlm-roberta", "distilbert", "modernbert", "deberta-v2", "electra", "albert", "mpnet")
OTHERS = ("llama", "gpt2", "qwen2", "opt", "xlnet", "modernbert-decoder", "t5", "bart", "mbart")
CLASSES = ("a", "b", "c")
Families = Callable[[str], Path]


def test_encoders() -> None:
    assert [kind for kind in ENCODERS if not is_encoder(AutoConfig.for_model(kind))] == []
    assert [kind for kind in OTHERS if is_encoder(AutoConfig.for_model(kind))] == []
    assert not is_encoder(AutoConfig.for_model("bert", is_decoder=True))  # a causal model


def test_the_head_that_a_model_gets() -> None:
    bert, llama, t5, mamba = map(AutoConfig.for_model, ("bert", "llama", "t5", "mamba"))
    assert [head_of("m", config, None) for config in (bert, llama, t5)] == ["classification", "lm", "lm"]
    assert [head_of("m", config, "classification") for config in (bert, llama)] == ["classification"] * 2
    assert [head_of("m", config, "lm") for config in (llama, t5)] == ["lm", "lm"]
    with pytest.raises(ModelError, match=r"m is an encoder \(bert\), which cannot be trained as a language model"):
        head_of("m", bert, "lm")
    with pytest.raises(ModelError, match="m is an encoder-decoder, which takes no classification head"):
        head_of("m", t5, "classification")
    with pytest.raises(ModelError, match="no classification head for models of type 'mamba'"):
        head_of("m", mamba, "classification")


def test_the_head_of_a_folder(tiny_of: Families) -> None:
    assert resolve_head(str(tiny_of("bert")), None) == "classification"
    assert resolve_head(str(tiny_of("llama")), None) == "lm"


def test_an_encoder_is_no_language_model(tiny_of: Families) -> None:
    with pytest.raises(ModelError, match=r"bert is an encoder \(bert\), no language model: it needs a trained head"):
        load_base(str(tiny_of("bert")))


def test_a_base_with_a_head_names_its_classes_and_says_nothing(
    tiny_of: Families, caplog: pytest.LogCaptureFixture
) -> None:
    state = torch.get_rng_state()
    level = logging.getLogger("transformers.modeling_utils").level
    model: Any = load_base(str(tiny_of("bert")), classes=CLASSES)
    assert model.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert model.config.label2id == {"a": 0, "b": 1, "c": 2}
    assert model.classifier.out_features == 3
    assert torch.get_rng_state().equal(state)
    assert "newly initialized" not in caplog.text
    assert logging.getLogger("transformers.modeling_utils").level == level


def test_weights_missing_from_the_body_are_an_error(tiny_of: Families, tmp_path: Path) -> None:
    for path in tiny_of("bert").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    del weights["bert.encoder.layer.1.attention.self.query.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"1 weights are missing from its files.*layer\.1\.attention\.self\.query"):
        load_base(str(tmp_path), classes=CLASSES)


def test_weights_of_another_size_in_the_body_are_an_error(tiny_of: Families, tmp_path: Path) -> None:
    for path in tiny_of("bert").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    weights["bert.encoder.layer.1.attention.self.query.bias"] = torch.zeros(7)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"missing from its files.*query\.bias"):
        load_base(str(tmp_path), classes=CLASSES)


def test_an_old_classifier_in_the_files_is_ignored(tiny_of: Families, tmp_path: Path) -> None:
    old = AutoModelForSequenceClassification.from_pretrained(tiny_of("roberta"), num_labels=7)
    old.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((tiny_of("roberta") / name).read_bytes())
    model: Any = load_base(str(tmp_path), classes=CLASSES)
    assert model.classifier.out_proj.out_features == 3
    assert model.roberta.embeddings.word_embeddings.weight.equal(old.roberta.embeddings.word_embeddings.weight)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_decoder_knows_what_pads(tiny_of: Families, family: str) -> None:
    model = load_base(str(tiny_of(family)), classes=CLASSES)
    pad = load_tokenizer(str(tiny_of(family)), "classification").pad_token_id
    assert model.config.pad_token_id == pad == 3  # its end-of-text token, as it has no other
    rows = [[2, 5, 6, 7, 8], [2, 9]]
    ids = torch.tensor([rows[0], rows[1] + [pad] * 3])
    mask = torch.tensor([[1] * 5, [1, 1, 0, 0, 0]])
    with torch.no_grad():
        both = model(input_ids=ids, attention_mask=mask).logits
        alone = torch.cat([model(input_ids=torch.tensor([row])).logits for row in rows])
    assert both.allclose(alone, atol=1e-5)


def test_a_tokenizer_without_an_end_is_enough_for_a_head(tiny_of: Families) -> None:
    assert load_tokenizer(str(tiny_of("bert")), "classification").eos_token is None
    with pytest.raises(ModelError, match="no end-of-text token"):
        load_tokenizer(str(tiny_of("bert")))


def test_positions_that_are_never_reached_are_not_counted(tiny_of: Families) -> None:
    limits = {f: context_length(load_base(str(tiny_of(f)), classes=CLASSES)) for f in ("bert", "roberta", "llama")}
    assert limits == {"bert": 64, "roberta": 63, "llama": 64}
    ids = torch.full((1, 63), 7)
    model = load_base(str(tiny_of("roberta")), classes=CLASSES)
    with torch.no_grad():
        assert model(input_ids=ids).logits.isfinite().all()
        with pytest.raises(RuntimeError, match="out of bounds"):
            model(input_ids=torch.full((1, 64), 7))
