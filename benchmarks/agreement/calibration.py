"""Whether noise comes out as strong as was asked: each op at four levels, on whole texts and on short ones.

    python -m benchmarks.agreement.calibration --data DIR [--rows 10000] [--seed 614] [--json]

DIR holds `alpaca/random_9k.json` and `gsm8k/train.jsonl`; without them the texts of the embedded sample are taken.
What is measured, and how, is in benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cpdist
from rich.console import Console
from rich.table import Table

from benchmarks.speed.noise import markdown, texts_of  # first: it says how many threads there are
from lope_data import ShortfallWarning, corrupt
from lope_data.errors import LopeDataError
from lope_data.noise import Ground, TextOp, all_ops
from lope_data.text import I64, Cells, Draw, row_hashes, splice

LEVELS = (0.01, 0.05, 0.1, 0.3)
BOUND = 0.02  # of the request
Z95, Z99 = 1.959963984540054, 2.5758293035489004
LONGEST = 4096  # characters of a text whose edit distance is measured
AGAIN = 20  # other seeds on which a cell that is outside is measured anew, which tells chance from bias
FIELDS = "structure.drop_field"  # it needs rows of several texts


@dataclass(frozen=True)
class Line:
    """One op at one level on one set of rows. Shares are of the units of the rows that the op can change."""

    op: str
    rows: str
    unit: str
    level: float
    realised: float
    expected: float  # with what the rows have room for
    error: float  # relative to the level
    interval95: tuple[float, float]
    interval99: float  # half of it, relative to the level
    within: bool
    eligible: int
    no_room: int  # rows that the op cannot change
    none_drawn: int  # rows it can change, whose number of units was rounded to none
    needs: str
    cer: float
    per_unit: float  # edit distance for each changed unit


def short(texts: list[str], rows: int) -> list[str]:
    """A piece of 3 to 10 characters of each text, cut where a hash of the text says; those that begin or end with
    white space move on to where they do not.
    """
    draw = Draw((0, "short"), row_hashes(pa.array(texts, pa.large_string())))
    sizes, places = draw.below(8, "size") + 3, draw.unit("place")
    found = []
    for text, size, place in zip(texts, sizes.tolist(), places.tolist(), strict=True):
        starts = len(text) - size + 1
        for i in range(max(starts, 0)):
            begin = (int(place * starts) + i) % starts
            piece = text[begin : begin + size]
            if piece == piece.strip():
                found.append(piece)
                break
    return found[:rows]


def fields(texts: list[str], rows: int) -> tuple[Cells, list[str]]:
    """Rows of two texts each."""
    taken = texts[: min(2 * rows, len(texts) // 2 * 2)]
    bounds = np.arange(0, len(taken) + 1, 2)
    return Cells.of(pa.array(taken, pa.large_string()), bounds), taken


def noised(op: TextOp, cells: Cells, texts: list[str], level: float, seed: int) -> tuple[I64, list[str]]:
    """Units of each row that changed, and the texts after."""
    if cells.one_a_row:
        after, edits = corrupt(texts, op.name, level, seed, edits=True)
        row = np.asarray(edits["row"])
    else:
        keys = row_hashes(pa.array([str(i) for i in range(cells.rows)], pa.large_string()))
        found, _ = op.apply(cells, Draw((seed, "fields", op.name), keys), level, op.params(), floor=False)
        after, row = splice(cells, found).to_pylist(), found.row
    return np.bincount(row, minlength=cells.rows) * op.per_hit, after


def measured(op: TextOp, rows: str, cells: Cells, texts: list[str], ground: Ground, level: float, seed: int) -> Line:
    changed, after = noised(op, cells, texts, level, seed)
    able = ground.room > 0
    units, hit = ground.size[able], changed[able]
    total = int(units.sum())
    realised = hit.sum() / total
    deviation = hit - realised * units
    error = np.sqrt((deviation**2).sum() * len(units) / (len(units) - 1)) / total
    row = np.repeat(np.arange(cells.rows), np.diff(cells.row_bounds))
    brief = np.array([max(len(a), len(b)) <= LONGEST for a, b in zip(texts, after, strict=True)])
    whole = np.bincount(row, ~brief, cells.rows) == 0
    kept = np.flatnonzero((able & whole)[row])
    before, noisy = [texts[i] for i in kept], [after[i] for i in kept]
    distance = int(cpdist(before, noisy, scorer=Levenshtein.distance, dtype=np.int64).sum())
    return Line(
        op=op.name,
        rows=rows,
        unit=op.unit,
        level=level,
        realised=float(realised),
        expected=float(np.minimum(units * level, ground.room[able] * op.per_hit).sum() / total),
        error=float(realised / level - 1),
        interval95=(float(max(realised - Z95 * error, 0)), float(realised + Z95 * error)),
        interval99=float(Z99 * error / level),
        within=bool(abs(realised / level - 1) <= max(BOUND, Z99 * error / level)),
        eligible=int(able.sum()),
        no_room=int((~able).sum()),
        none_drawn=int((hit == 0).sum()),
        needs=op.needs,
        cer=distance / sum(map(len, before)),
        per_unit=distance / max(int(changed[able & whole].sum()), 1),
    )


def runnable(notes: list[str]) -> Iterator[TextOp]:
    """The text ops that run here, but for nlpaug, whose noise is nlpaug's; adds a note for each of the others."""
    for op in all_ops().values():
        if not isinstance(op, TextOp):
            continue
        if op.name == "nlpaug":
            notes.append("nlpaug: left out, as it asks another process for each word; tests hold it to the same")
            continue
        try:
            op.ground(Cells.of(pa.array(["a text"])), op.params())
            yield op
        except LopeDataError as error:
            notes.append(f"{op.name}: left out, as it does not run ({error})")


HEADS = (
    *("op", "rows", "request", "realised", "95 % interval", "off", "99 %", "within"),
    *("CER", "per unit", "eligible", "no unit", "none drawn"),
)


def cells_of(line: Line) -> list[str]:
    low, high = line.interval95
    return [
        line.op,
        line.rows,
        f"{line.level:g}",
        f"{line.realised:.5f}",
        f"{low:.5f} to {high:.5f}",
        f"{line.error:+.2%}",
        f"± {line.interval99:.2%}",
        "yes" if line.within else "NO",
        f"{line.cer:.4f}",
        f"{line.per_unit:.3f}",
        f"{line.eligible:,}",
        f"{line.no_room:,}",
        f"{line.none_drawn:,}",
    ]


def summary(lines: list[Line]) -> list[list[str]]:
    """For each op and set of rows what it was off at each level, and the CER at 0.1."""
    rows = []
    for op, kind in dict.fromkeys((line.op, line.rows) for line in lines):
        mine = {line.level: line for line in lines if (line.op, line.rows) == (op, kind)}
        off = [
            f"{line.error:+.2%}" + (f" (± {line.interval99:.1%})" if line.interval99 > BOUND else "")
            for line in mine.values()
        ]
        rows.append([op, kind, *off, f"{mine[0.1].cer:.4f}", f"{mine[0.1].per_unit:.3f}", f"{mine[0.1].eligible:,}"])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder with alpaca/ and gsm8k/")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=614)
    parser.add_argument("--json", action="store_true", help="end with the figures as one line of JSON")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ShortfallWarning)
    every, source = texts_of(arguments.data, 10**9)
    whole = every[: arguments.rows]
    brief = short(every[::-1], arguments.rows)
    paired, parts = fields(every, arguments.rows)
    sets: dict[str, tuple[Cells, list[str]]] = {
        "whole": (Cells.of(pa.array(whole, pa.large_string())), whole),
        "short": (Cells.of(pa.array(brief, pa.large_string())), brief),
    }
    notes: list[str] = []
    lines: list[Line] = []
    work: dict[tuple[str, str], tuple[TextOp, str, Cells, list[str], Ground]] = {}
    for op in runnable(notes):
        for kind, (cells, texts) in {"two texts": (paired, parts)}.items() if op.name == FIELDS else sets.items():
            ground = op.ground(cells, op.params())
            if (ground.room > 0).sum() < 2:
                notes.append(f"{op.name}: left out on {kind} rows, as none has what it needs ({op.needs})")
                continue
            work[op.name, kind] = op, kind, cells, texts, ground
            lines += [measured(*work[op.name, kind], level, arguments.seed) for level in LEVELS]
    about = f"{len(whole):,} whole and {len(brief):,} short texts of {source}, seed {arguments.seed}"
    table = Table(title=about, title_justify="left")
    for head in HEADS:
        table.add_column(head, justify="left" if head in ("op", "rows") else "right", no_wrap=True)
    for line in lines:
        table.add_row(*cells_of(line))
    Console(width=200).print(table)
    heads = ["op", "rows", *(f"off at {level:g}" for level in LEVELS), "CER at 0.1", "distance per unit", "eligible"]
    print(markdown(heads, summary(lines)), "\n")
    outside = [line for line in lines if not line.within]
    print(f"{len(lines) - len(outside)} of {len(lines)} cells are within {BOUND * 100:g} % or the 99 % interval.")
    for line in outside:
        off = [
            measured(*work[line.op, line.rows], line.level, seed).error
            for seed in range(arguments.seed + 1, arguments.seed + 1 + AGAIN)
        ]
        mean, error = statistics.fmean(off), statistics.stdev(off) / math.sqrt(AGAIN)
        print(
            f"- {line.op} on {line.rows} rows at {line.level:g}: {line.error:+.2%} (± {line.interval99:.2%}); "
            f"over {AGAIN} other seeds {mean:+.2%} (± {Z99 * error:.2%})"
        )
    needs = {line.op: line.needs for line in lines if line.no_room}
    for note in [*notes, *(f"{op} leaves rows without {need}" for op, need in needs.items())]:
        print(f"- {note}")
    if arguments.json:
        said: dict[str, Any] = {"about": about, "lines": [asdict(line) for line in lines], "notes": notes}
        print(json.dumps(said))


if __name__ == "__main__":
    main()
