"""A build killed before each step that it takes in the store: opening, renaming, removing, looking into a folder.

    python -m benchmarks.soak.reliability.steps FOLDER ARGS...  # ARGS: of `lope_data build`, with --store FOLDER/store

Processes are forked from one that has imported everything and done nothing, so that hundreds of steps take a minute.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any

import polars  # noqa: F401 (imported by builds when they need it; here once for all)

from benchmarks.soak.reliability.runs import digests, wrong
from lope_data.cli import main

import_module("lope_data.builds.make")
import_module("lope_data.text.kernels")

_EVENTS = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.listdir", "os.scandir")
_BROKEN = 99


def _count_steps(die_at: int, store: Path, log: Path) -> None:
    """From here on this process counts its steps, writes the last to the log, and dies before the one given."""
    taken = 0
    one_at_a_time = Lock()

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal taken
        if event not in _EVENTS or not args or not isinstance(args[0], str | Path):
            return
        path = str(args[0])
        if not path.startswith(str(store)):
            return
        with one_at_a_time:
            taken += 1
            if taken == die_at or die_at == 0:
                log.write_text(json.dumps([taken, f"{event} {os.path.relpath(path, store)}"]), encoding="utf-8")
            if taken == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def _in_child(work: Callable[[], int]) -> int:
    """The exit code of the work, done in a process of its own; negative if a signal ended it."""
    child = os.fork()
    if not child:
        code = _BROKEN
        try:
            code = work()
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _build(args: list[str], errors: Path) -> int:
    sys.argv = ["lope_data", *args]
    with errors.open("w", encoding="utf-8") as said, open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123
        sys.stdout, sys.stderr = nowhere, said
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0


def steps(folder: Path, args: list[str]) -> tuple[int, int, list[str]]:
    """How many steps there are, how many kills there were, and what was wrong after them."""
    store, log, errors, found = (folder / name for name in ("store", "log.json", "errors.txt", "found.json"))

    def dying(step: int) -> int:
        _count_steps(step, store, log)
        return _build(args, errors)

    def looking(expected: dict[str, str] | None) -> int:
        said = wrong(store, expected)
        found.write_text(json.dumps(said), encoding="utf-8")
        return bool(said)

    def telling() -> int:
        found.write_text(json.dumps(digests(store)), encoding="utf-8")
        return 0

    assert _in_child(lambda: dying(0)) == 0, errors.read_text()
    count = json.loads(log.read_text())[0]
    _in_child(telling)
    expected = json.loads(found.read_text())
    faults: list[str] = []
    kills = 0
    for step in range(1, count + 1):
        shutil.rmtree(store, ignore_errors=True)
        kills += _in_child(partial(dying, step)) == -signal.SIGKILL
        where = f"{step}, before {json.loads(log.read_text())[1]}"
        if _in_child(lambda: looking(None)):
            faults += [f"{where}: killed: {what}" for what in json.loads(found.read_text())]
        if code := _in_child(lambda: _build(args, errors)):
            faults.append(f"{where}: exit code {code}: {errors.read_text()}")
        if _in_child(lambda: looking(expected)):
            faults += [f"{where}: afterwards: {what}" for what in json.loads(found.read_text())]
    return count, kills, faults


if __name__ == "__main__":
    print(json.dumps(steps(Path(sys.argv[1]), sys.argv[2:])))
