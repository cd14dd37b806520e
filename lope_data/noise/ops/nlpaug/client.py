"""Questions to `nlpaug_worker`, of which each thread that asks has one to itself; one that is free is used again."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any

from lope_common.shown import one_line
from lope_data.errors import NoiseError

Question = tuple[str, int, int]  # word, seed, tries

_CHUNK = 5000  # questions a line: a bound on memory


class Worker:
    """The process and its pipes, for one thread at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    def ask(self, augmenter: str, options: Mapping[str, Any], questions: Sequence[Question]) -> list[str | None]:
        """What the augmenter makes of each word, in the first of its tries that changes it; None if none does.

        Raises:
            NoiseError: the augmenter cannot be made, or the worker died over the questions twice.
        """
        answers: list[str | None] = []
        for low in range(0, len(questions), _CHUNK):
            request = {"augmenter": augmenter, "options": dict(options), "ask": questions[low : low + _CHUNK]}
            line = json.dumps(request).encode() + b"\n"
            reply = self._exchange(line) or self._exchange(line)  # answers hold no state: asking again is safe
            if reply is None:
                raise NoiseError(f"the process that runs nlpaug's {augmenter} died: {self._last_words()}")
            if "error" in reply:
                raise NoiseError(f"nlpaug's {augmenter} cannot be used: {one_line(reply['error'])}")
            answers += reply["words"]
        return answers

    def _exchange(self, line: bytes) -> dict[str, Any] | None:
        """The reply to a line; None if the worker died over it."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except OSError:
            answer = b""
        except BaseException:  # such as Ctrl-C: a reply that is still to come must not meet the next question
            self.close()
            raise
        if not answer.endswith(b"\n"):
            self.close()
            return None
        reply: dict[str, Any] = json.loads(answer)
        return reply

    def _start(self) -> None:
        self.close()
        if self._log is not None:
            self._log.close()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed at the next start
        # Run by its path and with -P, so that no folder of ours goes before the installed packages. SpellingAug reads
        # sets in the order of their hashes, hence the fixed hash seed; OcrAug reads its table in the locale's encoding.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=os.environ | {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"},
        )

    def close(self) -> None:
        """Ends the worker, if there is one; the next question starts another."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _last_words(self) -> str:
        """The last line of what the worker wrote on stderr."""
        assert self._log is not None
        assert self._process is not None
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").split("\n")
        return one_line(next((line for line in reversed(lines) if line.strip()), f"status {self._process.returncode}"))


@cache
def _free(process: int) -> SimpleQueue[Worker]:  # noqa: ARG001  # by process: a fork must not use its parent's pipes
    return SimpleQueue()


def ask(augmenter: str, options: Mapping[str, Any], questions: Sequence[Question]) -> list[str | None]:
    """`Worker.ask`, of a worker of this process that is free."""
    free = _free(os.getpid())
    try:
        worker = free.get_nowait()
    except Empty:
        worker = Worker()
        atexit.register(worker.close)
    try:
        return worker.ask(augmenter, options, questions)
    finally:
        free.put(worker)
