"""How long `lope_data ingest` takes beside `datasets` loading and saving the same rows, and how much memory; one run.

    python -m benchmarks.speed.ingest [--rows 1000000 3000000] [--formats jsonl parquet] [--repeats 3] [--in FOLDER]

What is measured, and how, is in benchmarks/README.md. Linux only: memory is read from /proc.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.speed.build import PEER, write_rows

RATIO = 1.0  # targets: our time over the peer's, of the least of each,
MEMORY = 300  # megabytes of anonymous memory for the fewest rows,
GROWTH = 1.2  # and how many times that for any more
_EVERY = 0.01  # seconds between two looks at the memory


@dataclass(frozen=True)
class Run:
    """A process: seconds on the clock, seconds of processors, and the most anonymous memory, in bytes."""

    wall: float
    processor: float
    memory: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--formats", choices=("jsonl", "parquet", "csv"), nargs="+", default=["jsonl", "parquet"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--in", dest="folder", type=Path, help="where to write; default: a temporary folder")
    options = parser.parse_args()
    console = Console(highlight=False)
    table = Table("rows", "format", "MB", "who", "seconds: least", "most", "processor: least", "ratio", "memory: most")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        for kind in options.formats:
            first = 0.0
            for rows in options.rows:
                source = folder / f"rows.{kind}"
                console.print(f"writing {rows:,} rows of {kind}")
                write_rows(source, rows)
                peer, ours = in_turns(source, kind, folder, options.repeats)
                ratio = min(run.wall for run in ours[1:]) / min(run.wall for run in peer[1:])
                memory = ours[0].memory / 1e6
                first = first or memory
                aim = f"{MEMORY} MB" if memory == first else f"{GROWTH:g} times"
                said = f"{memory:.0f} MB" + ("" if memory == first else f", {memory / first:.2f} times") + f" ({aim})"
                size = f"{source.stat().st_size / 1e6:.0f}"
                _add(table, f"{rows:,}", kind, size, "datasets: load, save", peer)
                _add(table, "", "", "", "lope_data ingest", ours, f"{ratio:.2f} ({RATIO:g})", said)
                source.unlink()
    console.print(table)


def in_turns(source: Path, kind: str, folder: Path, repeats: int) -> tuple[list[Run], list[Run]]:
    """Runs of the peer and of ours. The first of each is looked at for its memory, and its time is not counted: looking
    takes time of the cores that are measured.
    """
    module = "json" if kind == "jsonl" else kind
    peer, ours = [], []
    for number in range(repeats + 1):
        for name in ("cache", "saved", "store"):
            shutil.rmtree(folder / name, ignore_errors=True)
        peer.append(run("-c", PEER, module, str(source), str(folder), look=not number))
        ours.append(run("-m", "lope_data", "ingest", str(source), "--store", str(folder / "store"), look=not number))
    return peer, ours


def run(*words: str, look: bool) -> Run:
    """A Python process from its start to its end. `look`: at its memory while it runs."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    memory = 0
    while True:
        pid, status, used = os.wait4(process.pid, os.WNOHANG if look else 0)
        if pid:
            break
        memory = max(memory, _anonymous(process.pid))
        time.sleep(_EVERY)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)[:200]} failed")
    return Run(wall, used.ru_utime + used.ru_stime, memory)


def _anonymous(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")), 0)


def _add(
    table: Table, rows: str, kind: str, size: str, who: str, runs: list[Run], ratio: str = "", memory: str = ""
) -> None:
    walls = [run.wall for run in runs[1:]]
    least = min(run.processor for run in runs[1:])
    memory = memory or f"{runs[0].memory / 1e6:.0f} MB"
    table.add_row(rows, kind, size, who, f"{min(walls):.2f}", f"{max(walls):.2f}", f"{least:.2f}", ratio, memory)


if __name__ == "__main__":
    main()
