"""Runs with each loss: where it is used, what is reported, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from lope_train.cli import main
from lope_train.errors import RunError, SettingsError
from lope_train.settings import TrainSettings
from lope_train.training import train

Make = Callable[..., TrainSettings]
CLASSES = ("animal", "colour", "number")


def losses(run: Path, stage: str) -> list[float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["stage"] == stage and "loss" in line]


def weights(run: Path) -> dict[str, Any]:
    return load_file(run / "adapter_model.safetensors")


def transition(folder: Path, diagonal: float) -> Path:
    rest = (1 - diagonal) / 2
    rows = {true: {given: diagonal if given == true else rest for given in CLASSES} for true in CLASSES}
    path = folder / f"{diagonal}.json"
    path.write_text(json.dumps(rows))
    return path


def test_stage_1_keeps_cross_entropy_and_reports_are_of_it(class_settings: Make, tmp_path: Path) -> None:
    values: dict[str, Any] = {"method": "lope", "hynoise": "discrete", "held_out": "topics-test", "learning_rate": 1e-9}
    plain, gce = (train(class_settings(tmp_path / loss, loss=loss, **values)) for loss in ("cross-entropy", "gce"))
    assert losses(gce, "stage I") == losses(plain, "stage I")
    assert max(losses(gce, "stage II")) < min(losses(plain, "stage II"))
    reports = [json.loads((run / "run.json").read_text())["stages"][-1] for run in (plain, gce)]
    assert reports[0]["held_out_loss"] == pytest.approx(reports[1]["held_out_loss"], rel=1e-5)


def test_an_identity_is_cross_entropy_and_another_transition_is_not(class_settings: Make, tmp_path: Path) -> None:
    def trained(name: str, **values: Any) -> dict[str, Any]:
        return weights(train(class_settings(tmp_path / name, method="lora", **values)))

    plain = trained("plain")
    identity = trained("identity", loss="forward", transition=transition(tmp_path, 1.0))
    other = trained("other", loss="forward", transition=transition(tmp_path, 0.6))
    assert all(value.allclose(identity[name], atol=1e-4) for name, value in plain.items())
    assert not all(value.allclose(other[name], atol=1e-3) for name, value in plain.items())
    smooth = trained("smooth", label_smoothing=0.3)
    assert not all(value.allclose(smooth[name], atol=1e-3) for name, value in plain.items())


def test_a_transition_that_has_changed_is_another_run(
    class_settings: Make, tmp_path: Path, stop_after: Callable[[int, TrainSettings], None]
) -> None:
    path = transition(tmp_path, 0.8)
    settings = class_settings(tmp_path / "run", method="lora", save_every=1, loss="forward", transition=path)
    stop_after(3, settings)
    path.write_text(transition(tmp_path, 0.6).read_text())
    with pytest.raises(RunError, match=r"a run begun otherwise is in .*transition was"):
        train(settings)


def test_gce_goes_by_tokens_too(tiny_settings: Make, tmp_path: Path) -> None:
    run = train(tiny_settings(tmp_path / "run", method="lora", loss="gce", gce_q=1.0))
    assert all(0.9 < loss < 1 for loss in losses(run, "training"))  # 1 - p of one token in 300


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"loss": "gce", "gce_q": 0.0}, "setting 'gce_q' is 0"),
        ({"loss": "gce", "gce_q": 1.1}, "setting 'gce_q' is 1.1"),
        ({"gce_q": 0.7}, "gce_q is for loss 'gce', and loss is 'cross-entropy'"),
        ({"loss": "gce", "transition": "t.json"}, "transition is for loss 'forward'"),
        ({"loss": "small-loss", "noise_rate": 1.0, "epochs": 3}, "setting 'noise_rate' is 1"),
        ({"loss": "small-loss", "noise_rate": 0.2}, "leaves rows out after 1 epochs, and there are 1: raise epochs"),
        ({"loss": "small-loss", "noise_rate": 0.2, "epochs": 3, "warmup_epochs": 3}, "after 3 epochs"),
        ({"noise_rate": 0.2}, "noise_rate is for loss 'small-loss'"),
        ({"loss": "gce", "label_smoothing": 0.1}, "label_smoothing is for loss 'cross-entropy', and loss is 'gce'"),
        ({"label_smoothing": 1.0}, "setting 'label_smoothing' is 1"),
        ({"loss": "gcee"}, "did you mean 'gce'"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        TrainSettings(**{"data": "d", "model": "m", "out": Path("o"), "method": "lora", **values})
    assert said in str(raised.value)


def test_forward_needs_classes(
    tiny_settings: Make, tiny_store: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = transition(tmp_path, 0.8)
    asked = [
        "train",
        "--data",
        "tiny-noisy",
        "--store",
        str(tiny_store),
        "--model",
        str(tiny_model),
        "--method",
        "lora",
    ]
    with pytest.raises(SystemExit, match="2"):
        main([*asked, "--loss", "forward", "--transition", str(path), "--out", str(tmp_path / "run")])
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "loss 'forward' needs classes" in said
    assert not (tmp_path / "run").exists()


def test_a_transition_of_other_classes_is_refused(class_settings: Make, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"animal": {"animal": 1}, "color": {"color": 1}}))
    with pytest.raises(SettingsError, match="unknown class 'color'; did you mean 'colour'"):
        train(class_settings(tmp_path / "run", method="lora", loss="forward", transition=path))
    assert not (tmp_path / "run").exists()


def test_what_is_not_given_is_estimated_and_recorded(
    class_settings: Make, labelled: Callable[..., None], tmp_path: Path
) -> None:
    wrong = {3: "colour", 14: "animal", 25: "number", 33: "number", 40: "animal", 52: "colour", 59: "animal"}
    labelled(tmp_path / "store", "rows", [wrong.get(number, CLASSES[number % 3]) for number in range(60)])
    values: dict[str, Any] = {"method": "lora", "on": "noisy", "epochs": 6, "data": "rows", "store": tmp_path / "store"}
    forward = train(class_settings(tmp_path / "forward", loss="forward", **values))
    small = train(class_settings(tmp_path / "small", loss="small-loss", **values))
    said = [json.loads((run / "run.json").read_text())["estimated"] for run in (forward, small)]
    assert said[0] == said[1]  # the same rows, folds and settings
    assert said[0]["noise_rate"] == pytest.approx(len(wrong) / 60, abs=0.06)
    assert all(sum(row.values()) == pytest.approx(1) for row in said[0]["transition"].values())
    kept = [json.loads(line).get("kept_rows") for line in (small / "metrics.jsonl").read_text().splitlines()]
    assert {*kept} - {None} == {60 - round(60 * said[1]["noise_rate"])}
    given = tmp_path / "given.json"
    given.write_text(json.dumps(said[0]["transition"]))
    again = train(class_settings(tmp_path / "again", loss="forward", transition=given, **values))
    assert all(value.equal(weights(again)[name]) for name, value in weights(forward).items())
    assert not [path for run in (forward, small) for path in run.iterdir() if path.name == "folds"]


def test_an_estimate_that_is_stopped_resumes(
    class_settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lope_train.training import folds

    def settings(name: str) -> TrainSettings:
        return class_settings(tmp_path / name, method="lora", on="noisy", loss="forward")

    whole = train(settings("whole"))
    fit, calls = folds._fit, []

    def stopped(*arguments: Any) -> Any:
        calls.append(arguments[5])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fit(*arguments)

    monkeypatch.setattr(folds, "_fit", stopped)
    with pytest.raises(KeyboardInterrupt):
        train(settings("run"))
    run = train(settings("run"))
    assert calls == [1, 2, 2, 3]
    assert all(value.equal(weights(whole)[name]) for name, value in weights(run).items())


def test_only_of_classes_can_a_rate_be_estimated(tiny_settings: Make, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="loss 'small-loss' needs noise_rate: only of a model with a head"):
        train(tiny_settings(tmp_path / "run", method="lora", loss="small-loss", epochs=3))
    assert not (tmp_path / "run").exists()
