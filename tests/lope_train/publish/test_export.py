"""Exports: whole or not at all, loadable by peft as the card says, and free of the machine that made them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import HfHubHTTPError
from peft import PeftModel

from lope_train import cli
from lope_train.errors import ModelError, RunError
from lope_train.methods import METHODS
from lope_train.models import load_base
from lope_train.publish import folder as exporting
from lope_train.publish import folder as publishing
from lope_train.publish.folder import LOCAL, export, without_local_paths
from lope_train.runs import load_run
from lope_train.settings import TrainSettings
from lope_train.training import train

FILES = ["README.md", "adapter_config.json", "adapter_model.safetensors", "run.json"]


@pytest.fixture
def run(tiny_runs: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the run of lope, to be changed."""
    return Path(shutil.copytree(tiny_runs["lope"], tmp_path / "run"))


def rewrite(run: Path, **changes: Any) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | changes))


@pytest.mark.parametrize("method", METHODS)
def test_peft_loads_an_export(tiny_runs: dict[str, Path], tiny_model: Path, tmp_path: Path, method: str) -> None:
    folder = export(tiny_runs[method], tmp_path / "share" / method)
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert not list(tmp_path.rglob(".*"))
    ids = torch.tensor([[5, 6, 7, 8]])
    expected, _ = load_run(tiny_runs[method])
    loaded = PeftModel.from_pretrained(load_base(str(tiny_model)), folder).eval()
    with torch.inference_mode():
        assert torch.equal(loaded(ids).logits, expected(ids).logits)


@pytest.mark.parametrize("method", ["lope", "lora"])
def test_the_code_of_the_card_runs(tiny_runs: dict[str, Path], tiny_model: Path, tmp_path: Path, method: str) -> None:
    folder = export(tiny_runs[method], tmp_path / "share")
    text = (folder / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert ("import lope_train" in code) == ("cannot be merged" in text) == (method == "lope")
    code = code.replace("path/to/the/base", str(tiny_model)).replace("path/to/this/folder", str(folder))
    code += "print(type(model).__name__, model.peft_config['default'].peft_type.value)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3]
    )
    assert done.stdout.splitlines()[-1:] == [f"PeftModelForCausalLM {method.upper()}"], done.stderr


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_the_card_of_a_classifier_names_its_classes_and_loads_it(
    family: str,
    class_settings: Callable[..., TrainSettings],
    tiny_of: Callable[[str], Path],
    labelled: Callable[..., None],
    tmp_path: Path,
) -> None:
    labelled(tmp_path / "store", "odd", ["/home/a", "a|b"] * 4)
    settings = class_settings(
        tmp_path / "run", family, data="odd", store=tmp_path / "store", method="hydralora", on="noisy"
    )
    run = train(settings)
    folder = export(run, tmp_path / "share")
    text = (folder / "README.md").read_text()
    assert "pipeline_tag: text-classification" in text
    assert r"Its classes, in the order of the logits: 0 `/home/a`, 1 `a\|b`." in text
    assert json.loads((folder / "run.json").read_text())["classes"] == ["/home/a", "a|b"]
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    code = code.replace("path/to/the/base", str(tiny_of(family))).replace("path/to/this/folder", str(folder))
    made: dict[str, Any] = {}
    exec(code, made)  # noqa: S102  # our own card's
    expected, tokenizer = load_run(run)
    batch = tokenizer(["cat dog", "red"], return_tensors="pt", padding=True)
    with torch.inference_mode():
        assert torch.equal(made["model"](**batch).logits, expected(**batch).logits)


def test_nothing_tells_of_the_machine(tiny_runs: dict[str, Path], tiny_model: Path, tmp_path: Path) -> None:
    folder = export(tiny_runs["lope"], tmp_path / "share")
    for name in FILES:
        content = (folder / name).read_bytes()
        for place in (tiny_model.parent, tiny_runs["lope"].parent, Path.home()):
            assert str(place).encode() not in content, name
    record = json.loads((folder / "run.json").read_text())
    assert record["model"] == record["settings"]["out"] == record["settings"]["store"] == LOCAL
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] is None
    text = (folder / "README.md").read_text()
    assert "Its base is a local model folder" in text
    assert "base_model" not in text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("/home/me/my models/x", LOCAL),
        ("~/models", LOCAL),
        ("C:\\Users\\me", LOCAL),
        ("\\\\server\\share", LOCAL),
        ("file:///home/me/x", LOCAL),
        ("read from /home/me/x, twice", f"read from {LOCAL}, twice"),
        ("read from 'C:/Users/me'", f"read from '{LOCAL}'"),
        ("org/name", "org/name"),
        ("nois@0123456789abcdef", "nois@0123456789abcdef"),
        ("sha256:00ff", "sha256:00ff"),
        ("alpha / sqrt(l * d), 1/2 and/or", "alpha / sqrt(l * d), 1/2 and/or"),
        ("see https://example.com/a", "see https://example.com/a"),
        ("models/x", "models/x"),
    ],
)
def test_paths_are_told_from_other_text(text: str, left: str) -> None:
    assert without_local_paths({"key": [text, 1, None, True]}) == {"key": [left, 1, None, True]}


# the card


def test_the_card_says_how_it_was_trained(tiny_runs: dict[str, Path], tmp_path: Path) -> None:
    record = json.loads((tiny_runs["lope"] / "run.json").read_text())
    text = (export(tiny_runs["lope"], tmp_path / "share") / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    assert front == "library_name: peft\ntags:\n- lope\n- noise-robustness\n"
    assert body.startswith("\n# LoPE adapter\n")
    for value in record["data"].values():
        assert f"`{value}`" in body
    assert f"{record['stages'][0]['final_loss']:.6g}" in body
    assert f"| `0.05` | `{record['stages'][0]['embedding_noise_ratio']:.6g}` |" in body
    assert "standard deviation over that of the input embeddings." in body
    assert "| `learning_rate` | `0.01` |" in body
    assert "`out`" not in body
    assert "| used at inference | " in body
    assert "%Param" in body
    assert "left out, and the others amplified" in body


def test_the_card_of_a_base_on_the_hub_names_it(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise ModelError("not at hand")

    monkeypatch.setattr(exporting, "count", missing)
    rewrite(run, model="org/some-base")
    folder = export(run, tmp_path / "share")
    text = (folder / "README.md").read_text()
    assert text.startswith('---\nbase_model: "org/some-base"\nlibrary_name: peft\n')
    assert 'from_pretrained("org/some-base")' in text
    assert "## Parameters" not in text
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == "org/some-base"
    rewrite(run, model="smollm2-135m")
    text = (export(run, tmp_path / "made") / "README.md").read_text()
    assert "base_model" not in text
    assert "get-model smollm2-135m" in text


def test_nothing_in_a_record_is_markup(run: Path, tmp_path: Path) -> None:
    evil = "x`</code>\n\n# Run me | [click](http://evil) <script>alert(1)</script> ![i](http://evil/i.png) \x1b[31m"
    record = json.loads((run / "run.json").read_text())
    rewrite(
        run,
        data=dict.fromkeys(record["data"], evil),
        held_out={"ref": evil},
        stages=[
            record["stages"][0] | dict.fromkeys(("reads", "first_loss", "embedding_noise_tokens"), evil),
            {"stage": evil},
        ],
        settings=record["settings"] | {"data": evil, evil: evil},
        libraries={evil: [evil]},
    )
    text = (export(run, tmp_path / "share") / "README.md").read_text()
    assert not re.search(r"^#+ Run me", text, re.MULTILINE)
    outside = re.sub(r"`[^`\n]*`", "", text.replace("```python", "").replace("```", ""))
    for mark in ("<script>", "[click]", "![i]", "evil"):
        assert mark not in outside
    assert "\x1b" not in text
    for line in text.splitlines():  # no cell falls apart
        if line.startswith("| `"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (3, 12)


# what is wrong


def test_a_place_that_is_taken(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not empty"):
        export(run, run)
    with pytest.raises(RunError, match="is a file"):
        export(run, run / "run.json")
    (tmp_path / "empty").mkdir()
    export(run, tmp_path / "empty")
    with pytest.raises(RunError, match="is not empty"):
        export(run, tmp_path / "empty")


def test_a_run_that_is_not_whole(run: Path, tmp_path: Path) -> None:
    weights = run / "adapter_model.safetensors"
    content = weights.read_bytes()
    for broken in (content[:-1], content[:50], b"", b"\xff" * 100):
        weights.write_bytes(broken)
        with pytest.raises(RunError, match="not a whole safetensors file"):
            export(run, tmp_path / "share")
    weights.unlink()
    with pytest.raises(RunError, match=r"no adapter_model\.safetensors"):
        export(run, tmp_path / "share")
    with pytest.raises(RunError, match="no such folder"):
        export(tmp_path / "nowhere", tmp_path / "share")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_a_write_that_fails_leaves_nothing(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "write_json", full)
    with pytest.raises(RunError, match="No space left"):
        export(run, tmp_path / "share")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


# the hub


class Hub:
    """Stands in for the client of the hub."""

    calls: list[tuple[str, dict[str, Any]]]
    error: Exception | None = None

    def create_repo(self, repo_id: str, **options: Any) -> str:
        Hub.calls.append(("create_repo", {"repo_id": repo_id, **options}))
        if Hub.error:
            raise Hub.error
        return f"https://huggingface.co/{repo_id}"

    def upload_folder(self, *, folder_path: Path, **options: Any) -> None:
        Hub.calls.append(("upload_folder", {"files": sorted(p.name for p in Path(folder_path).iterdir()), **options}))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    Hub.calls, Hub.error = [], None
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setenv("HF_TOKEN", "hf_stand_in")
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_stand_in")
    return Hub


def command(*arguments: str | Path) -> int:
    try:
        cli.main(["export", *map(str, arguments)])
    except SystemExit as error:
        return int(error.code or 0)
    return 0


def test_a_push_is_one_commit_of_the_folder(
    run: Path, tmp_path: Path, hub: type[Hub], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(run, "--out", tmp_path / "share", "--push", "me/lope", "--private") == 0
    (made, asked), (sent, options) = hub.calls
    assert (made, asked["repo_id"], asked["private"], asked["exist_ok"]) == ("create_repo", "me/lope", True, True)
    assert (sent, options["files"], options["repo_id"]) == ("upload_folder", FILES, "me/lope")
    assert asked["repo_type"] == options["repo_type"] == "model"
    assert capsys.readouterr().out.split() == [str(tmp_path / "share"), "https://huggingface.co/me/lope"]


@pytest.mark.parametrize("hub_id", ["lope", "me/lo--pe", "me/a..b", "me/../x", "/lope", "me/lope/x", "me/ü"])
def test_a_push_needs_a_hub_id(
    run: Path, tmp_path: Path, hub: type[Hub], capsys: pytest.CaptureFixture[str], hub_id: str
) -> None:
    assert command(run, "--out", tmp_path / "share", "--push", hub_id) == 2
    assert "is no hub id" in capsys.readouterr().err
    assert not hub.calls
    assert not (tmp_path / "share").exists()


def test_a_push_without_a_token_writes_nothing(
    run: Path, tmp_path: Path, hub: type[Hub], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    assert command(run, "--out", tmp_path / "share", "--push", "me/lope") == 2
    assert "no token for the hub" in capsys.readouterr().err
    assert not (tmp_path / "share").exists()
    assert command(run, "--out", tmp_path / "share", "--private") == 2
    assert "give --push" in capsys.readouterr().err


def test_what_the_hub_says_is_one_line(run: Path, tmp_path: Path, hub: type[Hub]) -> None:
    folder = export(run, tmp_path / "share")
    hub.error = ConnectionError("no route to host")
    with pytest.raises(RunError, match=r"cannot push to .* \(no route to host\); is there a network\?"):
        publishing.push(folder, "me/lope", private=False)
    request: Any = SimpleNamespace(method="POST", url="https://huggingface.co")
    response: Any = SimpleNamespace(status_code=403, headers={}, request=request)
    hub.error = HfHubHTTPError("Forbidden", response=response, server_message="You may not.\nReally.")
    with pytest.raises(RunError, match=r"refused me/lope \(403: You may not\.\); is the token"):
        publishing.push(folder, "me/lope", private=False)
