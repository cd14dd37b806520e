"""Parameters counted from a config alone: the paper's %Param, and the true numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig, T5Config

from lope_train import cli
from lope_train.errors import LopeTrainError
from lope_train.inspection.parameters import Count, count
from lope_train.methods import METHODS
from lope_train.models import load_base
from lope_train.settings import TrainSettings

LLAMA_2_7B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "vocab_size": 32000,
    "tie_word_embeddings": False,
}


def counted(model: Path | str, **values: Any) -> Count:
    return count(TrainSettings.model_validate({"data": "none", "out": "none", "model": str(model), **values}))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with LLaMA-2-7B's config, and nothing else."""
    folder = tmp_path_factory.mktemp("llama-2-7b")
    (folder / "config.json").write_text(json.dumps(LLAMA_2_7B))
    return folder


@pytest.mark.parametrize(
    ("values", "percent"),
    [
        ({"method": "lora", "r": 2}, 0.0156),
        ({"method": "lora", "r": 4}, 0.031),
        ({"method": "adalora", "r": 2}, 0.023),
        ({"method": "hydralora", "num_experts": 3, "r": 2}, 0.031),
        ({"method": "hydralora", "num_experts": 3, "r": 4}, 0.062),
        ({"method": "hydralora", "num_experts": 3, "r": 8}, 0.124),
        ({"method": "lope", "num_experts": 4, "r": 4}, 0.062),
        ({"method": "lope", "num_experts": 3, "r": 4}, 0.047),
        ({"method": "lope", "num_experts": 4, "r": 8}, 0.124),
    ],
)
def test_the_paper_s_column(llama: Path, values: dict[str, Any], percent: float) -> None:
    found = counted(llama, **values)
    assert found.total == 6_738_415_616
    assert found.paper_percent == pytest.approx(percent, abs=0.001)


def test_lope_in_full(llama: Path) -> None:
    A, B, layers = 4 * 4096, 4096 * 4, 2 * 32
    found = counted(llama)
    assert found.adapter == {"A": A * layers, "B_poison": B * layers, "router": 4 * 4 * layers, "B": 3 * B * layers}
    assert found.trainable_by_stage == {
        "stage I": (A + B) * layers,
        "stage II": (A + 3 * B + 16) * layers,
    }
    assert found.trainable == sum(found.adapter.values())
    assert found.inference == (A + 3 * B) * layers
    assert found.trainable_percent == pytest.approx(100 * found.trainable / found.total)
    assert counted(llama, router_input="hidden").adapter["router"] == 4 * 4096 * layers
    assert counted(llama, target_modules=("o_proj",)).adapter["A"] == A * 32


def test_prompts(llama: Path) -> None:
    prefix = counted(llama, method="prefix", num_virtual_tokens=7)
    assert prefix.inference == prefix.trainable == 7 * 32 * 2 * 4096
    ptuning = counted(llama, method="ptuning", num_virtual_tokens=7)
    assert ptuning.inference == 7 * 4096
    assert ptuning.trainable > ptuning.inference


@pytest.mark.parametrize("method", METHODS)
def test_the_count_is_that_of_the_real_model(tiny_model: Path, method: str) -> None:
    found = counted(tiny_model, method=method)
    base = load_base(str(tiny_model))
    assert base.config.tie_word_embeddings
    assert found.total == base.num_parameters()
    settings = TrainSettings.model_validate({"data": "x", "out": "x", "model": str(tiny_model), "method": method})
    model = METHODS[settings.method].attach(base, settings, steps=10)
    assert found.trainable_by_stage == {stage.name: METHODS[method].enter(model, stage) for stage in settings.stages}


@pytest.mark.parametrize("method", METHODS)
def test_an_encoder_decoder(tmp_path: Path, method: str) -> None:
    T5Config(d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, vocab_size=100).save_pretrained(tmp_path)
    found = counted(tmp_path, method=method)
    assert found.inference > 0
    if method == "lora":  # encoder, decoder and its cross-attention: 2 layers each, q and v
        assert found.inference == 2 * 4 * 32 * 2 * 3 * 2


def test_json_and_table(llama: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    asked = ["params", "--model", str(llama), "--method", "lope", "--rank", "8", "--num-experts", "3"]
    cli.main([*asked, "--json"])
    record = json.loads(capsys.readouterr().out)
    assert list(record) == [
        "model",
        "method",
        "total",
        "adapter",
        "trainable",
        "trainable_by_stage",
        "inference",
        "paper_percent",
        "trainable_percent",
    ]
    assert (record["model"], record["method"], record["total"]) == (str(llama), "lope", 6_738_415_616)
    cli.main(asked)
    table = capsys.readouterr().out
    for number in (record["total"], record["trainable"], record["inference"], *record["adapter"].values()):
        assert f"{number:,}" in table
    assert "stage II" in table
    assert f"{record['paper_percent']:.4f}" in table


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"r": 5000}, "rank 5000 is above the size of"),
        ({"method": "adalora", "r": 4000}, "rank 6000 is above the size of"),
        ({"target_modules": ("q_poj",)}, "target module 'q_poj' matches no linear layer; nearest: q_proj"),
        ({"num_poisoning": 4}, "at least one expert must be normal"),
    ],
)
def test_what_does_not_fit(llama: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(LopeTrainError) as raised:
        counted(llama, **values)
    assert message in str(raised.value)


def test_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(LopeTrainError, match=r"no config\.json"):
        counted(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(LopeTrainError, match="no model can be made of its config"):
        counted(tmp_path)
    AutoConfig.for_model("vit").save_pretrained(tmp_path)
    with pytest.raises(LopeTrainError, match="no model can be made of its config"):
        counted(tmp_path)
