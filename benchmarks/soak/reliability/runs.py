"""What all checks share: rows, runs of the command line, and what a store looks like from outside."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lope_data.names import is_version
from lope_data.store import Finding, Store, verify_version

ROOT = Path(__file__).parents[3]
COMMAND = (sys.executable, "-m", "lope_data")
_WORDS = """
river lantern quiet orchard seven copper window letter market thunder gentle harbour paper winter basket silver engine
meadow button castle summer velvet pepper bridge candle forest ladder mirror needle pocket garden thread cloud stone
bread music chalk ferry lemon tiger wheel cabin honey ocean piano radio salad table uncle wagon zebra
"""


@dataclass(frozen=True)
class Run:
    """What a command left behind; `code` is negative where a signal ended it."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.out.strip().splitlines()[-1]))


class Running:
    """A command of `lope_data` in a process group of its own."""

    def __init__(
        self,
        *args: str | Path,
        env: Mapping[str, str] | None = None,
        command: tuple[str, ...] = COMMAND,
        prepare: Callable[[], object] | None = None,
    ) -> None:
        """`prepare`: done in the new process before the command."""
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "200"} | dict(env or {})
        self._began = time.monotonic()
        self._process = subprocess.Popen(
            [*command, *map(str, args)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
            preexec_fn=prepare,
        )

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def pause(self) -> None:
        """Halts the group where it is; it keeps its locks."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def kill(self) -> Run:
        """Ends the group at once, as a power cut or the kernel's out-of-memory killer would."""
        if not self.ended:
            os.killpg(self._process.pid, signal.SIGKILL)
        return self.wait()

    def wait(self) -> Run:
        out, err = self._process.communicate(timeout=600)
        return Run(self._process.returncode, out, err, time.monotonic() - self._began)


def run(*args: str | Path, env: Mapping[str, str] | None = None) -> Run:
    return Running(*args, env=env).wait()


def write_rows(path: Path, count: int, seed: int) -> Path:
    """A JSONL of instruction rows of about 300 bytes each."""
    known = _WORDS.split()
    random_ = random.Random(seed)  # noqa: S311 (rows, not secrets)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            words = random_.choices(known, k=36)
            row = {
                "instruction": f"Write a sentence with the words {words[0]}, {words[1]} and {words[2]} ({number}).",
                "input": " ".join(words[3:18]).capitalize() + ".",
                "output": f"The {words[18]} and the {words[19]}: " + " ".join(words[20:]) + ".",
            }
            file.write(json.dumps(row) + "\n")
    return path


def visible(store: Path) -> list[Path]:
    """Every folder in a store that is named as a version is."""
    return sorted(path for path in store.glob("*/*") if is_version(path.name))


def damaged(store: Path) -> list[Finding]:
    """What `verify` finds in all of them, and the references that lead nowhere."""
    found = [finding for folder in visible(store) for finding in verify_version(folder, lambda *_: None)[1]]
    seen = Store(store)
    for name in seen.names():
        for ref, version in seen.refs(name).items():
            if seen.find(name, version) is None:
                found.append(Finding(f"{name}@{ref}", "refs", f"points to {version!r}"))
    return found


def leftovers(store: Path) -> list[str]:
    """What is in a store beside versions, references and the index of sources: nothing should be."""
    index = store / ".sources"
    left = [path for path in store.rglob("*") if path.name.startswith(".") and path != index]
    left += [path for path in store.glob("[!.]*/*") if not is_version(path.name) and path.name != "refs"]
    return sorted({str(path.relative_to(store)) for path in left})


def digests(store: Path) -> dict[str, str]:
    """The content digest of each version, by `name@version`."""
    found = {}
    for folder in visible(store):
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        found[f"{folder.parent.name}@{folder.name}"] = str(manifest["content_digest"])
    return found


def wrong(store: Path, expected: Mapping[str, str] | None = None) -> list[str]:
    """What is damaged; and, where digests are expected, what is not as a build leaves it that nobody has disturbed."""
    found = [str(finding) for finding in damaged(store)]
    if expected is None:
        return found
    found += [f"left: {path}" for path in leftovers(store)]
    if digests(store) != expected:
        found.append(f"other versions or digests: {digests(store)}")
    for name in {ref.partition("@")[0] for ref in expected}:
        if not (store / name / "refs" / "latest").is_file():
            found.append(f"no {name}@latest")
    return found


def listed(faults: list[str]) -> str:
    """Faults as a list, to stand below a table."""
    return "".join(f"\n- {fault}" for fault in faults)


def table(title: str, rows: Mapping[str, object]) -> str:
    """A Markdown table of two columns."""
    lines = [f"| {title} | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    return "\n".join(lines)
