"""The command line: what users type, and what they get where it is wrong: one line, exit code 2, nothing written."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from enum import EnumType
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple, get_args, get_origin

import pytest
import typer
from pydantic.fields import FieldInfo

from lope_train.cli import run as cli
from lope_train.cli.setting_options import flag
from lope_train.settings import TrainSettings


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

    def recipe(self, text: str) -> Path:
        path = self.folder / "recipe.toml"
        path.write_text(text)
        return path

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
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LOPE_STORE", str(tiny_store))
    monkeypatch.setenv("LOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    return Shell(capsys, folder, tiny_store, tiny_model)


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
    assert "chat with it: python -m lope_train generate run" in trained.err

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


def another(name: str, field: FieldInfo) -> Any:
    """A value for a setting that is not its default and contradicts no other."""
    chosen = {"method": "hydralora", "on": "noisy", "hynoise": "both", "batch_size": 6, "report_to": ("wandb",)}
    if name in chosen:
        return chosen[name]
    kinds = [kind for kind in get_args(field.annotation) if kind is not type(None)] or [field.annotation]
    if get_origin(kinds[0]) is Literal:
        kinds = [*get_args(kinds[0])]
    if isinstance(kinds[0], EnumType):
        kinds = [*kinds[0]]
    if isinstance(kinds[0], str):
        return next(word for word in kinds if word != field.default)
    if get_origin(kinds[0]) is tuple:
        return ("q_proj", "v_proj")
    if kinds[0] is bool:
        return not field.default
    if kinds[0] in (int, float):
        return (field.default or 0) + (1 if kinds[0] is int else 0.25)
    return kinds[0]("another")


OF_LOPE: dict[str, Any] = {"route": "edits", "stage1": "injected", "train_router": True}
OF_LOSS: dict[str, tuple[str, Any]] = {
    "gce_q": ("gce", 0.5),
    "transition": ("forward", Path("t.json")),
    "noise_rate": ("small-loss", 0.25),
    "warmup_epochs": ("small-loss", 2),
    "label_smoothing": ("cross-entropy", 0.25),
}


def words(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [flag(name) if value else flag(name).replace("--", "--no-")]
    return [word for one in (value if isinstance(value, tuple) else (value,)) for word in (flag(name), str(one))]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[TrainSettings]:
    """Settings that training was asked for; nothing is trained."""
    asked: list[TrainSettings] = []

    def record(settings: TrainSettings) -> Path:
        asked.append(settings)
        settings.out.mkdir(exist_ok=True)
        (settings.out / "run.json").write_text('{"head": "lm"}')
        return settings.out

    monkeypatch.setattr("lope_train.training.run.train", record)
    return asked


def test_every_setting_has_its_option(shell: Shell, seen: list[TrainSettings]) -> None:
    assert shell.train().code == 0
    given = {
        name: another(name, field)
        for name, field in TrainSettings.model_fields.items()
        # the last ones are not of another method, or of one loss each
        if name not in {"data", "model", "out", "stage2", "inference", *OF_LOPE, "loss", *OF_LOSS}
    }
    ran = shell.train(*(word for name, value in given.items() for word in words(name, value)))
    assert ran.code == 0, ran.err
    default, changed = seen
    assert default == TrainSettings(data="tiny-noisy", model=str(shell.model), out=Path("run"))
    for name, value in given.items():
        assert getattr(changed, name) == value != getattr(default, name), name
    assert shell.train("--stage2", "frozen", "--inference", "unmasked").code == 0
    assert (default.stage2, default.inference) == ("compensated", "compensated")
    assert (seen[-1].stage2, seen[-1].inference) == ("frozen", "unmasked")
    for name, (loss, value) in OF_LOSS.items():
        assert shell.train("--loss", loss, "--epochs", "3", flag(name), str(value)).code == 0
        assert (seen[-1].loss, getattr(seen[-1], name)) == (loss, value)
    for name, value in OF_LOPE.items():
        assert shell.train(*words(name, value)).code == 0
        assert getattr(seen[-1], name) == value != getattr(default, name)
    off = shell.train("--recipe", shell.recipe("truncate = true\n"), "--no-truncate")
    assert (off.code, seen[-1].truncate) == (0, False)


def test_every_option_says_its_default(shell: Shell) -> None:
    text = " ".join(shell("train", "--help").out.replace("\u2502", " ").split())
    for panel in ("Data and model", "Schedule", "Wrong labels", "Rows", "Adapter", "Embedding noise", "Machine"):
        assert f" {panel} " in text
    for name, field in TrainSettings.model_fields.items():
        assert f"{flag(name)} " in text
        assert field.description
        assert field.description in text
    for default in ("[default: 0.0002]", "[default: cosine]", "[default: 614]", "[default: false]"):
        assert default in text
    assert "cosine, linear or constant" in text
    assert "--lr " in text
    assert "--rank " in text


def test_a_recipe_is_overridden_by_what_is_typed(shell: Shell, seen: list[TrainSettings]) -> None:
    recipe = shell.recipe(f'data = "tiny"\nmodel = "{shell.model}"\nout = "there"\nr = 8\nepochs = 2\n')
    assert shell("train", "--recipe", recipe).code == 0
    assert shell("train", "--recipe", recipe, "--rank", "2", "--data", "tiny-noisy").code == 0
    assert [(one.data, one.r, one.epochs, one.out) for one in seen] == [
        ("tiny", 8, 2.0, Path("there")),
        ("tiny-noisy", 2, 2.0, Path("there")),
    ]


def test_short_forms(shell: Shell, seen: list[TrainSettings]) -> None:
    recipe = shell.recipe('method = "lora"\nepochs = 2\n')
    for typed in (
        ["--one-stage"],
        ["--one-stage", "--recipe", recipe, "--method", "hydralora"],
        ["--no-compensation"],
        ["--no-mask", "--inference", "unmasked"],
    ):
        ran = shell.train(*typed)
        assert ran.code == 0, ran.err
    first, second, third, fourth = seen
    assert (first.method, first.on, first.hynoise) == ("hydralora", "noisy", "both")
    assert second == first.model_copy(update={"epochs": 2.0})
    assert (third.inference, fourth.inference) == ("masked", "unmasked")


def test_get_model_that_is_there_says_so(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "cache/models/smollm2-135m"
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
        "import sys\nfrom lope_train.cli import run as cli\n"
        "try: cli.main(['--help'])\n"
        "finally: print([m for m in ('torch', 'transformers', 'datasets', 'peft') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "command", ["get-model", "train", "evaluate", "items", "score", "params", "generate", "export"]
)
def test_every_command_shows_examples(shell: Shell, command: str) -> None:
    assert command in shell("--help").out
    ran = shell(command, "--help")
    assert ran.code == 0
    assert ran.out.count(f"python -m lope_train {command}") >= 2
    groups = [line for line in ran.out.splitlines() if line.startswith("\u256d")]
    assert len(groups) >= 3  # Options is that of --help alone


def test_the_examples_of_the_verbs_are_taken(shell: Shell) -> None:
    """Parses each example without running it."""
    group: Any = typer.main.get_command(cli.app)
    for name, verb in group.commands.items():
        for line in verb.epilog.splitlines():
            if f"python -m lope_train {name}" in line:
                words = shlex.split(line.partition("[dim]")[0].partition(" < ")[0])
                assert verb.make_context(name, words[words.index(name) + 1 :]).params, line


# what is wrong


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "tiny-nois"], "no dataset 'tiny-nois'; did you mean 'tiny-noisy'?"),
        (["--data", "tiny@ffff"], "has no version 'ffff'"),
        (["--data", "../x"], "../x: not a version"),
        (["--data", ".."], "..: not a version"),
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
        (["--one-stage", "--method", "lope"], "--one-stage means --method hydralora, which contradicts --method lope"),
        (["--one-stage", "--on", "parent"], "which contradicts --on parent"),
        (["--no-mask", "--no-compensation"], "exclude each other"),
        (["--no-mask", "--inference", "masked"], "--no-mask means --inference unmasked, which contradicts"),
        (["--no-compensation", "--method", "lora"], "'lora' has no poisoning expert"),
        (["--no-mask", "--one-stage"], "'hydralora' has no poisoning expert"),
        (["--recipe", "nowhere.toml"], "nowhere.toml: no such recipe"),
    ],
)
def test_train_refuses(shell: Shell, arguments: list[str], message: str) -> None:
    given = ["--data", "tiny-noisy", "--model", str(shell.model), "--out", "run"]
    assert message in shell.refused("train", *given, *arguments)


def test_train_says_what_is_missing(shell: Shell) -> None:
    assert "missing: --data, --model, --out;" in shell.refused("train")
    recipe = shell.recipe('data = "tiny-noisy"\n')
    assert "missing: --model, --out;" in shell.refused("train", "--recipe", recipe)
    shell.recipe("epoch = 2\n")
    wrong = shell.refused("train", "--recipe", recipe)
    assert "recipe.toml: unknown setting 'epoch'; did you mean 'epochs'?" in wrong


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
        (["evaluate"], "nothing to evaluate: name the folder of at least one run, or a model with --base --model"),
        (["evaluate", "nowhere"], "nowhere: no such folder"),
        (["evaluate", "."], "no run.json"),
        (["evaluate", "run", "--dtype", "float16"], "runs are evaluated in the dtype they were trained with"),
        (["evaluate", "--base", "--model", "MODEL", "--dtype", "f16"], "no dtype 'f16'"),
        (["evaluate", "run", "--limit", "0"], "limit is 0"),
        (["evaluate", "run", "--limit", "x"], "Invalid value for '--limit'"),
        (["evaluate", "run", "--data", "tiny", "--noise", "tiny-noisy"], "text noise alone"),
        (["evaluate", "run", "--data", "../x"], "../x: not a version"),
        (["evaluate", "run"], "no dataset 'sample-heldout'"),
        (["evaluate", "run", "--tasks", "piqa", "--data-dir", "nowhere"], "no folder nowhere"),
        (["evaluate", "run", "--tasks", "piqa,winogrande", "--data-dir", "."], "piqa/valid.jsonl: no such file"),
        (
            ["evaluate", "run", "--tasks", "winogrande", "--data-dir", "."],
            "no task 'winogrande'; known: arc_easy, ",
        ),
        (["evaluate", "run", "--tasks", ",", "--data-dir", "."], "no dataset 'sample-heldout'"),
        (["get-model", "smolm2-135m"], "did you mean 'smollm2-135m'?"),
        (["get-model"], "Missing argument 'name'"),
        (["trian"], "Did you mean 'train'?"),
        (["params"], "Missing option '--model'"),
        (["params", "--model", "../x"], "no model folder at '../x'"),
        (["params", "--model", "run"], "not a model folder"),
        (["params", "--model", "MODEL", "--rank", "33"], "rank 33 is above the size of"),
        (["params", "--model", "MODEL", "--target-modules", "q_poj"], "nearest: q_proj"),
        (["params", "--model", "MODEL", "--num-poisoning", "4"], "at least one expert must be normal"),
        (["params", "--model", "MODEL", "--method", "lopee"], "'method' is 'lopee'"),
        (["generate"], "Missing argument 'RUN'"),
        (["generate", "nowhere", "--prompt", "Hi"], "nowhere: no such folder"),
        (["generate", "run", "--prompt", " "], "an empty prompt"),
        (["generate", "run", "--prompt", "Hi", "--temperature", "-1"], "--temperature is -1.0"),
        (["generate", "run", "--prompt", "Hi", "--inference", "mask"], "did you mean 'masked'?"),
        (["generate", "run", "--prompt", "Hi", "--base", "--inference", "masked"], "exclude each other"),
        (["export", "run"], "Missing option '--out'"),
        (["export", "nowhere", "--out", "share"], "nowhere: no such folder"),
        (["export", "run", "--out", "run"], "run: is not empty"),
        (["export", "run", "--out", "share", "--private"], "give --push USER/NAME"),
    ],
)
def test_other_commands_refuse(shell: Shell, arguments: list[str], message: str) -> None:
    run = shell.folder / "run"
    run.mkdir()
    (run / "adapter_config.json").write_text('{"peft_type": "LOPE"}')
    (run / "adapter_model.safetensors").write_bytes(b"")
    record = {"method": "lope", "model": str(shell.model), "settings": {}, "stages": []}
    (run / "run.json").write_text(json.dumps(record))
    assert message in shell.refused(*(str(shell.model) if word == "MODEL" else word for word in arguments))


def test_a_conversation_is_not_json(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    assert "--json needs --prompt" in shell.refused("generate", "run", "--json")


def test_an_interrupt_is_no_traceback(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lope_train.training.run.train", interrupt)
    ran = shell.train()
    assert (ran.code, ran.err) == (130, "interrupted; the same command resumes from its last checkpoint\n")
    monkeypatch.setattr("lope_train.models.get.get_model", interrupt)
    ran = shell("get-model", "smollm2-135m")
    assert (ran.code, ran.err) == (130, "interrupted; nothing half-written was kept\n")


def test_a_full_disk_is_no_traceback(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(settings: object) -> Path:
        raise OSError(28, "No space left on device", "run")

    monkeypatch.setattr("lope_train.training.run.train", fail)
    given = ["--data", "tiny-noisy", "--model", str(shell.model), "--out", "run"]
    assert shell.refused("train", *given) == "error: [Errno 28] No space left on device: 'run'\n"


def test_a_reader_that_has_gone_is_no_failure(tiny_model: Path) -> None:
    command = [sys.executable, "-m", "lope_train", "params", "--model", str(tiny_model), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
