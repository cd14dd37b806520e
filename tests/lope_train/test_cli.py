"""The command line: what users type, and what they get where it is wrong: one line, exit code 2, nothing written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from lope_train import cli


class Ran(NamedTuple):
    code: int
    out: str
    err: str


class Shell:
    """Runs commands in this process, in an empty folder, with the tiny store and model at hand."""

    def __init__(self, capsys: pytest.CaptureFixture[str], folder: Path, store: Path, model: Path) -> None:
        self._capsys, self.folder, self.store, self.model = capsys, folder, store, model

    def __call__(self, *arguments: str | Path) -> Ran:
        code = 0
        try:
            cli.main([str(argument) for argument in arguments])
        except SystemExit as error:
            code = int(error.code or 0)
        out, err = self._capsys.readouterr()
        return Ran(code, out, err)

    def train(self, *arguments: str | Path) -> Ran:
        given = ["--data", "tiny-noisy", "--model", self.model, "--out", "run"]
        return self("train", *given, *arguments)

    def refused(self, *arguments: str | Path) -> str:
        """The one line that a refusal prints."""
        before = sorted(self.folder.rglob("*"))
        ran = self(*arguments)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("error: ")
        assert ran.err.count("\n") == 1
        assert sorted(self.folder.rglob("*")) == before
        return ran.err


@pytest.fixture
def shell(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tiny_store: Path,
    tiny_model: Path,
) -> Shell:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOPE_STORE", str(tiny_store))
    monkeypatch.setenv("LOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    return Shell(capsys, tmp_path, tiny_store, tiny_model)


# what works


def test_train_then_evaluate(shell: Shell) -> None:
    trained = shell.train("--lr", "0.01", "--batch-size", "8", "--json")
    assert trained.code == 0, trained.err
    record = json.loads(trained.out.splitlines()[-1])
    assert record["path"] == "run"
    assert record["evaluate"] == "python -m lope_train evaluate run"
    assert record["settings"]["learning_rate"] == 0.01
    assert (shell.folder / "run/adapter_model.safetensors").is_file()
    assert "evaluate it with: python -m lope_train evaluate run" in trained.err

    found = shell("evaluate", "run", "--data", "tiny", "--base", "--limit", "7", "--json")
    assert found.code == 0, found.err
    report = json.loads(found.out)
    assert found.out.count("\n") == 1
    modes = [(result["method"], result["mode"]) for result in report["results"]]
    assert modes == [
        ("base", "none"),
        ("lope", "masked + compensated"),
        ("lope", "masked"),
        ("lope", "not masked"),
    ]
    assert {result["items"] for result in report["results"]} == {7}

    table = shell("evaluate", "run", "--data", "tiny")
    assert "masked + compensated" in table.out
    assert "chance" in table.out
    assert "tiny: not evaluated: 14 rows without options" in table.out


def test_every_option_of_train_reaches_the_settings(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    from lope_train import trainer
    from lope_train.settings import TrainSettings

    seen: list[TrainSettings] = []

    def record(settings: TrainSettings) -> Path:
        seen.append(settings)
        return settings.out

    monkeypatch.setattr(trainer, "train", record)
    assert shell.train().code == 0
    given = {
        "method": "hydralora",
        "store": "somewhere",
        "on": "noisy",
        "epochs": 2.5,
        "lr": 0.001,
        "batch-size": 3,
        "max-length": 99,
        "warmup": 0.1,
        "weight-decay": 0.2,
        "schedule": "linear",
        "seed": 1,
        "rank": 8,
        "lora-alpha": 16,
        "lora-dropout": 0.3,
        "target-modules": "q_proj",
        "num-experts": 6,
        "num-poisoning": 2,
        "router-input": "hidden",
        "embedding-alpha": 0.4,
        "dtype": "bfloat16",
    }
    flags = [part for key, value in given.items() for part in (f"--{key}", str(value))]
    assert shell.train(*flags, "--target-modules", "v_proj").code == 0
    default, changed = seen
    assert default == TrainSettings(data="tiny-noisy", model=str(shell.model), out=Path("run"))
    names = {"lr": "learning_rate", "rank": "r"}
    for key, value in given.items():
        found = getattr(changed, names.get(key, key.replace("-", "_")))
        expected = {"store": Path("somewhere"), "target-modules": ("q_proj", "v_proj")}.get(key, value)
        assert found == expected, key
    # every setting has its option
    assert all(
        getattr(default, name) != getattr(changed, name)
        for name in TrainSettings.model_fields
        if name not in {"data", "model", "out"}
    )


def test_get_model_that_is_there_says_so(shell: Shell) -> None:
    folder = shell.folder / "cache/models/smollm2-135m"
    shutil.copytree(shell.model, folder)
    ran = shell("get-model", "smollm2-135m")
    assert (ran.code, ran.out) == (0, f"{folder}\n")
    assert "already at" in ran.err
    as_json = shell("get-model", "smollm2-135m", "--json")
    assert json.loads(as_json.out) == {"name": "smollm2-135m", "path": str(folder)}


def test_help_is_shown_without_arguments_and_needs_no_torch(shell: Shell) -> None:
    bare = shell()
    assert bare.code == 2
    assert "Usage" in bare.out + bare.err
    assert "error:" not in bare.err
    check = (
        "import sys\nfrom lope_train import cli\n"
        "try: cli.main(['--help'])\n"
        "finally: print([m for m in ('torch', 'transformers', 'datasets', 'peft') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", ["get-model", "train", "evaluate"])
def test_every_command_shows_examples(shell: Shell, command: str) -> None:
    ran = shell(command, "--help")
    assert ran.code == 0
    assert f"python -m lope_train {command}" in ran.out
    assert "NAME[@VERSION]" in ran.out or command == "get-model"


# what is wrong


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "tiny-nois"], "no dataset 'tiny-nois'; did you mean 'tiny-noisy'?"),
        (["--data", "tiny@ffff"], "has no version 'ffff'"),
        (["--data", "../x"], "../x: not a version"),
        (["--data", ".."], "not a dataset reference"),
        (["--data", "tiny"], "has no parent"),
        (["--store", "nowhere"], "no store at nowhere"),
        (["--model", "./nowhere"], "no model folder at './nowhere'"),
        (["--model", "../x"], "no model folder at '../x'"),
        (["--model", "smollm2-135m"], "get it with `python -m lope_train get-model smollm2-135m`"),
        (["--method", "lopee"], "'method'"),
        (["--method", "lope", "--on", "noisy"], "one-stage methods"),
        (["--lr", "nan"], "'learning_rate' is nan"),
        (["--lr", "-1"], "'learning_rate' is -1.0"),
        (["--lr", "inf"], "'learning_rate' is inf"),
        (["--lr", "abc"], "Invalid value for '--lr'"),
        (["--epochs", "0"], "'epochs' is 0.0"),
        (["--rank", "0"], "'r' is 0"),
        (["--seed", "-1"], "'seed' is -1"),
        (["--embedding-alpha", "nan"], "'embedding_alpha' is nan"),
        (["--num-experts", "1"], "at least one expert must be normal"),
        (["--max-length", "8"], "nothing to train on"),
        (["--target-modules", "no_such_proj"], "no_such_proj"),
        (["--dtype", "int8"], "'dtype' is 'int8'"),
        (["--ratio", "0.2"], "No such option: --ratio"),
    ],
)
def test_train_refuses(shell: Shell, arguments: list[str], message: str) -> None:
    given = ["--data", "tiny-noisy", "--model", str(shell.model), "--out", "run"]
    assert message in shell.refused("train", *given, *arguments)


def test_train_refuses_a_folder_without_weights_and_a_taken_run(shell: Shell) -> None:
    empty = shell.folder / "model"
    shutil.copytree(shell.model, empty)
    (empty / "model.safetensors").unlink()
    given = ["train", "--data", "tiny-noisy", "--out", "run"]
    assert "a model folder without weights" in shell.refused(*given, "--model", empty)
    (shell.folder / "run").mkdir()
    (shell.folder / "run/notes.txt").write_text("mine")
    assert "run" in shell.refused(*given, "--model", shell.model)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate"], "Missing argument 'RUN...'"),
        (["evaluate", "nowhere"], "nowhere: no such folder"),
        (["evaluate", "."], "no run.json"),
        (["evaluate", "run", "--limit", "0"], "limit is 0"),
        (["evaluate", "run", "--limit", "x"], "Invalid value for '--limit'"),
        (["evaluate", "run", "--data", "tiny", "--noise", "tiny-noisy"], "text noise alone"),
        (["evaluate", "run", "--data", "../x"], "../x: not a version"),
        (["evaluate", "run"], "no dataset 'sample-heldout'"),
        (["evaluate", "run", "--tasks", "piqa"], "--data-dir"),
        (["evaluate", "run", "--tasks", "piqa", "--data-dir", "nowhere"], "no folder nowhere"),
        (["evaluate", "run", "--tasks", "piqa,winogrande", "--data-dir", "."], "piqa/valid.jsonl: no such file"),
        (
            ["evaluate", "run", "--tasks", "winogrande", "--data-dir", "."],
            "no task 'winogrande'; known: arc_easy, piqa",
        ),
        (["evaluate", "run", "--tasks", ",", "--data-dir", "."], "no dataset 'sample-heldout'"),
        (["get-model", "smolm2-135m"], "did you mean 'smollm2-135m'?"),
        (["get-model"], "Missing argument 'name'"),
        (["trian"], "Did you mean 'train'?"),
    ],
)
def test_other_commands_refuse(shell: Shell, arguments: list[str], message: str) -> None:
    run = shell.folder / "run"
    run.mkdir()
    (run / "adapter_config.json").write_text("{}")
    (run / "adapter_model.safetensors").write_bytes(b"")
    record = {"method": "lope", "model": str(shell.model), "settings": {}}
    (run / "run.json").write_text(json.dumps(record))
    assert message in shell.refused(*arguments)


def test_an_interrupt_is_no_traceback(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    from lope_train import trainer

    def interrupt(settings: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "train", interrupt)
    ran = shell.train()
    assert (ran.code, ran.err) == (130, "interrupted; nothing half-written was kept\n")


def test_a_full_disk_is_no_traceback(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    from lope_train import trainer

    def fail(settings: object) -> Path:
        raise OSError(28, "No space left on device", "run")

    monkeypatch.setattr(trainer, "train", fail)
    given = ["--data", "tiny-noisy", "--model", str(shell.model), "--out", "run"]
    assert shell.refused("train", *given) == "error: [Errno 28] No space left on device: 'run'\n"
