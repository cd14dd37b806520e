"""A reader that looks at every version of a store again and again, until a file `stop` is beside the store.

python -m benchmarks.soak.reliability.watch STORE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import lope_data
from benchmarks.soak.reliability.runs import visible
from lope_data.errors import StoreError
from lope_data.store import verify_version


def watch(store: Path) -> tuple[int, list[str]]:
    """How many times a version was verified and read, and what was not whole although it stayed where it was."""
    looks = 0
    faults: list[str] = []
    while not (store.parent / "stop").exists():
        for folder in visible(store):
            try:
                inode = folder.stat().st_ino
            except FileNotFoundError:  # removed by gc after it was listed
                continue
            found = [str(finding) for finding in verify_version(folder, lambda *_: None)[1]]
            try:
                version = lope_data.open(str(folder))
                if len(version.dataset) != version.manifest.rows:
                    found.append(f"{folder}: rows are missing")
            except StoreError as error:
                found.append(str(error))
            looks += 1
            if found and folder.exists() and folder.stat().st_ino == inode:
                faults += found
    return looks, faults


if __name__ == "__main__":
    print(json.dumps(dict(zip(("looks", "faults"), watch(Path(sys.argv[1])), strict=True))))
