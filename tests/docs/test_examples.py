"""The examples run as they are written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from peft import PeftModel
from transformers import AutoModelForCausalLM

import lope_train  # noqa: F401  # peft then knows its adapters

ROOT = Path(__file__).parents[2]


def ran(*command: str, folder: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "LOPE_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_trl_trains_both_stages(tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    ran("-m", "lope_data", "build", "--limit", "60", "--ratio", "0.3", "--name", "noisy", folder=tmp_path)
    example = str(ROOT / "examples/trl_sft.py")
    asked = ["--data", "noisy", "--model", str(tiny_model), "--out", "run", "--max-steps", "3"]
    said = ran(example, *asked, folder=tmp_path)
    assert said.splitlines()[-1] == "run: 4 poisoning experts, trained in stage I and not moved in stage II"
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model), tmp_path / "run")
    moved = {name for name, tensor in model.named_parameters() if "lope_" in name and tensor.any()}
    for parameter in ("A", "B", "B_poison", "router"):
        assert sum(name.endswith(f".{parameter}") for name in moved) == 4
