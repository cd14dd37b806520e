"""Who may import whom: the halves never import each other, and the data half starts without heavy packages."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(p for half in ("lope_data", "lope_train") for p in (ROOT / half).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """The top-level packages that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_halves_do_not_import_each_other(path: Path) -> None:
    half = path.relative_to(ROOT).parts[0]
    other = {"lope_data": "lope_train", "lope_train": "lope_data"}[half]
    assert not imports(path) & {other, "pipelines", "tests"}
    if half == "lope_data":
        assert not imports(path) & {"torch", "transformers", "peft", "accelerate", "safetensors"}


def loaded_by(code: str, *blocked: str) -> set[str]:
    """The modules loaded after some code ran in a fresh interpreter in which `blocked` cannot be imported."""
    prologue = f"import sys\nfor name in {blocked!r}: sys.modules[name] = None\n"
    command = [sys.executable, "-c", f"{prologue}{code}\nprint(*(n for n, m in sys.modules.items() if m))"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return set(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.split())


def test_the_data_half_starts_light() -> None:
    loaded = loaded_by("import lope_data.cli.run")
    assert not loaded & {"torch", "transformers", "nlpaug", "datasets", "pandas", "pyarrow", "polars", "pydantic"}


def test_the_training_half_starts_light() -> None:
    assert not loaded_by("import lope_train.cli.run") & {"torch", "transformers", "peft", "datasets"}


def test_the_data_half_builds_without_torch(tmp_path: Path) -> None:
    code = f"sys.argv = ['lope_data', 'build', '--limit', '50', '--store', {str(tmp_path)!r}]\n"
    code += "from lope_data.cli.run import main\nmain()"
    heavy = ("torch", "transformers", "peft", "accelerate", "safetensors")
    assert not loaded_by(code, *heavy) & set(heavy)
    assert (tmp_path / "sample-50-hynoise" / "refs" / "latest").is_file()


VERBS = {
    "lope_data": "build diff export gc import ingest list ops preview push report show tag verify",
    "lope_train": "evaluate export generate get-model items params score train",
    "pipelines": "results run",
}


@pytest.mark.parametrize("command", VERBS)
def test_every_help_works_where_there_is_no_fcntl(command: str) -> None:
    """As on Windows: locks come with `portalocker`, when the first is taken."""
    home = {"lope_data": "lope_data.cli.run", "lope_train": "lope_train.cli.run", "pipelines": "pipelines.cli"}[command]
    code = (
        f"import lope_data, lope_train\nfrom {home} import app\nfrom typer.main import get_command\n"
        f"group = get_command(app)\nnames = {VERBS[command].split()!r}\n"
        "assert sorted(getattr(group, 'commands', {}) or names) == sorted(names), group.commands\n"
        "for name in names: app(args=[name, '--help'], standalone_mode=False)"
    )
    loaded = loaded_by(code, "fcntl")
    assert "portalocker" not in loaded
    assert loaded >= {"lope_data", "lope_train"}
