"""A run that is stopped anywhere goes on, and ends in the same weights bit for bit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from lope_train.errors import RunError
from lope_train.methods import METHODS
from lope_train.runs import RunFolder, newest_checkpoint
from lope_train.settings import TrainSettings, dump
from lope_train.training.run import train

Make = Callable[..., TrainSettings]
Stop = Callable[[int, TrainSettings], None]
ROOT = Path(__file__).parents[3]


class Stopped(BaseException):
    """Stands for a kill: nothing catches it."""


def same(a: Path, b: Path) -> bool:
    first, second = (load_file(run / "adapter_model.safetensors") for run in (a, b))
    return first.keys() == second.keys() and all(first[name].equal(second[name]) for name in first)


def losses(run: Path) -> list[tuple[str, Any, Any]]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [(line["stage"], line["step"], line["loss"]) for line in lines if "loss" in line]


def many(make: Make, out: Path, **values: Any) -> TrainSettings:
    """Two passes of four steps a stage, with dropout, a checkpoint every other step."""
    return make(out, epochs=2, lora_dropout=0.1, save_every=2, **values)


@pytest.fixture(scope="module")
def whole(tiny_settings: Make, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("whole")
    return {method: train(many(tiny_settings, folder / method, method=method)) for method in METHODS}


SOME = (3, 8, 9, 16)


@pytest.mark.parametrize(
    "steps", [step if step in SOME else pytest.param(step, marks=pytest.mark.slow) for step in range(1, 17)]
)
def test_lope_stopped_at_any_step_of_either_stage(
    steps: int,
    tiny_settings: Make,
    whole: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    stop_after: Stop,
) -> None:
    settings = many(tiny_settings, tmp_path / "run")
    stop_after(steps, settings)
    assert not settings.out.exists()
    train(settings)
    assert same(settings.out, whole["lope"])
    assert losses(settings.out) == losses(whole["lope"])
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    said = capsys.readouterr().err
    assert ("going on after step" in said) == (steps % 8 > 2 or steps % 8 == 0)
    assert ("stage I: was done before" in said) == (steps > 8)


@pytest.mark.parametrize("method", [method for method in METHODS if method != "lope"])
@pytest.mark.parametrize("steps", [5])
def test_every_method_goes_on(
    method: str, steps: int, tiny_settings: Make, whole: dict[str, Path], tmp_path: Path, stop_after: Stop
) -> None:
    settings = many(tiny_settings, tmp_path / "run", method=method)
    stop_after(steps, settings)
    train(settings)
    assert same(settings.out, whole[method])


def test_stopped_again_and_again(tiny_settings: Make, whole: dict[str, Path], tmp_path: Path, stop_after: Stop) -> None:
    settings = many(tiny_settings, tmp_path / "run")
    for _ in range(3):
        stop_after(3, settings)
    assert same(train(settings), whole["lope"])


@pytest.mark.parametrize(
    ("options", "steps"),
    [({"gradient_accumulation": 2}, 2), ({"packing": True}, 2), ({"held_out": "tiny", "lora_dropout": 0.1}, 14)],
)
def test_with_other_options(
    options: dict[str, Any], steps: int, tiny_settings: Make, tmp_path: Path, stop_after: Stop
) -> None:
    values: dict[str, Any] = {"epochs": 3, "save_every": 1, **options}
    settings = tiny_settings(tmp_path / "run", **values)
    stop_after(steps, settings)
    assert same(train(settings), train(tiny_settings(tmp_path / "whole", **values)))


def test_with_early_stopping(tiny_settings: Make, tmp_path: Path, stop_after: Stop) -> None:
    values: dict[str, Any] = {"method": "lora", "held_out": "tiny", "patience": 2, "save_every": 2, "epochs": 30}
    values |= {"learning_rate": 0.3, "schedule": "constant"}
    whole = train(tiny_settings(tmp_path / "whole", **values))
    steps = len(losses(whole))
    assert steps < 120
    for number in (steps - 3, steps - 1):
        settings = tiny_settings(tmp_path / str(number), **values)
        stop_after(number, settings)
        train(settings)
        assert same(settings.out, whole)
        assert losses(settings.out) == losses(whole)


@pytest.mark.parametrize("values", [{"epochs": 0.5, "save_every": 1}, {"epochs": 2, "held_out": "tiny"}])
def test_stopped_between_the_last_step_and_the_result(
    values: dict[str, Any], tiny_settings: Make, tmp_path: Path
) -> None:
    values = {"method": "adalora", "schedule": "constant", **values}
    settings = tiny_settings(tmp_path / "run", **values)

    def stops(*_: object) -> None:
        raise Stopped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lope_train.training.stage._leave_result", stops)
        with pytest.raises(Stopped):
            train(settings)
    whole = train(tiny_settings(tmp_path / "whole", **values))
    assert same(train(settings), whole)
    assert losses(settings.out) == losses(whole)


def test_a_damaged_result_is_made_again(
    tiny_settings: Make, whole: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], stop_after: Stop
) -> None:
    settings = many(tiny_settings, tmp_path / "run")
    stop_after(11, settings)
    weights = RunFolder(settings.out).result(1) / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert same(train(settings), whole["lope"])
    assert "was done before" not in capsys.readouterr().err


def test_a_place_that_is_taken_meanwhile_loses_nothing(
    tiny_settings: Make, whole: dict[str, Path], tmp_path: Path
) -> None:
    settings = many(tiny_settings, tmp_path / "run")
    finish = RunFolder.finish

    def taken(self: RunFolder) -> Path:
        settings.out.mkdir()
        (settings.out / "log.txt").write_text("mine")
        return finish(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "finish", taken)
        with pytest.raises(RunError, match=r"cannot be written: .*not empty"):
            train(settings)
    shutil.rmtree(settings.out)
    assert same(train(settings), whole["lope"])


def test_the_working_folder_is_no_place(tiny_settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="is the working folder"):
        train(tiny_settings(Path()))


def test_who_comes_second_takes_nothing_away(tmp_path: Path) -> None:
    first, second = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "run")
    plan = {"settings": {}}
    with first.opened(plan, main=True):
        with pytest.raises(RunError, match="another process"), second.opened(plan, main=True):
            pass
        assert (first.path / "plan.json").is_file()
    assert not first.path.exists()


def test_a_damaged_checkpoint_is_passed_over(
    tiny_settings: Make, whole: dict[str, Path], tmp_path: Path, stop_after: Stop
) -> None:
    settings = many(tiny_settings, tmp_path / "run")
    stop_after(7, settings)
    checkpoints = RunFolder(settings.out).checkpoints(1)
    last = newest_checkpoint(checkpoints)
    assert last is not None
    assert last.name == "checkpoint-6"
    weights = last / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    before = newest_checkpoint(checkpoints)
    assert before is not None
    assert before.name == "checkpoint-4"
    (before / "optimizer.pt").unlink()
    assert newest_checkpoint(checkpoints) is None
    assert same(train(settings), whole["lope"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": 0.02}, r"learning_rate was 0\.01, is 0\.02"),
        ({"method": "hydralora"}, "method was 'lope', is 'hydralora'"),
        ({"held_out": "tiny"}, "held_out was None"),
    ],
)
def test_another_run_does_not_go_on_with_it(
    values: dict[str, Any], message: str, tiny_settings: Make, tmp_path: Path, stop_after: Stop
) -> None:
    settings = many(tiny_settings, tmp_path / "run")
    stop_after(3, settings)
    with pytest.raises(RunError, match=f"a run begun otherwise is in .*{message}"):
        train(settings.model_copy(update=values))
    assert newest_checkpoint(RunFolder(settings.out).checkpoints(1)) is not None


def test_another_model_does_not_go_on_with_it(
    tiny_settings: Make, tiny_model: Path, tmp_path: Path, stop_after: Stop
) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    settings = many(tiny_settings, tmp_path / "run", model=str(tmp_path / "model"))
    stop_after(3, settings)
    config = tmp_path / "model" / "config.json"
    config.write_text(config.read_text().replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": 1e-05'))
    with pytest.raises(RunError, match="model_fingerprint was"):
        train(settings)


def command(settings: TrainSettings) -> list[str]:
    recipe = settings.out.parent / "recipe.toml"
    recipe.write_text(dump(settings))
    return [sys.executable, "-m", "lope_train", "train", "--recipe", str(recipe)]


def start(settings: TrainSettings) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command(settings), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def wait_for(path: Callable[[], Path | None], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 100
    while path() is None:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("stage", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_real_kill(stage: int, tiny_settings: Make, tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path / "run", epochs=20, save_every=5)
    folder = RunFolder(settings.out)
    process = start(settings)
    wait_for(lambda: newest_checkpoint(folder.checkpoints(stage)), process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not settings.out.exists()
    train(settings)
    assert same(settings.out, train(settings.model_copy(update={"out": tmp_path / "whole"})))


def test_an_interrupt_says_that_it_goes_on(tiny_settings: Make, tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path / "run", epochs=200, save_every=5)
    process = start(settings)
    wait_for(lambda: newest_checkpoint(RunFolder(settings.out).checkpoints(1)), process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    assert said.splitlines()[-1] == "interrupted; the same command resumes from its last checkpoint"
    assert "Traceback" not in said


def test_two_at_once_into_one_folder(tiny_settings: Make, tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path / "run", epochs=200, save_every=5)
    process = start(settings)
    wait_for(lambda: newest_checkpoint(RunFolder(settings.out).checkpoints(1)), process)
    with pytest.raises(RunError, match="another process is training into it"):
        train(settings)
    assert process.poll() is None
    process.kill()
    process.communicate()
