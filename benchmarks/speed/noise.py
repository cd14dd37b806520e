"""How fast `lope_data.corrupt` is beside nlpaug and textnoisr: one thread, same rows, same realised level, one run.

    python -m benchmarks.speed.noise --data DIR [--rows 20000] [--json]

DIR holds `alpaca/random_9k.json` and `gsm8k/train.jsonl`; without them the texts of the embedded sample are taken.
What is measured, and how, is in benchmarks/README.md.
"""

# ruff: noqa: E402

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ[_name] = "1"  # read when the libraries below are imported

import argparse
import hashlib
import json
import math
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from benchmarks.speed.peers import Pair, pairs, realised, reseed, tuned, untouched, version
from lope_data import ShortfallWarning, corrupt
from lope_data.errors import LopeDataError
from lope_data.sources import sample_rows

SEED = 614
LEVEL = 0.1  # what peers are tuned to
TUNE_ROWS = 200
RATIO = {"nlpaug": 100.0, "textnoisr": 30.0}  # targets: ours over the peer
SHARE = 0.5  # target: with edits over without, non-ASCII over ASCII

# Every letter a multi-byte one: Cyrillic (two bytes) in half of the rows, CJK (three bytes) in the other half.
_LATIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CYRILLIC = str.maketrans(
    _LATIN, "".join(chr(0x430 + i) for i in range(26)) + "".join(chr(0x410 + i) for i in range(26))
)
_CJK = str.maketrans({letter: chr(0x4E00 + 37 * i) for i, letter in enumerate(_LATIN)})
_ACCENTED = str.maketrans("aeounc", "áéöüñç")


@dataclass(frozen=True)
class Line:
    """One pair, measured. Speeds in MB/s of UTF-8 input; None where the op can hardly change such text."""

    op: str
    library: str
    peer: str
    unit: str
    peer_level: float
    our_level: float
    our_realised: float
    peer_speed: float
    our_speed: float
    ratio: float
    arrow: float
    arrow_ratio: float
    with_edits: float
    edits_share: float
    mixed: float
    dense: float | None
    dense_share: float | None
    copy_share: float


def texts_of(data: Path | None, rows: int) -> tuple[list[str], str]:
    """The texts, distinct, in the order of their SHA-256, and where they are from."""
    files = [data / "alpaca/random_9k.json", data / "gsm8k/train.jsonl"] if data else []
    if files and all(file.is_file() for file in files):
        found = json.loads(files[0].read_text(encoding="utf-8"))
        found += [json.loads(line) for line in files[1].read_text(encoding="utf-8").splitlines()]
        names, source = ("instruction", "input", "output", "question", "answer"), "Alpaca and GSM8K"
    else:
        found = [*sample_rows("sample"), *sample_rows("sample-heldout")]
        names, source = ("instruction", "input", "output", "question", "text"), "the embedded sample (no --data)"
    texts = {row[name] for row in found for name in names if isinstance(row.get(name), str) and row[name].strip()}
    return sorted(texts, key=lambda text: hashlib.sha256(text.encode()).digest())[:rows], source


def mixed(texts: list[str]) -> list[str]:
    """Every fifth text with accented letters."""
    return [text.translate(_ACCENTED) if i % 5 == 0 else text for i, text in enumerate(texts)]


def dense(texts: list[str]) -> list[str]:
    """Every letter multi-byte: Cyrillic and CJK texts in turn."""
    return [text.translate(_CJK if i % 2 else _CYRILLIC) for i, text in enumerate(texts)]


def megabytes(texts: list[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


def speeds(times: int, *works: tuple[float, Callable[[], object]]) -> list[float]:
    """MB/s of each of (size in MB, work): the median of so many runs, after one that is not counted.

    They take turns, so that what else the machine does falls on all of them alike.
    """
    taken: list[list[float]] = [[] for _ in works]
    for turn in range(times + 1):
        for mine, (_, work) in zip(taken, works, strict=True):
            start = time.perf_counter()
            work()
            if turn:
                mine.append(time.perf_counter() - start)
    return [size / statistics.median(mine) for (size, _), mine in zip(works, taken, strict=True)]


def ours(op: str, texts: Any, size: float, level: float, edits: bool = False) -> tuple[float, Callable[[], object]]:
    return size, lambda: corrupt(texts, op, level, SEED, edits)


def copied(texts: pa.Array) -> list[Any]:
    """The buffers of the texts, copied."""
    return [np.frombuffer(buffer, np.uint8).copy() for buffer in texts.buffers() if buffer is not None]


def matched(op: str, texts: list[str], unit: str, target: float) -> tuple[float, float]:
    """The level, in our op's unit, at which it changes the same share as the peer did, and the share it changes."""
    level = target
    for _ in range(3):
        share = realised(texts, corrupt(texts, op, level, SEED), unit)
        level = min(1.0, level * target / share) if share else level
    return level, realised(texts, corrupt(texts, op, level, SEED), unit)


def can_change(op: str, plain: list[str], foreign: list[str], level: float) -> bool:
    """Whether the op finds at least half as much to change in the foreign texts."""
    found = [len(corrupt(texts, op, level, SEED, True)[1]) for texts in (plain, foreign)]
    return 2 * found[1] >= found[0]


def measured(pair: Pair, texts: list[str]) -> Line:
    run = pair.make(tuned(pair, texts[:TUNE_ROWS], LEVEL))
    reseed()
    size = megabytes(texts)
    start = time.perf_counter()
    noisy = run(texts)  # once, after the runs that tuned it: it takes seconds
    peer_speed = size / (time.perf_counter() - start)
    peer_level = realised(untouched(pair.library, texts), noisy, pair.unit)
    level, our_realised = matched(pair.op, texts, pair.unit, peer_level)
    column = pa.array(texts, pa.large_string())
    accented, foreign = mixed(texts), dense(texts)
    (plain_copy,) = speeds(5, (size, lambda: copied(column)))
    our_speed, with_edits, accented_speed, foreign_speed, arrow = speeds(
        5,
        ours(pair.op, texts, size, level),
        ours(pair.op, texts, size, level, edits=True),
        ours(pair.op, accented, megabytes(accented), level),
        ours(pair.op, foreign, megabytes(foreign), level),
        ours(pair.op, column, size, level),
    )
    fits = can_change(pair.op, texts, foreign, level)
    return Line(
        op=pair.op,
        library=pair.library,
        peer=pair.peer,
        unit=pair.unit,
        peer_level=peer_level,
        our_level=level,
        our_realised=our_realised,
        peer_speed=peer_speed,
        our_speed=our_speed,
        ratio=our_speed / peer_speed,
        arrow=arrow,
        arrow_ratio=arrow / peer_speed,
        with_edits=with_edits,
        edits_share=with_edits / our_speed,
        mixed=accented_speed,
        dense=foreign_speed if fits else None,
        dense_share=foreign_speed / our_speed if fits else None,
        copy_share=arrow / plain_copy,
    )


def able(found: list[Pair]) -> tuple[list[Pair], list[str]]:
    """The pairs that have an op of ours which runs here, and a note for each of the others."""
    here, notes = [], []
    for pair in found:
        try:
            corrupt(["a text"], pair.op, LEVEL)
            here.append(pair)
        except LopeDataError as error:
            notes.append(f"{pair.library} {pair.peer}: left out, as {pair.op} does not run ({error})")
    return here, notes


HEADS = (
    *("op", "peer", "changed", "level", "peer MB/s", "ours MB/s", "ratio", "Arrow MB/s", "ratio"),
    *("with edits", "share", "mixed", "dense", "share", "of a copy"),
)


def cells(line: Line) -> list[str]:
    return [
        line.op,
        f"{line.library} {line.peer}",
        f"{line.peer_level:.3f} / {line.our_realised:.3f}",
        f"{line.our_level:.3f}",
        f"{line.peer_speed:.2f}",
        f"{line.our_speed:.0f}",
        f"{line.ratio:.0f}x",
        f"{line.arrow:.0f}",
        f"{line.arrow_ratio:.0f}x",
        f"{line.with_edits:.0f}",
        f"{line.edits_share:.2f}",
        f"{line.mixed:.0f}",
        "-" if line.dense is None else f"{line.dense:.0f}",
        "-" if line.dense_share is None else f"{line.dense_share:.2f}",
        f"{line.copy_share:.3f}",
    ]


def summary(lines: list[Line]) -> list[dict[str, Any]]:
    """Geometric means and the least, beside their targets."""
    found = []
    for library, target in RATIO.items():
        if ratios := [line.ratio for line in lines if line.library == library]:
            found.append(_means(f"ratio to {library}, lists", ratios, target))
            arrow = [line.arrow_ratio for line in lines if line.library == library]
            found.append(_means(f"ratio to {library}, ours from Arrow to Arrow", arrow, target))
    own = {line.op: line for line in lines}.values()  # an op with two peers counts once
    if shares := [line.edits_share for line in own]:
        found.append(_means("speed with edits over without", shares, SHARE))
    if shares := [line.dense_share for line in own if line.dense_share is not None]:
        found.append(_means("speed on dense non-ASCII over ASCII", shares, SHARE))
    return found


def _means(what: str, values: list[float], target: float) -> dict[str, Any]:
    mean = math.exp(statistics.fmean(math.log(value) for value in values))
    return {"what": what, "geometric_mean": mean, "least": min(values), "target": target}


def markdown(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder with alpaca/ and gsm8k/")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--json", action="store_true", help="end with the figures as one line of JSON")
    arguments = parser.parse_args()
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    warnings.simplefilter("ignore", ShortfallWarning)
    texts, source = texts_of(arguments.data, arguments.rows)
    found, notes = pairs()
    here, more = able(found)
    notes += more
    lines = [measured(pair, texts) for pair in here]
    libraries = {name: version(name) for name in ("nlpaug", "textnoisr")}
    about = f"{len(texts):,} texts of {source}, {megabytes(texts):.1f} MB"
    table = Table(title=about, title_justify="left")
    for head in HEADS:
        table.add_column(head, justify="left" if head in ("op", "peer") else "right", no_wrap=True)
    rows = [cells(line) for line in lines]
    for row in rows:
        table.add_row(*row)
    console = Console(width=200)
    console.print(table)
    means = [[m["what"], f"{m['geometric_mean']:.2f}", f"{m['least']:.2f}", f"{m['target']:g}"] for m in summary(lines)]
    print(markdown(list(HEADS), rows), "\n")
    print(markdown(["over all ops", "geometric mean", "least", "target"], means), "\n")
    for note in [*notes, *(f"{name} {found}" for name, found in libraries.items() if found)]:
        print(f"- {note}")
    if arguments.json:
        said = {"about": about, "versions": libraries, "lines": [asdict(line) for line in lines]}
        print(json.dumps(said | {"summary": summary(lines), "notes": notes}))


if __name__ == "__main__":
    main()
