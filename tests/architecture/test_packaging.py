"""What can be held of wheel and sdist without building them; `make check-wheel` does the rest."""

from __future__ import annotations

import subprocess
import tomllib
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS, PROJECT = PYPROJECT["tool"]["setuptools"], PYPROJECT["project"]
PACKAGES = ("lope_common", "lope_data", "lope_train", "pipelines")
ALWAYS = {"LICENSE", "MANIFEST.in", "README.md", "pyproject.toml"}
"""What setuptools puts into an sdist by itself."""


@pytest.fixture(scope="module")
def tracked() -> list[PurePosixPath]:
    if not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [PurePosixPath(name) for name in listed.split("\0") if name and (ROOT / name).exists()]


def of_packages(files: list[PurePosixPath]) -> list[PurePosixPath]:
    return [file for file in files if file.parts[0] in PACKAGES]


def test_every_folder_of_the_packages_is_in_the_wheel(tracked: list[PurePosixPath]) -> None:
    """Folders without `__init__` too, such as that of the recipes."""
    find = SETUPTOOLS["packages"]["find"]
    assert find.keys() == {"include"}, "neither excludes, nor needs an `__init__`"
    for folder in {".".join(file.parent.parts) for file in of_packages(tracked)}:
        assert any(fnmatch(folder, pattern) for pattern in find["include"]), folder


def test_every_file_of_the_packages_is_in_the_wheel_and_no_pattern_is_idle(tracked: list[PurePosixPath]) -> None:
    ((of, patterns),) = SETUPTOOLS["package-data"].items()
    assert of == "*"
    data = [file for file in of_packages(tracked) if file.suffix != ".py"]
    assert not [str(file) for file in data if not any(fnmatch(file.name, pattern) for pattern in patterns)]
    assert not [pattern for pattern in patterns if not any(fnmatch(file.name, pattern) for file in data)]


def test_every_tracked_file_is_in_the_sdist(tracked: list[PurePosixPath]) -> None:
    said = [line.split() for line in (ROOT / "MANIFEST.in").read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    grafted = {folder for command, *folders in said if command == "graft" for folder in folders}
    included = {name for command, *names in said if command == "include" for name in names}
    excluded = [pattern for command, *patterns in said if command == "global-exclude" for pattern in patterns]
    assert {command for command, *_ in said} == {"graft", "include", "global-exclude"}
    assert {"*.py[cod]", "__pycache__", ".hypothesis"} <= {*excluded}
    for file in tracked:
        assert file.parts[0] in {*PACKAGES, *grafted} or str(file) in included | ALWAYS, file
        assert not any(fnmatch(file.name, pattern) for pattern in excluded), file
    assert not [name for name in grafted | included if not (ROOT / name).exists()]


@pytest.mark.parametrize(("script", "home"), PROJECT["scripts"].items())
def test_console_scripts_lead_to_functions(script: str, home: str) -> None:
    module, _, name = home.partition(":")
    assert callable(getattr(import_module(module), name))


def test_every_program_has_a_script() -> None:
    assert {*PROJECT["scripts"]} == {"lope-data", "lope-train", "lope-pipelines"}
    assert all((ROOT / package / "__main__.py").is_file() for package in ("lope_data", "lope_train", "pipelines"))


def test_all_that_make_installs_is_pinned() -> None:
    extras = PROJECT["optional-dependencies"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {canonicalize_name(line.partition("==")[0]): line.partition("==")[2] for line in lines}
    for text in (*PROJECT["dependencies"], *extras["train"], *extras["eval"], *extras["excel"], *extras["dev"]):
        required = Requirement(text)
        assert pinned[canonicalize_name(required.name)] in required.specifier, text
