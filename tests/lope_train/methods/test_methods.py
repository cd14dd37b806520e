"""A method is one file: what it says holds of its adapter, and nothing else has to know of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from peft import PeftType

import lope_train
from lope_train.methods import METHODS, having
from lope_train.models import load_base
from lope_train.settings import TrainSettings, load_recipe
from lope_train.tuner import LOPE

ROOT = Path(__file__).resolve().parents[3]


def settings_of(model: Path, method: str) -> TrainSettings:
    return TrainSettings.model_validate({"data": "x", "out": "x", "model": str(model), "method": method})


def test_a_method_has_a_file_and_a_recipe_of_its_name() -> None:
    files = {path.stem for path in (ROOT / "lope_train" / "methods").glob("*.py")} - {"__init__", "method"}
    assert files == {*METHODS}
    assert len({method.label for method in METHODS.values()}) == len(METHODS)
    for name, method in METHODS.items():
        assert method.name == name
        assert load_recipe(ROOT / "pipelines" / "train" / f"{name}.toml").get("method", "lope") == name


@pytest.mark.parametrize("name", METHODS)
def test_what_a_method_says_of_its_parameters_holds(name: str, tiny_model: Path) -> None:
    method, settings = METHODS[name], settings_of(tiny_model, name)
    own = {parameter for parameter, _ in load_base(str(tiny_model)).named_parameters()}
    model = method.attach(load_base(str(tiny_model)), settings, steps=10)
    added = {parameter for parameter, _ in model.named_parameters() if not _base_names(parameter) & own}
    frozen = {parameter for parameter in added if ".ranknum." in parameter}
    trained: set[str] = set()
    for stage in settings.stages:
        assert method.enter(model, stage) > 0
        trained |= {parameter for parameter, value in model.named_parameters() if value.requires_grad}
    assert trained == {parameter for parameter, _ in method.adapter_parameters(model)} == added - frozen
    assert {method.part(parameter) for parameter in trained} == {*method.parameters}
    assert method.uncounted <= {*method.parameters}


def _base_names(name: str) -> set[str]:
    """What a parameter of a model with an adapter could be called in the base."""
    plain = name.replace(".base_layer.", ".")
    return {plain.removeprefix(prefix) for prefix in ("base_model.model.", "base_model.")}


def test_what_methods_say_of_themselves_agrees() -> None:
    assert {name for name, method in METHODS.items() if method.experts} == {"lope", "hydralora"}
    assert all(method.peft_type in {*PeftType} for method in METHODS.values())
    assert all(method.experts == (method.peft_type == LOPE) for method in METHODS.values())
    assert all(not method.poisoning or method.experts for method in METHODS.values())
    for method in METHODS.values():
        assert {*method.cannot} <= {*TrainSettings.model_fields}
        assert not method.virtual_tokens or {"fsdp", "packing"} <= {*method.cannot}
    passes = {name: (method.passes, method.reads_both) for name, method in METHODS.items()}
    assert passes == {name: ((2, True) if name == "lope" else (1, False)) for name in METHODS}
    assert METHODS["lope"].reads == {"noisy": "stage I", "parent": "stage II"}
    assert (having(lambda m: m.virtual_tokens), having(lambda m: m.poisoning)) == ("prefix and ptuning", "lope")


DORA = """
from lope_train.methods.method import Method, in_layers, one_stage

def _config(model, settings, steps):
    from peft import LoraConfig
    from lope_train.tuner.targets import target_modules
    return LoraConfig(r=settings.r, use_dora=True, target_modules=target_modules(model, settings.target_modules))

METHOD = Method(
    name="dora",
    label="DoRA",
    peft_type="LORA",
    config=_config,
    stages=one_stage(),
    parameters=in_layers("lora_A", "lora_B", "lora_magnitude_vector"),
    cannot={"fsdp": "nobody has tried"},
)
"""
USE = """
import contextlib, sys
from pathlib import Path
from lope_train.cli.run import main
from pipelines.study.cells import check_training
from pipelines.study.jobs import Setting, plan
from pipelines.study.recipe import Scale, Study

recipe, model, store, out = sys.argv[1:]
with contextlib.suppress(SystemExit):
    main(["train", "--help"])
main(["params", "--model", model, "--method", "dora", "--json"])
given = ["--data", "tiny-noisy", "--store", store, "--model", model, "--batch-size", "6", "--max-length", "256"]
main(["train", "--recipe", recipe, *given, "--out", f"{out}/run", "--json"])
main(["evaluate", f"{out}/run", "--data", "tiny", "--store", store, "--json"])
main(["generate", f"{out}/run", "--prompt", "Hello", "--max-new-tokens", "3", "--json"])
main(["export", f"{out}/run", "--out", f"{out}/share"])
study = Study.model_validate({
    "title": "DoRA", "about": "", "source": {"file": "rows.json"}, "reference": "dora",
    "evaluation": {"tasks": ["piqa"]},
    "conditions": [{"id": "clean", "label": "clean"}],
    "arms": [{"id": "dora", "label": "DoRA", "train": {"method": "dora", "epochs": 2}}],
})
check_training(study, Scale())
jobs = plan(study, Setting(Scale(), ("m",), Path("data"), {"piqa": ""}), ())
print([job.cost for job in jobs if job.kind == "train"])
for wrong in (["--method", "doraa"], ["--method", "dora", "--fsdp"], ["--method", "dora", "--no-mask"]):
    with contextlib.suppress(SystemExit):
        main(["train", *given, "--out", f"{out}/wrong", *wrong])
"""


def test_one_more_method_is_one_file(tiny_model: Path, tiny_store: Path, tmp_path: Path) -> None:
    """DoRA, in a copy of the package with one more file: every verb and studies take it as they take the others."""
    package = Path(lope_train.__file__).parent
    shutil.copytree(package, tmp_path / "lope_train", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "lope_train" / "methods" / "dora.py").write_text(DORA)
    (tmp_path / "dora.toml").write_text('method = "dora"\nepochs = 2\n')
    arguments = [str(tmp_path / "dora.toml"), str(tiny_model), str(tiny_store), str(tmp_path / "out")]
    (tmp_path / "out").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", USE, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "COLUMNS": "150", "NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stderr
    *names, last = sorted([*METHODS, "dora"])
    assert f"{', '.join(names)} or {last}." in done.stdout
    counted, trained, evaluated, answer = (json.loads(line) for line in done.stdout.splitlines() if line[:1] == "{")
    assert {*counted["adapter"]} == {"lora_A", "lora_B", "lora_magnitude_vector"}
    assert counted["inference"] == counted["trainable"] == trained["stages"][0]["trained_parameters"]
    assert trained["settings"]["method"] == "dora"
    assert {result["mode"] for result in evaluated["results"]} == {"none"}
    assert answer["prompt"] == "Hello"
    card = (tmp_path / "out" / "share" / "README.md").read_text()
    assert "# DoRA adapter" in card
    assert "poisoning expert" not in card
    assert "[2.0]" in done.stdout.splitlines()
    assert "did you mean 'dora'?" in done.stderr
    assert "fsdp does not go with method 'dora': nobody has tried; leave it out" in done.stderr
    assert "'dora' has no poisoning expert" in done.stderr
