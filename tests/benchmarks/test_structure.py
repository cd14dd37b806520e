"""The measuring of structure: which modules a command enters, and the figures of a checkout without an order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = {
    "small/__main__.py": "import sys\nfrom small.a import start\nstart()\nsys.exit(int(sys.argv[1]))",
    "small/a.py": """
import threading
from small import b, unused

def start():
    b.one(), b.one()
    list(map(b.two, [1]))
    thread = threading.Thread(target=b.in_thread)
    thread.start(), thread.join()

class Body:
    here = unused
""",
    "small/b.py": """
from small import c

def one(): ...
def two(_): ...
def in_thread(): c.deep()
""",
    "small/c.py": "def deep(): ...",
    "small/unused.py": "class Nothing: ...",
    "lope_data/short.py": "x = 1\n",
    "lope_data/long.py": "x = 1\n" * 60,
}


def measure(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    for name, text in FILES.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    command = [sys.executable, "-m", "benchmarks.structure", "--root", str(root), *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)


def test_a_command_is_followed_through_threads_and_libraries(tmp_path: Path) -> None:
    done = measure(tmp_path, "follow", "small", "0")
    assert done.returncode == 0, done.stderr
    first, *entered = done.stdout.splitlines()
    assert first.startswith(
        "3 modules entered, 3 moves"
    )  # to one, to two through a `map`, to deep; the thread has no caller
    files = ["small/a.py", "small/b.py", "small/c.py"]
    assert "in 3 rooms, 3 moves between these" in first  # a flat module is a room
    assert [line.strip() for line in entered if not line[:4].strip()] == files


def test_a_command_that_fails_gives_no_figures(tmp_path: Path) -> None:
    done = measure(tmp_path, "follow", "small", "3")
    assert (done.returncode, done.stdout) == (3, "")


@pytest.mark.parametrize(
    "line", ["     2    1  lope_data", "no order of rooms in this checkout", "0 circles of modules"]
)
def test_a_checkout_is_counted(tmp_path: Path, line: str) -> None:
    assert line in measure(tmp_path).stdout.splitlines()
