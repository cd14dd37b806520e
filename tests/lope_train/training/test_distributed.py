"""Two processes on CPUs, over gloo: the training of one, whether the model is copied (DDP) or sharded (FSDP)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from lope_train.errors import SettingsError
from lope_train.models import load_base
from lope_train.runs import RunFolder, load_adapter, load_run, newest_checkpoint
from lope_train.settings import TrainSettings, dump
from lope_train.training.run import train

Make = Callable[..., TrainSettings]
HERE = Path(__file__).parent
WRITTEN = {"adapter_config.json", "adapter_model.safetensors", "metrics.jsonl", "run.json", "settings.toml", "stage1"}


def launched(*command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(HERE.parents[2]), "OMP_NUM_THREADS": "1"}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    return subprocess.run([*launcher, *command], capture_output=True, text=True, timeout=200, env=environment)


def by_command(settings: TrainSettings) -> subprocess.CompletedProcess[str]:
    recipe = settings.out.with_suffix(".toml")
    recipe.parent.mkdir(parents=True, exist_ok=True)
    recipe.write_text(dump(settings))
    return launched("-m", "lope_train", "train", "--recipe", str(recipe))


def one_after_the_other(folder: Path, *runs: TrainSettings | tuple[TrainSettings, int]) -> None:
    """Runs in two processes; one with a number stops after that step."""
    pairs = [run if isinstance(run, tuple) else (run, None) for run in runs]
    entries = [settings.model_dump(mode="json") | {"stop": stop} for settings, stop in pairs]
    (folder / "runs.json").write_text(json.dumps(entries))
    done = launched(str(HERE / "several_processes.py"), str(folder / "runs.json"))
    assert done.returncode == 0, done.stderr


def steps(run: Path) -> list[tuple[str, dict[str, float]]]:
    """What metrics.jsonl says of each step: its stage, and its numbers."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    kept = ("step", "loss", "eval_loss", "grad_norm", "learning_rate")
    return [(line["stage"], {name: line[name] for name in kept if name in line}) for line in lines]


def assert_near(run: Path, expected: Path) -> None:
    """The same steps with the same losses, and the same adapter, up to 1e-5."""
    assert len(steps(run)) == len(steps(expected))
    for (stage, numbers), (other, others) in zip(steps(run), steps(expected), strict=True):
        assert stage == other
        assert numbers == pytest.approx(others, rel=1e-5, abs=1e-5)
    weights, expected_weights = (load_file(folder / "adapter_model.safetensors") for folder in (run, expected))
    assert weights.keys() == expected_weights.keys()
    for name, tensor in weights.items():
        torch.testing.assert_close(tensor, expected_weights[name], rtol=1e-5, atol=1e-5)


def uneven(make: Make, out: Path, **values: Any) -> TrainSettings:
    """Two passes of three steps a stage: ten rows a step, and four in the last."""
    return make(out, **{"batch_size": 10, "epochs": 2, "save_every": 2, **values})


@pytest.fixture(scope="module")
def alone(tiny_settings: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """lope's run in one process."""
    return train(uneven(tiny_settings, tmp_path_factory.mktemp("alone") / "run"))


@pytest.mark.parametrize("fsdp", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["ddp", "fsdp"])
def test_two_processes_train_what_one_does(fsdp: bool, tiny_settings: Make, alone: Path, tmp_path: Path) -> None:
    settings = uneven(tiny_settings, tmp_path / "run", fsdp=fsdp)
    done = by_command(settings)
    assert done.returncode == 0, done.stderr
    assert_near(settings.out, alone)
    assert {path.name for path in settings.out.iterdir()} == WRITTEN
    assert {path.name for path in tmp_path.iterdir()} == {"run", "run.toml"}
    assert done.stdout.splitlines()[0] == str(settings.out)
    assert len(done.stdout.splitlines()) == 3
    assert [line[:7] for line in done.stderr.splitlines() if ": tiny" in line] == ["stage I", "stage I"]
    assert done.stderr.count("step 12/12") == 1
    assert "Warning" not in done.stderr
    model, _ = load_run(settings.out)
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("fsdp", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["ddp", "fsdp"])
def test_two_processes_train_a_head_as_one_does(fsdp: bool, class_settings: Make, tmp_path: Path) -> None:
    def settings(name: str, **more: Any) -> TrainSettings:
        return class_settings(tmp_path / name, "llama", batch_size=10, save_every=2, held_out="topics-test", **more)

    done = by_command(settings("two", fsdp=fsdp))
    assert done.returncode == 0, done.stderr
    assert_near(tmp_path / "two", train(settings("one")))


@pytest.mark.slow
def test_two_processes_weigh_rows_as_one_does(
    class_settings: Make, weighted: Callable[..., None], tmp_path: Path
) -> None:
    labels = [("animal", "colour", "number")[number % 3] for number in range(24)]
    weighted(tmp_path / "store", "some", [float(number % 4) for number in range(24)], labels)

    def settings(name: str) -> TrainSettings:
        values: dict[str, Any] = {"store": tmp_path / "store", "data": "some", "method": "lora", "on": "noisy"}
        return class_settings(tmp_path / name, "llama", batch_size=10, epochs=2, **values)

    done = by_command(settings("two"))
    assert done.returncode == 0, done.stderr
    assert_near(tmp_path / "two", train(settings("one")))


def test_an_encoder_is_not_sharded(class_settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SettingsError, match="fsdp does not go with an encoder"):
        train(class_settings(tmp_path / "run", fsdp=True))


OPTIONS: dict[str, dict[str, Any]] = {
    "lora": {"method": "lora"},
    "hydralora": {"method": "hydralora"},
    "parts": {"batch_size": 20, "gradient_accumulation": 2, "epochs": 4},
    "packing": {"packing": True, "batch_size": 4},
    "neftune": {"embedding_scale": "neftune", "embedding_alpha": 5.0},
    "held-out": {"held_out": "tiny", "patience": 1, "epochs": 4},
    "recomputed": {"activation_checkpointing": True},
    "few-rows": {"batch_size": 48},
    "routed": {"route": "edits"},
    "routed-recomputed": {"route": "edits", "packing": True, "batch_size": 4, "activation_checkpointing": True},
    "stage-1-injected": {"stage1": "injected", "train_router": True},
    "gce": {"method": "lora", "loss": "gce"},
    "small-loss": {"loss": "small-loss", "noise_rate": 0.3},
    "small-loss-packed": {"method": "lora", "loss": "small-loss", "noise_rate": 0.3, "packing": True, "batch_size": 4},
}
COPIED = {method: {"method": method} for method in ("adalora", "prefix", "ptuning")}
CASES = [*(("ddp", name) for name in [*OPTIONS, *COPIED, "encoder-decoder"]), *(("fsdp", name) for name in OPTIONS)]


@pytest.fixture(scope="module")
def both(
    tiny_settings: Make, tiny_t5: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], tuple[Path, Path]]:
    """The runs of a case: in two processes, and in one."""
    folder = tmp_path_factory.mktemp("both")
    shutil.copytree(tiny_t5, folder / "t5")
    config = folder / "t5" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"dropout_rate": 0.0}))
    options = OPTIONS | COPIED | {"encoder-decoder": {"model": str(folder / "t5")}}
    for kind in ("ddp", "fsdp"):
        names = [name for sharded, name in CASES if sharded == kind]
        made = [uneven(tiny_settings, folder / kind / name, **options[name], fsdp=kind == "fsdp") for name in names]
        one_after_the_other(folder, *made)
    for name, values in options.items():
        train(uneven(tiny_settings, folder / "one" / name, **values))
    return lambda kind, name: (folder / kind / name, folder / "one" / name)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), CASES)
def test_with_other_options(kind: str, name: str, both: Callable[[str, str], tuple[Path, Path]]) -> None:
    assert_near(*both(kind, name))


@pytest.mark.slow
def test_a_run_goes_on_in_another_number_of_processes(
    tiny_settings: Make, alone: Path, tmp_path: Path, stop_after: Callable[[int, TrainSettings], None]
) -> None:
    """Stopped in either stage by two processes and gone on with by one, and the other way round."""
    of_one = [(uneven(tiny_settings, tmp_path / f"one-{stop}"), stop) for stop in (3, 11)]
    of_two = [(uneven(tiny_settings, tmp_path / f"two-{stop}"), stop) for stop in (3, 11)]
    for settings, stop in of_one:
        stop_after(stop, settings)
    one_after_the_other(tmp_path, *(settings for settings, _ in of_one), *of_two)
    for settings, stop in of_two:
        assert newest_checkpoint(RunFolder(settings.out).checkpoints(1 + (stop > 6))) is not None
        train(settings)
    for settings, _ in of_one + of_two:
        assert_near(settings.out, alone)


@pytest.mark.slow
def test_a_sharded_run_goes_on(tiny_settings: Make, alone: Path, tmp_path: Path) -> None:
    runs = [(uneven(tiny_settings, tmp_path / f"run-{stop}", fsdp=True), stop) for stop in (3, 11)]
    one_after_the_other(tmp_path, *((settings, stop) for settings, stop in runs), *(settings for settings, _ in runs))
    for settings, _ in runs:
        assert_near(settings.out, alone)


@pytest.mark.slow
def test_the_adapter_in_a_sharded_checkpoint_is_whole(tiny_settings: Make, tiny_model: Path, tmp_path: Path) -> None:
    checkpoints = []
    for fsdp in (False, True):
        settings = uneven(tiny_settings, tmp_path / f"{fsdp}", fsdp=fsdp)
        one_after_the_other(tmp_path, (settings, 5))
        checkpoints.append(newest_checkpoint(RunFolder(settings.out).checkpoints(1)))
    for checkpoint in checkpoints:
        assert checkpoint is not None
        assert checkpoint.name == "checkpoint-4"
        load_adapter(load_base(str(tiny_model)), checkpoint)
    copied, sharded = (load_file(checkpoint / "adapter_model.safetensors") for checkpoint in checkpoints if checkpoint)
    for name, tensor in copied.items():
        torch.testing.assert_close(sharded[name], tensor, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def nan_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has no number for `7`, which is in one row of `tiny`."""
    folder = tmp_path_factory.mktemp("models") / "nan"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny_model), AutoTokenizer.from_pretrained(tiny_model)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    with torch.no_grad():
        model.model.embed_tokens.weight[tokenizer.encode("7")[0]] = torch.nan
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def error_of(settings: TrainSettings) -> str:
    """The one line that two processes end with."""
    done = by_command(settings)
    assert done.returncode != 0
    assert done.stderr.count("exitcode  : 2 ") == 1  # torchrun's of the first to end, which ends the other
    assert "[rank" not in done.stderr  # what torch puts before a traceback
    assert done.stdout == ""
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


def test_a_loss_that_is_nan_in_one_process_ends_both(tiny_settings: Make, nan_model: Path, tmp_path: Path) -> None:
    settings = uneven(tiny_settings, tmp_path / "run", model=str(nan_model), method="lora", save_every=1)
    assert "the loss is nan on rows " in error_of(settings)


@pytest.mark.slow
@pytest.mark.parametrize("fsdp", [False, True], ids=["ddp", "fsdp"])
def test_the_rows_are_those_of_the_process_where_it_was(
    fsdp: bool, tiny_settings: Make, nan_model: Path, tmp_path: Path
) -> None:
    """Seeds under which row 1 is met by the first process and by the second."""
    for seed in (1, 2):
        settings = uneven(tiny_settings, tmp_path / f"{seed}", model=str(nan_model), seed=seed, fsdp=fsdp)
        rows = error_of(settings).partition("the loss is nan on rows ")[2].partition(";")[0].split(", ")
        assert "1" in rows
        assert len(rows) <= 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch_size": 7}, "batch_size 7 cannot be shared by 2 processes in 1 equal parts each"),
        ({"data": "nope"}, "no dataset 'nope'"),
        ({"lora_alpha": 10**38}, "stage I, step 1: the gradient is "),
        (
            {"fsdp": True, "method": "prefix"},
            "fsdp does not go with method 'prefix': it needs its adapter whole in every process",
        ),
    ],
)
def test_an_error_is_said_once(values: dict[str, Any], message: str, tiny_settings: Make, tmp_path: Path) -> None:
    settings = uneven(tiny_settings, tmp_path / "run").model_copy(update=values)  # which nothing has checked yet
    assert message in error_of(settings)


@pytest.mark.slow
def test_a_run_begun_otherwise_is_refused_once(
    tiny_settings: Make, tmp_path: Path, stop_after: Callable[[int, TrainSettings], None]
) -> None:
    settings = uneven(tiny_settings, tmp_path / "run")
    stop_after(3, settings)
    assert "learning_rate was 0.01, is 0.02" in error_of(settings.model_copy(update={"learning_rate": 0.02}))
    assert newest_checkpoint(RunFolder(settings.out).checkpoints(1)) is not None


@pytest.mark.parametrize(
    ("environment", "values", "message"),
    [
        ({"WORLD_SIZE": "4"}, {}, "batch_size 6 cannot be shared by 4 processes in 1 equal parts each"),
        ({"WORLD_SIZE": "2"}, {"gradient_accumulation": 6}, "cannot be shared by 2 processes in 6 equal parts each"),
        ({"WORLD_SIZE": "1"}, {"fsdp": True}, "fsdp shards the model over several processes, and this is one"),
        (
            {"WORLD_SIZE": "2"},
            {"fsdp": True, "method": "adalora"},
            "fsdp does not go with method 'adalora': it needs its adapter whole",
        ),
        ({"ACCELERATE_USE_FSDP": "true"}, {}, "accelerate was configured for fsdp"),
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, {}, "accelerate was configured for deepspeed"),
    ],
)
def test_what_the_processes_cannot_do_is_refused(
    environment: dict[str, str],
    values: dict[str, Any],
    message: str,
    tiny_settings: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=message):
        train(tiny_settings(tmp_path / "run", **values))
    assert not any(tmp_path.iterdir())


def test_an_encoder_decoder_is_not_sharded(
    tiny_settings: Make, tiny_t5: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SettingsError, match="fsdp does not go with an encoder-decoder"):
        train(tiny_settings(tmp_path / "run", model=str(tiny_t5), fsdp=True))
