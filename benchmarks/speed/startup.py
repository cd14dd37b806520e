"""What a build of sixty rows takes beside the rows: processor seconds of whole processes, the least of several runs.

    python -m benchmarks.speed.startup [--repeats 5]

What is measured, and how, is in benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lope_data.sources import sample_rows

ROWS = 60
TARGET = 1.0  # processor seconds of the build, with kernels that are compiled
LIBRARIES = "import numpy, pyarrow.compute"
KERNELS = "from lope_data.text import kernels\n{}kernels.prepare(print)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    table = Table("what", "processor seconds: least", "most", "target")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "sixty.jsonl"
        rows = islice((row for row in sample_rows("sample") if "instruction" in row), ROWS)
        source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        there = ("--source", str(source), "--ratio", "0.2", "--store", str(folder / "there"))
        subprocess.run([sys.executable, "-m", "lope_data", "build", *there], check=True, capture_output=True)

        def add(what: str, *words: str, target: str = "") -> None:
            found = [
                processor_seconds(*words, folder=folder, store=f"store-{what}-{i}") for i in range(options.repeats)
            ]
            table.add_row(what, f"{min(found):.2f}", f"{max(found):.2f}", target)

        add("python", "-c", "pass")
        add("numpy and pyarrow", "-c", LIBRARIES)
        add("kernels", "-c", KERNELS.format(""))
        add("kernels, without SciPy", "-c", KERNELS.format("kernels.without_scipy()\n"))
        add("lope_data --help", "-m", "lope_data", "--help")
        add(f"ingest {ROWS} rows", "-m", "lope_data", "ingest", str(source))
        build = ("-m", "lope_data", "build", "--source", str(source), "--ratio", "0.2")
        add(f"build {ROWS} rows", *build, target=f"{TARGET:g}")
        add("build, which is there", "-m", "lope_data", "build", *there)
    Console(highlight=False).print(table)


def processor_seconds(*words: str, folder: Path, store: str) -> float:
    """What a Python process spends in all its threads, start and all, on a store of its own."""
    environment = os.environ | {"LOPE_STORE": str(folder / store)}
    process = subprocess.Popen([sys.executable, *words], env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} failed")
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
