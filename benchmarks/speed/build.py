"""How long `lope_data build` takes beside `datasets` loading and saving the same rows, and how fast it starts; one run.

    python -m benchmarks.speed.build [--rows 1000000] [--format jsonl] [--repeats 5] [--in FOLDER]

What is measured, and how, is in benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from lope_data.sources import sample_rows

PEER = """
import sys, datasets
datasets.disable_progress_bars()
kind, source, folder = sys.argv[1:]
rows = datasets.load_dataset(kind, data_files=source, split="train", cache_dir=folder + "/cache")
rows.save_to_disk(folder + "/saved")
"""
BUILD_RATIO = 2.0  # targets: our time over the peer's,
HELP_RATIO = 3.0  # the help's over that of importing pyarrow,
AGAIN = 0.3  # and what a repeated build takes beyond the help, in seconds
_GROUP = 1_000_000  # rows of a group in Parquet, as pandas has them
SMALL = 50_000_000  # bytes of the source of the repeated build


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--format", choices=("jsonl", "parquet", "csv"), default="jsonl")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--in", dest="folder", type=Path, help="where to write; default: a temporary folder")
    options = parser.parse_args()
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        source = folder / f"rows.{options.format}"
        write_rows(source, options.rows)
        size = source.stat().st_size
        console.print(
            f"{options.rows:,} rows, {size / 1e6:.0f} MB of {options.format}; {options.repeats} repeats in turns"
        )
        table = Table("what", "seconds: median", "least", "most", "ratio", "target")
        peer, ours = builds(source, options.format, folder, options.repeats)
        add(table, "datasets: load and save", peer)
        ratio = statistics.median(ours) / statistics.median(peer)
        add(table, "lope_data build --ratio 0.2 --workers 2", ours, f"{ratio:.2f}", f"{BUILD_RATIO:g}")
        some = folder / "some.jsonl"
        write_rows(some, max(1, SMALL // 310))
        start(table, some, folder, options.repeats)
        console.print(table)


def write_rows(path: Path, count: int) -> None:
    """Rows of about 300 bytes: texts of the sample, cut and joined at random, every one another."""
    if path.suffix == ".jsonl":
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in random_rows(count))
    elif path.suffix == ".parquet":
        schema = pa.schema(dict.fromkeys(("instruction", "input", "output"), pa.string()).items())
        with pq.ParquetWriter(path, schema) as writer:
            for rows in batched(random_rows(count), _GROUP):
                writer.write_table(pa.Table.from_pylist(rows, schema))
    else:
        import polars as pl

        pl.DataFrame(list(random_rows(count))).write_csv(path)


def batched(rows: Iterator[dict[str, str]], size: int) -> Iterator[list[dict[str, str]]]:
    """So many at a time."""
    while some := list(islice(rows, size)):
        yield some


def random_rows(count: int) -> Iterator[dict[str, str]]:
    """The rows that `write_rows` writes."""
    draw = random.Random(614)  # noqa: S311
    texts = [str(row.get("text") or row.get("question") or row.get("instruction")) for row in sample_rows("sample")]
    for i in range(count):
        one, two, three = (draw.choice(texts) for _ in range(3))
        yield {"instruction": f"{one[:130]} ({i})", "input": two[:80], "output": f"{three} {two}"[:130]}


def builds(source: Path, kind: str, folder: Path, repeats: int) -> tuple[list[float], list[float]]:
    """Seconds of the peer and of ours, in turns, after one of each that is not counted."""
    module = "json" if kind == "jsonl" else kind
    peer, ours = [], []
    for _ in range(repeats + 1):
        for name in ("cache", "saved", "store"):
            shutil.rmtree(folder / name, ignore_errors=True)
        peer.append(seconds("-c", PEER, module, str(source), str(folder)))
        ours.append(
            seconds(
                *("-m", "lope_data", "build", "--source", str(source), "--ratio", "0.2", "--workers", "2"),
                *("--name", "noisy", "--store", str(folder / "store")),
            )
        )
    return peer[1:], ours[1:]


def start(table: Table, source: Path, folder: Path, repeats: int) -> None:
    """Adds how long starting takes, and asking for a version that is there."""
    build = ("-m", "lope_data", "build", "--source", str(source), "--name", "again", "--store", str(folder / "store"))
    seconds(*build)
    times: dict[str, list[float]] = {"import": [], "help": [], "again": []}
    for _ in range(3 * repeats):
        times["import"].append(seconds("-c", "import pyarrow"))
        times["help"].append(seconds("-m", "lope_data", "--help"))
        times["again"].append(seconds(*build))
    imports, helps, again = (statistics.median(times[key]) for key in ("import", "help", "again"))
    add(table, "import pyarrow", times["import"])
    add(table, "lope_data --help", times["help"], f"{helps / imports:.2f}", f"{HELP_RATIO:g}")
    what = f"a build that is there, source of {source.stat().st_size / 1e6:.0f} MB"
    add(table, what, times["again"], f"+{again - helps:.2f} s", f"+{AGAIN:g} s")


def seconds(*words: str) -> float:
    """The time of a Python process, start and all."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    return time.perf_counter() - began


def add(table: Table, what: str, times: list[float], ratio: str = "", target: str = "") -> None:
    table.add_row(what, f"{statistics.median(times):.2f}", f"{min(times):.2f}", f"{max(times):.2f}", ratio, target)


if __name__ == "__main__":
    main()
