"""Whether rows come out of a version as they went in: files are ingested, exported as their source, and compared.

    python -m benchmarks.agreement.round_trip FILE_OR_FOLDER ... [--json]

What is compared, and how, is in benchmarks/README.md. The exit code is 1 where a row differs.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import lope_data
from lope_data.errors import LopeDataError
from lope_data.forms import FORMS
from lope_data.sources import Reading, open_source
from lope_data.transfer import export_rows

DELIMITERS = {"semi3.csv": ";"}  # where it is not the one that the suffix says
SUFFIXES = (".json", ".jsonl", ".csv", ".tsv", ".txt")
COLUMNS: dict[tuple[str, ...], dict[str, Any]] = {
    ("goal", "sol1", "sol2"): {"text": "goal"},
    ("context", "question", "answerA", "answerB", "answerC"): {"text": "question"},
    ("question", "choice0", "choice1", "choice2", "choice3", "answer"): {
        "choices": [f"choice{number}" for number in range(4)]
    },
}
"""Of sources that no shape fits by itself: their columns, and what is said of them."""
PATTERNS = {
    "TREC": {"pattern": r"(?P<label>\w+):(?P<fine>\S+) (?P<text>.*)", "encoding": "latin-1"},
    "stsa": {"pattern": "(?P<label>[01]) (?P<text>.*)"},
}
"""How plain text is read, by the beginning of its file's name."""


@dataclass(frozen=True)
class Trip:
    """A file: its rows, how many came out otherwise, and why it was refused, if it was."""

    file: str
    rows: int
    different: int
    why: str


def trip(path: Path, store: Path) -> Trip:
    """One file there and back."""
    reading = next((how for name, how in PATTERNS.items() if path.name.startswith(name)), {})
    try:
        names = tuple(open_source(str(path), Reading(**reading)).read().column_names)
        version = lope_data.ingest(path, {"source": reading}, columns=COLUMNS.get(names), store=store, name="rows")
        dataset = version.to_dataset()
    except LopeDataError as error:
        return Trip(str(path), 0, 0, str(error))
    source, out = list(_source(path, reading)), list(_out(version, store / "rows.jsonl"))
    assert len(dataset) == len(out) == version.manifest.rows
    different = sum(repr(one) != repr(other) for one, other in zip(source, out, strict=False))
    return Trip(str(path), len(source), different + abs(len(source) - len(out)), "")


def _source(path: Path, reading: dict[str, str]) -> Iterator[Any]:
    """The rows as Python's own libraries read them."""
    if reading:  # what its pattern leaves out of a line is put back by it
        yield from path.read_text(reading.get("encoding", "utf-8")).rstrip("\n").split("\n")
    elif path.suffix == ".json":
        yield from json.loads(path.read_bytes())
    elif path.suffix == ".jsonl":
        yield from map(json.loads, path.read_text("utf-8").rstrip("\n").split("\n"))
    elif path.suffix in (".csv", ".tsv"):
        with path.open(encoding="utf-8", newline="") as file:
            usual = "\t" if path.suffix == ".tsv" else ","
            yield from csv.DictReader(file, delimiter=DELIMITERS.get(path.name, usual))
    else:
        yield from ({"text": line} for line in path.read_text("utf-8").rstrip("\n").split("\n"))


def _out(version: lope_data.Version, out: Path) -> Iterator[Any]:
    out.unlink(missing_ok=True)
    export_rows(version, FORMS["source"], "jsonl", out, lambda *_: None)
    lines: dict[tuple[str, ...], Callable[[Any], str]] = {
        ("label", "fine", "text"): lambda row: f"{row['label']}:{row['fine']} {row['text']}",
        ("label", "text"): lambda row: f"{row['label']} {row['text']}",
    }
    patterned = version.manifest.recipe.plain.get("source", {}).get("pattern") is not None
    for text in out.read_text("utf-8").rstrip("\n").split("\n"):
        row = json.loads(text)
        yield lines[tuple(row)](row) if patterned else row


def files_of(paths: list[Path]) -> Iterator[Path]:
    """The files that hold rows, those of folders too."""
    for path in paths:
        if path.is_dir():
            yield from files_of(sorted(path.iterdir()))
        elif path.suffix in SUFFIXES or path.name.startswith(tuple(PATTERNS)):
            yield path


def main() -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--json", action="store_true", help="print one JSON array, for scripts")
    typed = parser.parse_args()
    with tempfile.TemporaryDirectory() as store:
        trips = [trip(path, Path(store)) for path in files_of(typed.paths)]
    if typed.json:
        print(json.dumps([asdict(one) for one in trips]))
    else:
        _show(trips)
    return int(any(one.different for one in trips))


def _show(trips: list[Trip]) -> None:
    table = Table("file", "rows", "equal", "not equal, or refused")
    for one in trips:
        equal = "–" if one.why else f"{one.rows - one.different:,}"
        table.add_row(one.file, f"{one.rows:,}", equal, one.why or (f"{one.different:,}" if one.different else ""))
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table)
    read = [one for one in trips if not one.why]
    rows, different = sum(one.rows for one in read), sum(one.different for one in read)
    console.print(
        f"{len(read)} files read, {len(trips) - len(read)} refused; {rows - different:,} of {rows:,} rows equal"
    )


if __name__ == "__main__":
    os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
    sys.exit(main())
