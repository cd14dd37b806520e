"""What is said while kernels are compiled: one small module of them, in processes and caches of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lope_data.text.kernels

ROOT = Path(__file__).parents[3]
CODE = """
from lope_data.text.kernels import loading
from lope_data.text.kernels.loading import telling
with telling(print):
    print(loading.load("compiling").mixed(1))
"""
HASH = "6238072747940578789"
ONCE = "compiling the noise kernels, once on this machine (about 10 s)"


def start(code: str = CODE, root: Path = ROOT, **environment: str | Path) -> subprocess.Popen[str]:
    given = {name: str(value) for name, value in environment.items()}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)} | given,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> list[str]:
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    return out.splitlines()


def test_compiling_is_told_once_on_a_machine(tmp_path: Path) -> None:
    assert said(start(NUMBA_CACHE_DIR=tmp_path)) == [ONCE, HASH]
    assert said(start(NUMBA_CACHE_DIR=tmp_path)) == [HASH]


def test_two_processes_that_compile_at_once(tmp_path: Path) -> None:
    both = [start(NUMBA_CACHE_DIR=tmp_path), start(NUMBA_CACHE_DIR=tmp_path)]
    assert all(said(process)[-1] == HASH for process in both)
    assert said(start(NUMBA_CACHE_DIR=tmp_path)) == [HASH]


@pytest.fixture
def unwritable(tmp_path: Path) -> Path:
    """A copy of the packages in which nothing can be kept; it is also a home folder. Files stand where folders must."""
    for package in ("lope_common", "lope_data"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "lope_data" / "text" / "kernels" / "__pycache__").touch()
    (tmp_path / ".cache").touch()
    return tmp_path


def test_where_nothing_can_be_kept_every_process_says_so(unwritable: Path) -> None:
    environment = {"HOME": unwritable, "XDG_CACHE_HOME": unwritable / ".cache", "NUMBA_CACHE_DIR": ""}
    for _ in range(2):
        told, result = said(start(root=unwritable, **environment))
        assert result == HASH
        assert "every process" in told
        assert "NUMBA_CACHE_DIR" in told
    cache = unwritable / "cache"
    assert said(start(root=unwritable, **environment | {"NUMBA_CACHE_DIR": cache})) == [ONCE, HASH]
    assert said(start(root=unwritable, **environment | {"NUMBA_CACHE_DIR": cache})) == [HASH]


def test_nobody_else_is_told_later() -> None:
    code = (
        "from lope_data.text.kernels.loading import tell, telling\nwith telling(print): tell('a'); tell('b')\ntell('c')"
    )
    assert said(start(code)) == ["a"]


def test_every_kernel_has_a_home() -> None:
    listed = {*lope_data.text.kernels.__all__} - {"prepare", "prepare_reading", "telling", "without_scipy"}
    homes = [name for names in lope_data.text.kernels._HOMES.values() for name in names]
    assert sorted(homes) == sorted(listed)
    assert all(callable(getattr(lope_data.text.kernels, name)) for name in homes if name.islower())
