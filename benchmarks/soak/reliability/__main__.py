"""Reliability of the version store, as figures.

    python -m benchmarks.soak.reliability kill|together|damage|disk [--count N] [--seed N] [--rows N] [--in FOLDER]

What is done, and what counts as a fault, is in benchmarks/README.md. Exit code: 1 where a fault was found.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib import import_module
from pathlib import Path

_DEFAULTS = {"kill": (100, 50_000), "together": (8, 20_000), "damage": (500, 120), "disk": (40, 20_000)}


def main() -> int:
    """Runs one check and prints its tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("check", choices=_DEFAULTS)
    parser.add_argument("--count", type=int, help="kills, processes, flipped bytes or sizes of a disk")
    parser.add_argument("--rows", type=int, help="rows of the source")
    parser.add_argument("--seed", type=int, default=614)
    parser.add_argument("--in", type=Path, dest="folder", help="where to work; default: a temporary folder")
    args = parser.parse_args()
    count, rows = _DEFAULTS[args.check]
    check = getattr(import_module(f"benchmarks.soak.reliability.{args.check}"), args.check)
    with tempfile.TemporaryDirectory(prefix="lope-reliability-", dir=args.folder) as folder:
        faults = 0
        for text in check(Path(folder), args.rows or rows, args.count or count, args.seed):
            print(text, end="\n\n", flush=True)
            faults += "\n- " in text
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
