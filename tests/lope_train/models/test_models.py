"""A model's name leads to the cache, a folder or a hub; what is no model in safetensors is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lope_train.errors import ModelError
from lope_train.inspection import count
from lope_train.models import load as models
from lope_train.settings import TrainSettings


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def test_a_folder_is_loaded_in_the_dtype_asked_for(tiny_model: Path) -> None:
    model = models.load_base(str(tiny_model))
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert not model.training
    assert {p.dtype for p in models.load_base(str(tiny_model), "bfloat16").parameters()} == {torch.bfloat16}
    with pytest.raises(ModelError, match="no dtype 'float23'; did you mean 'float32'"):
        models.load_base(str(tiny_model), "float23")


def test_the_alias_leads_to_the_cache(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOPE_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="`python -m lope_train get-model smollm2-135m`"):
        models.resolve_model("smollm2-135m")
    shutil.copytree(tiny_model, tmp_path / "models/smollm2-135m")
    assert models.resolve_model("smollm2-135m") == str(tmp_path / "models/smollm2-135m")


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOPE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert models.cache_folder() == Path.home() / ".cache/lope"
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert models.cache_folder() == Path("/x/lope")


def test_a_hub_id_is_passed_through_where_the_hub_cache_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    snapshot = tmp_path / "models--some--model/snapshots/abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs/main").write_text("abc")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert models.resolve_model("some/model") == "some/model"


@pytest.mark.parametrize("name", ["smollm2-135", "some/model"])
def test_what_no_hub_gives_is_one_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=f"no model {name!r}: there is no such folder, and the hub") as caught:
        models.resolve_model(name)
    assert ("did you mean 'smollm2-135m'" in str(caught.value)) == (name == "smollm2-135")


@pytest.mark.parametrize("name", ["", "./nowhere", "/no/such/folder", "a/b/c", "../x", "a b", "https://x.y/z"])
def test_names_that_are_neither_folder_nor_hub_id(name: str) -> None:
    with pytest.raises(ModelError, match="no model folder at"):
        models.resolve_model(name)


def test_a_folder_without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"a model folder without weights \(no \*\.safetensors there\)"):
        models.resolve_model(str(folder))


def test_a_folder_with_pickled_weights_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model\.bin is a pickle file"):
        models.load_base(str(folder))


def test_a_folder_without_config(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"not a model folder \(no config\.json there\)"):
        models.resolve_model(str(folder))


@pytest.mark.parametrize("text", ["{", "{}", '{"model_type": "no-such-model"}'])
def test_a_config_that_is_none(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelError, match="cannot be loaded from"):
        models.load_base(str(folder))


def test_weights_that_are_none_or_missing_in_part(folder: Path) -> None:
    file = folder / "model.safetensors"
    weights = load_file(file)
    dropped = "model.layers.1.self_attn.q_proj.weight"
    save_file({k: v for k, v in weights.items() if k != dropped}, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=f"1 weights are missing from its files, first '{dropped}'"):
        models.load_base(str(folder))
    file.write_bytes(b"not safetensors")
    with pytest.raises(ModelError, match="cannot be loaded from"):
        models.load_base(str(folder))


def test_code_in_a_model_folder_is_never_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "evil.py").write_text("raise SystemExit('ran')\n")
    config = {"model_type": "evil", "auto_map": dict.fromkeys(("AutoConfig", "AutoModelForCausalLM"), "evil.Evil")}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(json.dumps({"auto_map": {"AutoTokenizer": ["evil.Evil", None]}}))
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    for load in (
        models.load_base,
        models.load_tokenizer,
        lambda name: count(TrainSettings(data="x", model=name, out=Path("x"))),
    ):
        with pytest.raises(ModelError):
            load(str(folder))


def test_a_tokenizer_without_pad_token_pads_with_its_end_of_text(folder: Path) -> None:
    kept = models.load_tokenizer(str(folder))
    assert (kept.pad_token, kept.padding_side) == ("<pad>", "right")
    kept.pad_token = None
    kept.padding_side = "left"
    kept.save_pretrained(folder)
    tokenizer = models.load_tokenizer(str(folder))
    assert (tokenizer.pad_token, tokenizer.padding_side) == ("</s>", "right")
    kept.eos_token = None
    kept.save_pretrained(folder)
    with pytest.raises(ModelError, match="no end-of-text token"):
        models.load_tokenizer(str(folder))


def test_a_folder_without_tokenizer(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ModelError, match=r"\(tokenizer\)': cannot be loaded"):
        models.load_tokenizer(str(folder))
