"""The way of one command through our modules: what somebody has to read who wants to know what it does."""

from __future__ import annotations

import inspect
import os
import runpy
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any


class Way:
    """What a profiler sees of the functions of a checkout; module and class bodies do not count.

    Attributes:
        entered: the modules whose functions were called, in the order of the first call.
        moves: caller and callee, where they are of two modules. A caller that goes through a library is the function
            of ours that called the library.
    """

    def __init__(self, root: Path) -> None:
        self.entered: dict[str, None] = {}
        self.moves: set[tuple[CodeType, CodeType]] = set()
        self._root = f"{root}{os.sep}"
        self._modules: dict[CodeType, str | None] = {}

    def see(self, frame: FrameType, event: str, _: Any) -> None:
        """A profile function, for `sys.setprofile`."""
        if event != "call" or (module := self._module(frame.f_code)) is None:
            return
        self.entered[module] = None
        caller = frame.f_back
        while caller is not None and self._module(caller.f_code) is None:
            caller = caller.f_back
        if caller is not None and self._module(caller.f_code) != module:
            self.moves.add((caller.f_code, frame.f_code))

    @property
    def rooms(self) -> list[str]:
        """The rooms of the modules that were entered, in order; a module that lies in no folder is a room itself."""
        return list(dict.fromkeys(map(room_of, self.entered)))

    @property
    def moves_between_rooms(self) -> int:
        """How many of the moves go to another room."""
        places = ((self._modules[caller], self._modules[callee]) for caller, callee in self.moves)
        return sum(room_of(str(one)) != room_of(str(other)) for one, other in places)

    def _module(self, code: CodeType) -> str | None:
        """The file of a function of ours, relative to the root; None for all other code."""
        if code not in self._modules:
            name = code.co_filename
            ours = name.startswith(self._root) and not name.startswith((f"{self._root}.", f"{self._root}benchmarks"))
            function = code.co_flags & inspect.CO_OPTIMIZED
            self._modules[code] = name.removeprefix(self._root) if ours and function else None
        return self._modules[code]


def room_of(file: str) -> str:
    """The room of a module, given its file: `lope_data/store` of `lope_data/store/version.py`."""
    return "/".join(Path(file).parts[:2])


def follow(root: Path, words: Sequence[str]) -> Way:
    """Runs `python -m` with some words in this process, by the code of a checkout, in all of its threads.

    Raises:
        SystemExit: the command failed, with its exit code.
    """
    sys.path.insert(0, str(root))
    os.environ["PYTHONPATH"] = str(root)  # of processes that the command starts; they are not followed
    way = Way(root)
    sys.argv = list(words)
    threading.setprofile(way.see)
    sys.setprofile(way.see)
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            raise
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return way
