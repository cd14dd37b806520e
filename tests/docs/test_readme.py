"""The README is true: its generated blocks are current, and its code runs. Its commands are in test_commands.py.

`PYTHONPATH=. python tests/docs/test_readme.py` writes the blocks again.
"""

from __future__ import annotations

import re
import sys
import tempfile
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from rich.console import Console
from transformers import AutoModelForCausalLM

import lope_train
from lope_data import list_ops
from lope_data.builds import Options, build, ingest
from lope_data.inject import noisy_rows
from lope_data.recipe import Recipe, load_recipe
from lope_data.report import ops_tables
from lope_data.store import Store, Version
from lope_train.tuner import lope_experts

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
EXAMPLE = 1  # the classification row of the sample that the README shows


def sample_build(folder: Path) -> tuple[Version, Version]:
    """`python -m lope_data build --ratio 0.2`, and its parent."""
    options = Options(Store(folder))
    parent = ingest("sample", Recipe(), None, options)
    recipe = Recipe.model_validate({"steps": [{"ratio": 0.2}]})
    return build(parent, recipe, None, options), parent


def examples_block(parent: Version) -> str:
    """One clean row, and what ops of every level make of it."""
    rows = parent.rows.filter(pc.equal(parent.rows["lope_shape"], "classification"))
    lines = ["| | text | label |", "|---|---|---|", example_line("clean", rows)]
    for op in ("char.delete", "char.keyboard", "word.shuffle", "word.misspell", "structure.punctuation", "label.flip"):
        recipe = Recipe.model_validate({"steps": [{"ratio": 1.0, "mix": {op: 1.0}}]})
        done = noisy_rows(rows, recipe)
        assert len(done.noisy) == len(rows)
        lines.append(example_line(f"`{op}`", done.noisy))
    return "\n".join(lines)


def example_line(name: str, rows: pa.Table) -> str:
    return f"| {name} | {rows['text'][EXAMPLE]} | {rows['label'][EXAMPLE]} |"


def build_block(version: Version) -> str:
    console = Console(file=StringIO(), width=100)
    for table in ops_tables(version.manifest.report):
        console.print(table)
    text = f"{version.ref}\n{console.file.getvalue().strip()}"  # type: ignore[attr-defined]
    return "```text\n" + "\n".join(line.rstrip() for line in text.splitlines()) + "\n```"


def ops_block() -> str:
    lines = ["| op | what it does | unit of its level | needs |", "|---|---|---|---|"]
    lines += [f"| `{op.name}` | {op.summary} | {op.unit} | {op.needs} |" for op in list_ops()]
    return "\n".join(lines)


def blocks() -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        version, parent = sample_build(Path(folder))
        return {"examples": examples_block(parent), "build": build_block(version), "ops": ops_block()}


def pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name} -->\n)(.*?)(<!-- end -->)", re.DOTALL)


@pytest.fixture(scope="module")
def current() -> dict[str, str]:
    return blocks()


@pytest.mark.parametrize("name", ["examples", "build", "ops"])
def test_generated_blocks_are_current(current: dict[str, str], name: str) -> None:
    found = pattern(name).search(README.read_text(encoding="utf-8"))
    assert found
    assert found[2].strip() == current[name], "write it again with: PYTHONPATH=. python tests/docs/test_readme.py"


def test_the_recipe_is_valid(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "recipe.toml").write_text(block)
    assert [step.name for step in load_recipe(tmp_path / "recipe.toml", {}).steps] == ["typos", "labels"]


def test_the_python_runs(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOPE_STORE", raising=False)
    (tmp_path / "my-model").symlink_to(tiny_model)
    trained = lope_train.attach(AutoModelForCausalLM.from_pretrained(tiny_model), lope_train.LopeConfig())
    (tmp_path / "runs" / "lope").mkdir(parents=True)
    lope_train.save_adapter(trained, tmp_path / "runs" / "lope")
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, names)  # noqa: S102  (our own text)
    assert names["version"].ref == f"typos@{names['version'].manifest.version}"
    assert names["noisy"] != ["Name three primary colours."]
    assert len(names["edits"])
    assert {experts.mode for _, experts in lope_experts(names["model"])} == {"inference"}


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    for block, content in blocks().items():
        text = pattern(block).sub(lambda found, new=content: f"{found[1]}{new}\n{found[3]}", text)  # type: ignore[misc]
    README.write_text(text, encoding="utf-8")
    sys.exit(0)


def test_every_study_is_in_the_table() -> None:
    told = set(re.findall(r"`(paper/[a-z0-9]+)`", README.read_text(encoding="utf-8")))
    assert told == {f"paper/{file.stem}" for file in (ROOT / "pipelines" / "paper").glob("*.toml")} - {"paper/scales"}
    ours = set(re.findall(r"^\| `(study/[a-z0-9-]+)`", README.read_text(encoding="utf-8"), re.MULTILINE))
    assert ours == {f"study/{file.stem}" for file in (ROOT / "pipelines" / "study").glob("*.toml")}
