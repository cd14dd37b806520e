"""The benchmark of noise runs on a few rows of the sample and says what it should."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nlpaug")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> str:
    nothing = str(tmp_path_factory.mktemp("no-data"))
    command = [sys.executable, "-m", "benchmarks.speed.noise", "--data", nothing, "--rows", "40", "--json"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


@pytest.fixture(scope="module")
def said(out: str) -> dict[str, Any]:
    return dict(json.loads(out.splitlines()[-1]))


def test_every_peer_that_is_here_is_measured(said: dict[str, Any]) -> None:
    assert "embedded sample" in said["about"]
    lines = said["lines"]
    peers = {(line["library"], line["op"]) for line in lines}
    assert {("nlpaug", "char.delete"), ("nlpaug", "word.delete"), ("nlpaug", "char.keyboard")} <= peers
    assert (("textnoisr", "char.delete") in peers) == (importlib.util.find_spec("textnoisr") is not None)
    for line in lines:
        assert min(line["peer_speed"], line["our_speed"], line["with_edits"], line["arrow"]) > 0
        assert line["ratio"] == pytest.approx(line["our_speed"] / line["peer_speed"])


def test_levels_are_the_same_on_both_sides(said: dict[str, Any]) -> None:
    lines = said["lines"]
    for line in lines:
        assert line["our_realised"] == pytest.approx(line["peer_level"], abs=0.04)
        if line["op"] in ("char.delete", "char.insert", "word.delete"):
            assert line["peer_level"] == pytest.approx(0.1, abs=0.03)


def test_the_tables_are_markdown_with_targets(out: str) -> None:
    rows = [line for line in out.splitlines() if line.startswith("| ")]
    assert rows[0].count("|") == rows[1].count("|") == rows[2].count("|")
    assert any(line.startswith("| ratio to nlpaug, lists |") and line.endswith("| 100 |") for line in rows)
    assert any(line.startswith("| speed with edits over without |") and line.endswith("| 0.5 |") for line in rows)
