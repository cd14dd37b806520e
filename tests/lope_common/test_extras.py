"""What is missing is said with the pip command that installs it: requirements, never our own name."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from lope_common.extras import check_installed

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
STATED = [
    "numpy>=2.0",
    "torch>=2.8; extra == 'train'",
    'LM-Eval [x]>=0.4.13,<1 ; extra == "eval"',
    "peft; extra == 'a'",
]


class MissingError(Exception):
    """What a program raises."""


def said(*modules: str) -> str:
    with pytest.raises(MissingError) as raised:
        check_installed("training needs", modules, MissingError)
    return str(raised.value)


@pytest.fixture
def nothing_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lope_common.extras.find_spec", lambda name: None)


@pytest.mark.usefixtures("nothing_there")
def test_requirements_are_those_of_our_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: STATED)
    assert said("torch") == "training needs torch, which is missing: pip install 'torch>=2.8'"
    assert said("peft") == "training needs peft, which is missing: pip install peft"
    both = "training needs lm-eval and torch, which are missing: pip install 'lm-eval<1,>=0.4.13' 'torch>=2.8'"
    assert said("torch", "lm_eval") == both
    assert said("torch", "wandb", "peft").startswith("training needs peft, torch and wandb, which are missing: ")
    assert said("wandb").endswith("pip install wandb"), "which is in no extra"


@pytest.mark.usefixtures("nothing_there")
def test_without_our_metadata_names_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_installed(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", not_installed)
    assert said("torch", "lm_eval").endswith("pip install lm-eval torch")
    monkeypatch.setattr(metadata, "requires", lambda name: None)
    assert said("torch").endswith("pip install torch")


def test_only_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "lope_common.extras.find_spec", lambda name: None if name == "gguf" else SimpleNamespace(origin="there.py")
    )
    check_installed("training needs", ["torch"], MissingError)
    check_installed("training needs", [], MissingError)
    assert said("torch", "gguf").startswith("training needs gguf, which is missing: ")


def test_a_folder_of_that_name_is_not_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "left_by_wandb").mkdir()  # which leaves one of its own name
    monkeypatch.syspath_prepend(str(tmp_path))
    assert said("left_by_wandb").endswith("pip install left-by-wandb")


def test_no_requirement_is_stated_twice() -> None:
    """As the one that is advised would be a matter of their order."""
    names = [Requirement(text).name for name, extra in EXTRAS.items() for text in extra]
    assert len(names) == len(set(names))
