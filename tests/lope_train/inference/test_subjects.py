"""What is put to use: whole runs and their bases, found before anything is loaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lope_train.errors import ModelError, RunError, SettingsError
from lope_train.inference.subjects import find_subjects, open_run
from lope_train.runs import load_run
from lope_train.tuner import Inference, InferenceMode, inference_modes, lope_experts


def test_only_what_has_a_poisoning_expert_has_ways_of_inference(tiny_runs: dict[str, Path], tiny_model: Path) -> None:
    subjects = find_subjects(
        [tiny_runs["lope"], tiny_runs["hydralora"]], base=True, modes=inference_modes(["masked"], [2])
    )
    assert [(subject.method, subject.run, dict(subject.modes)) for subject in subjects] == [
        ("base", None, {"none": None}),
        (
            "lope",
            tiny_runs["lope"],
            {
                "masked": InferenceMode(Inference.MASKED),
                "masked + compensated, K=2": InferenceMode(Inference.COMPENSATED, 2),
            },
        ),
        ("hydralora", tiny_runs["hydralora"], {"none": None}),
    ]
    assert {subject.model for subject in subjects} == {str(tiny_model)}


def test_a_run_is_opened_as_its_settings_say_unless_told(tiny_runs: dict[str, Path]) -> None:
    def ways(mode: InferenceMode | None) -> set[tuple[str, str, int | None]]:
        model, _ = open_run(tiny_runs["lope"], mode=mode)
        return {(layer.mode, layer.inference, layer.compensation_experts) for _, layer in lope_experts(model)}

    assert ways(None) == {("inference", "compensated", None)}
    assert ways(InferenceMode(Inference.UNMASKED)) == {("inference", "unmasked", None)}
    assert ways(InferenceMode(Inference.COMPENSATED, 1)) == {("inference", "compensated", 1)}


def test_a_subject_is_loaded_as_it_was_found(tiny_runs: dict[str, Path]) -> None:
    base, lora = find_subjects([tiny_runs["lora"]], base=True)
    model, tokenizer = lora.load()
    again, _ = load_run(tiny_runs["lora"])
    assert all(torch.equal(one.cpu(), two) for one, two in zip(model.parameters(), again.parameters(), strict=True))
    assert not hasattr(base.load()[0], "peft_config")
    assert tokenizer.get_vocab() == base.load()[1].get_vocab()


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda run: (run / "run.json").unlink(), RunError, r"no run\.json"),
        (lambda run: (run / "adapter_config.json").unlink(), RunError, r"no adapter_config\.json"),
        (lambda run: (run / "adapter_model.safetensors").unlink(), RunError, r"no adapter_model\.safetensors"),
        (lambda run: (run / "run.json").write_text("[1"), RunError, "cannot be read"),
        (lambda run: (run / "run.json").write_text("{}"), RunError, "not the record of a training run"),
        (lambda run: shutil.rmtree(run), RunError, "no such folder"),
        (lambda run: _rename_model(run, "./gone"), ModelError, r"no model folder at '\./gone'"),
    ],
)
def test_a_run_that_is_none_is_refused_before_anything_is_loaded(
    tiny_runs: dict[str, Path], tmp_path: Path, damage: Callable[[Path], object], error: type[Exception], message: str
) -> None:
    run = Path(shutil.copytree(tiny_runs["lope"], tmp_path / "run"))
    damage(run)
    with pytest.raises(error, match=message):
        find_subjects([tiny_runs["lope"], run], base=False)


def _rename_model(run: Path, name: str) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "model": name}))


def test_no_runs_at_all() -> None:
    with pytest.raises(RunError, match="at least one run"):
        find_subjects([], base=True)


def test_more_experts_than_a_run_has_are_refused(tiny_runs: dict[str, Path]) -> None:
    with pytest.raises(SettingsError, match=r"experts is 4, and .*lope has 3 normal experts"):
        find_subjects([tiny_runs["lope"]], base=False, modes=inference_modes([], [2, 4]))
