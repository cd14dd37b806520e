"""Whether the fast reader of JSON gives what the careful one gives, however a file is cut into chunks.

python -m benchmarks.agreement.readers FILE_OR_FOLDER ... --count 2000
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa

from lope_data.errors import SourceError
from lope_data.sources import Reading, open_source

_ROOM = "lope_data.sources"
SUFFIXES = (".json", ".jsonl")
_NEVER, _WHOLE = 1 << 60, 1 << 26  # bytes
_PIECES = [
    "a",
    "word ",
    "é",
    "中文",
    "😀",
    '"',
    "\\",
    "/",
    "\n",
    "\r",
    "\t",
    "\b",
    "\f",
    "\0",
    "\x1f",
    "\x7f",
    "{",
    "}",
]
_PIECES += ["[", "]", ",", ":", "\u2028", "\ufeff", " ", "e\u0301", "=:"]
_DAMAGE = [b"", b"\xff", b'"', b",", b"}", b"]", b"\\", b"\n", b"\xc3"]
_VALUES: list[Any] = [None, 1, 2.5, True, [], {}, ["a"], {"a": "b"}, 10**30, float("nan")]


def fuzzed(seed: int) -> tuple[str, bytes]:
    """The suffix and the bytes of a file: rows of texts, as a rule; often with something else in it, or damaged."""
    rng = random.Random(seed)  # noqa: S311
    keys = rng.sample(["text", "label", "a b", "schlüssel", "", 'q"k', "instruction"], rng.randint(1, 4))
    odd = rng.choice([0, 0, 0, 0.02, 0.3])
    rows = [_row(rng, keys, odd) for _ in range(rng.randint(0, 40))]
    ascii_only = rng.random() < 0.5 or "\\ud8" in json.dumps(rows) or "\\udc" in json.dumps(rows)
    separators = rng.choice([(", ", ": "), (",", ":"), (" , ", "\t:  ")])
    if rng.random() < 0.6:
        suffix, end = ".jsonl", rng.choice(["\n", "\r\n", "\n\n", "\n \n", "\r"])
        lines = [json.dumps(row, ensure_ascii=ascii_only, separators=separators) for row in rows]
        text = end.join(lines) + rng.choice(["", end, " "])
    else:
        suffix, indent = ".json", rng.choice([None, 1, 4])
        text = json.dumps(rows, ensure_ascii=ascii_only, indent=indent, separators=None if indent else separators)
        text += rng.choice(["", "\n"])
    data = bytearray(("\ufeff" * (rng.random() < 0.05) + text).encode("utf-8", "surrogatepass"))
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        if data:
            place = rng.randrange(len(data))
            data[place : place + rng.randint(0, 3)] = rng.choice(
                [b"", b"\xff", b'"', b",", b"}", b"]", b"\\", b"\n", b"\xc3"]
            )
    return suffix, bytes(data)


def _row(rng: random.Random, keys: list[str], odd: float) -> Any:
    row: dict[str, Any] = {key: "".join(rng.choices(_PIECES, k=rng.randint(0, 12))) for key in keys}
    if rng.random() < odd:
        row[rng.choice(keys)] = rng.choice(_VALUES)
    if rng.random() < odd:
        row = dict(reversed(row.items()))
    if rng.random() < odd:
        row.pop(rng.choice(keys))
    if rng.random() < odd / 4:
        row[rng.choice(keys)] = rng.choice(["\ud800", "\udc00", "\udc00\ud800", "\ud83d\ude00"])
    return row if rng.random() >= odd / 4 else rng.choice(_VALUES)


def outcome(path: Path, least: int, size: int) -> pa.Table | str:
    """What reading a file gives: its rows, or what is said of it.

    Args:
        least: bytes of a chunk that the fast reader is tried on.
        size: bytes of a chunk.
    """
    with patch(f"{_ROOM}.plain_json.LEAST", least), patch(f"{_ROOM}.chunks.SIZE", size):
        try:
            return open_source(str(path), Reading()).read().combine_chunks()
        except SourceError as error:
            return str(error)


def agree(path: Path, size: int) -> bool:
    """Whether the fast reader, with chunks of so many bytes, gives what the careful one gives of the whole file."""
    careful, fast = outcome(path, _NEVER, _WHOLE), outcome(path, 1, size)
    if isinstance(careful, str) or isinstance(fast, str):
        both = isinstance(careful, str) and isinstance(fast, str)
        # Where it is cut decides which of several mistakes is seen first: of an array, and of bytes that are no text.
        return both and (path.suffix == ".json" or careful == fast or "not utf-8" in str(careful))
    return careful.schema.equals(fast.schema, check_metadata=True) and careful.equals(fast)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("places", nargs="*", type=Path, metavar="FILE_OR_FOLDER", help="JSON and JSON lines")
    parser.add_argument("--count", type=int, default=2000, help="fuzzed files")
    parser.add_argument("--seed", type=int, default=0, help="of the first")
    arguments = parser.parse_args()
    counts: Counter[str] = Counter()
    files = [file for place in arguments.places for file in (sorted(place.rglob("*")) if place.is_dir() else [place])]
    for path in (file for file in files if file.suffix in SUFFIXES):
        same = agree(path, 10_000)
        print(f"{'equal' if same else 'DIFFERS':8}{path}")
        counts["files" if same else "files that differ"] += 1
    with tempfile.TemporaryDirectory(prefix="lope-readers-") as folder:
        for seed in range(arguments.seed, arguments.seed + arguments.count):
            suffix, data = fuzzed(seed)
            path = Path(folder) / f"{seed}{suffix}"
            path.write_bytes(data)
            careful = outcome(path, _NEVER, _WHOLE)
            same = agree(path, 64) and agree(path, _WHOLE)
            counts[f"fuzzed, {'refused' if isinstance(careful, str) else 'read'}{'' if same else ', DIFFERS'}"] += 1
            if not same:
                print(f"DIFFERS: seed {seed}: {careful if isinstance(careful, str) else careful.to_pylist()[:2]}")
            path.unlink()
    print("; ".join(f"{count:,} {what}" for what, count in sorted(counts.items())))
    sys.exit(any("differ" in what.lower() for what in counts))


if __name__ == "__main__":
    main()
