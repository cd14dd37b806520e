"""Pipelines: committed recipes are valid, and a whole one runs on a tiny model, resumes, and reports."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipelines.errors import PipelineError
from pipelines.steps.recipe import RECIPES, Pipeline, load

ROOT = Path(__file__).parents[3]
RECIPE = """
title = "A tiny run <script>alert(1)</script>"

[[steps]]
id = "noisy"
title = "data"
run = "lope_data build"
options = { source = "rows.jsonl", ratio = 0.5, name = "noisy", mix = "char=1,word=1" }

[[steps]]
id = "lope"
title = "training"
run = "lope_train train"
options = { data = "{noisy}", model = "MODEL", batch_size = 4, max_length = 256, lr = 1e-3 }

[[steps]]
id = "table"
title = "accuracy"
run = "lope_train evaluate"
arguments = ["{lope}"]
options = { base = true, data = "{noisy.parent}", noise = ["{noisy}"] }
"""


def run(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pipelines", "run", *args]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize("name", [name for name in RECIPES.packaged() if "/" not in name])
def test_committed_pipelines_are_valid(name: str) -> None:
    recipe = load(name)
    assert isinstance(recipe, Pipeline)
    assert recipe.steps


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("{noisy}", "{nosy}"), "uses {nosy}, which no step before it is called"),
        (('id = "lope"', 'id = "noisy"'), "two steps are called 'noisy'"),
        (("lope_train train", "rm -rf"), "steps.1.run"),
        (("title =", "titel ="), "titel"),
        (("[[steps]]", "[[steps"), "cannot be read"),
    ],
)
def test_bad_recipes(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(RECIPE.replace(*change))
    with pytest.raises(PipelineError, match=re.escape(message)):
        load(str(path))


def test_an_unknown_name() -> None:
    with pytest.raises(PipelineError, match="did you mean 'demo'"):
        load("dmo")


def test_a_failed_step_is_said_and_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    done = run(tmp_path, "tiny.toml")
    assert done.returncode == 2
    assert "error: rows.jsonl: no such file or folder" in done.stderr
    assert "error: step 'noisy' failed with exit code 2" in done.stderr
    assert "Traceback" not in done.stderr


class _Checked(HTMLParser):
    """Collects what could make a page load or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.bad += [tag] if tag in ("script", "link", "img", "iframe") else []
        self.bad += [name for name, _ in attrs if name in ("src", "href") or name.startswith("on")]


def test_a_whole_pipeline_on_a_tiny_model(tmp_path: Path, tiny_model: Path) -> None:
    rows = [f'{{"text": "<script>alert({i})</script> sentence {i}", "label": "{"ab"[i % 2]}"}}\n' for i in range(16)]
    (tmp_path / "rows.jsonl").write_text("".join(rows))
    (tmp_path / "tiny.toml").write_text(RECIPE.replace("MODEL", str(tiny_model)))
    first = run(tmp_path, "tiny.toml")
    assert first.returncode == 0, first.stderr
    commands = re.findall(r"^\$ (python -m .+)$", first.stdout, re.MULTILINE)
    assert [command.split()[2:4] for command in commands] == [
        ["lope_data", "build"],
        ["lope_train", "train"],
        ["lope_train", "evaluate"],
    ]
    page = tmp_path / "runs" / "tiny" / "report.html"
    text = page.read_text(encoding="utf-8")
    checked = _Checked()
    checked.feed(text)
    assert checked.bad == []
    assert "built-in method" not in text
    assert "<td>16</td>" in text  # items of the accuracy table
    for part in ("char.insert", "masked + compensated", "not masked", "stage II", *map(_escaped, commands)):
        assert part in text
    (record,) = (json.loads(path.read_text()) for path in tmp_path.rglob("run.json"))
    nats = record["stages"][-1]["losses"]["nats"]
    assert "<th>compensated (as deployed)</th><th>masked</th><th>unmasked</th><th>untrained model</th>" in text
    assert "".join(f"<td>{loss:.3f}</td>" for loss in nats.values()) in text
    runs = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("run.json")}
    second = run(tmp_path, "tiny.toml")
    assert second.returncode == 0, second.stderr
    assert second.stdout.count("done before") == 2  # builds are asked again, and find what exists
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("run.json")} == runs
    typed = subprocess.run(
        [sys.executable, *commands[0].split()[1:]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert "exists: nothing to do" in typed.stdout  # what a user types is what the pipeline ran


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
