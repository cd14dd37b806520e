"""A version on one HTML page that needs nothing but itself: no script, no network, every text escaped."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import TemplateError

from lope_common.files import write_whole
from lope_common.page import environment
from lope_common.places import local_path
from lope_common.shown import brief
from lope_data.errors import StoreError
from lope_data.names import is_version
from lope_data.report.pieces import before_and_after
from lope_data.report.rates import by_step, remarks
from lope_data.report.sample_rows import Sample, version_samples
from lope_data.report.statistics import EditStatistics, column_statistics, edit_statistics
from lope_data.report.values import choices_text, value_text
from lope_data.rows.plain import plain_rows
from lope_data.rows.shapes import OURS, ROW_ID, SHAPE
from lope_data.store.manifest import NAME
from lope_data.store.version import Version

if TYPE_CHECKING:
    from lope_data.store.manifest_model import Line, Manifest

# What comes of rows, edits and manifests that are not what FORMAT.md says: they are not trusted.
_NOT_AS_DESCRIBED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    TemplateError,
    TypeError,
    ValueError,
    pa.ArrowException,
)
_PATHS = 8  # columns of the table of edits
_CLASSES = 12  # of the table of flips
_TEXTS = 6  # shown of one row
_LONG = 1000  # characters shown of a value


def write_report(version: Version, out: Path | None, count: int) -> Path:
    """Writes the page, whole or not at all; an older file of that name is replaced.

    Args:
        out: the file; by default `NAME-VERSION.html` in the current folder.
        count: how many sample rows to show.

    Returns:
        The file.

    Raises:
        StoreError: the file cannot be written or would be in a version's folder, or the version cannot be read.
    """
    path = local_path(out or f"{version.manifest.name}-{version.manifest.version}.html", "out", StoreError)
    _check_place(path, version)
    page = render_report(version, count)
    try:
        write_whole(path, page)
    except OSError as error:
        raise StoreError(f"cannot write {path} ({error.strerror}); choose another --out") from error
    return path


def _check_place(path: Path, version: Version) -> None:
    if path.is_dir():
        raise StoreError(f"{path} is a folder; --out is a file")
    for folder in path.resolve().parents:
        if folder == version.folder.resolve() or (is_version(folder.name) and (folder / NAME).is_file()):
            raise StoreError(f"{path} would be in the folder of a version, which never changes; choose another --out")


def render_report(version: Version, count: int) -> str:
    """The page.

    Raises:
        StoreError: the version's files cannot be read, or do not hold what FORMAT.md says.
    """
    filters = {"num": _number, "pct": _percent, "asked": _asked, "size": _size, "brief": brief}
    template = environment(Path(__file__).parent, filters).get_template("html_report.html.jinja")
    try:
        return template.render(_content(version, count))
    except _NOT_AS_DESCRIBED as error:
        raise StoreError(f"{version.folder} does not hold what a version holds ({error}); build it again") from error


def _content(version: Version, count: int) -> dict[str, Any]:
    """All that the template shows."""
    manifest = version.manifest
    found = edit_statistics(version)
    noisy = manifest.kind == "build"
    return {
        "manifest": manifest,
        "lineage": _lineage(version),
        "steps": _steps(manifest),
        "remarks": remarks(manifest) if noisy else [],
        "edits": found,
        "table": _table(found, [step.name for step in manifest.steps]),
        "flips": _flips(found.flips),
        "columns": column_statistics(version),
        "samples": [_marked(sample) for sample in version_samples(version, found, count)],
        "rows": [] if noisy else _some_rows(version, count),
        "recipe": json.dumps(manifest.recipe.plain, indent=2, ensure_ascii=False),
    }


def _lineage(version: Version) -> list[dict[str, Any]]:
    """The chain from the ingested source to this version, each `{name, version, manifest, problem}`."""
    mine = version.manifest
    chain: list[dict[str, Any]] = [{"name": mine.name, "version": mine.version, "manifest": mine}]
    root = version.folder.absolute().parent.parent
    for link in mine.parents:
        entry: dict[str, Any] = {"name": link.name, "version": link.version, "manifest": None}
        chain.append(entry)
        folder = root / link.name / link.version
        if not (folder / NAME).is_file():
            entry["problem"] = "not in this store"
            continue
        try:
            manifest = Version.at(folder).manifest
        except StoreError:
            entry["problem"] = "cannot be read"
            continue
        if manifest.content_digest == link.content_digest:
            entry["manifest"] = manifest
        else:
            entry["problem"] = "holds other rows now"
    return chain[::-1]


def _steps(manifest: Manifest) -> list[dict[str, Any]]:
    """The lines of the report by step, with the shares that the charts show; `top` is where their axis ends."""
    asked = {step.name: step for step in manifest.steps}
    found = []
    for name, lines in by_step(manifest.report).items():
        shown = [_line(line) for line in lines]
        ends = [0.01]
        for line in shown:
            if line["charted"]:
                ends += [line["expected_share"], line["realised_share"], (line["interval"] or [0, 0])[1]]
        found.append(
            {
                "name": name,
                "ratio": asked[name].ratio,
                "level": lines[0].level,
                "lines": shown,
                "asked": sum(line.rows_asked for line in lines),
                "rows": sum(line.rows for line in lines),
                "top": _round_up(min(max(ends), 1.0)),
            }
        )
    return found


def _line(line: Line) -> dict[str, Any]:
    units = line.units
    return line.plain | {
        "expected_share": line.expected / units if units else None,
        "realised_share": line.changed / units if units else None,
        "charted": bool(units) and line.unit != "target",
    }


def _round_up(share: float) -> float:
    """The next round share: 1, 2, 4, 5, 10, 20, 40, 50 or 100 %, whose half is round as well, or a step between."""
    return next(
        (top for top in (0.01, 0.02, 0.04, 0.06, 0.1, 0.12, 0.16, 0.2, 0.3, 0.4, 0.6, 0.8) if share <= top), 1.0
    )


def _table(found: EditStatistics, steps: Sequence[str]) -> dict[str, Any]:
    """Edits by op (rows) and path (columns); the least of many paths stand together."""
    ranked = sorted(found.by_path, key=lambda path: (-found.by_path[path].edits, path))
    shown = ranked if len(ranked) <= _PATHS else ranked[: _PATHS - 1]
    lines: dict[tuple[str, str], dict[str, int]] = {}
    sums: Counter[str] = Counter()
    for (step, op, path), uses in found.by_op.items():
        cells = lines.setdefault((step, op), {})
        column = path if path in shown else ""
        cells[column] = cells.get(column, 0) + uses.edits
        sums[column] += uses.edits
    turn = {step: i for i, step in enumerate(steps)}
    ordered = sorted(lines.items(), key=lambda line: (turn.get(line[0][0], len(turn)), line[0]))
    return {
        "paths": [*shown, *([""] if len(ranked) > len(shown) else [])],
        "sums": sums,
        "many": len(ranked) - len(shown),
        "lines": [{"step": step, "op": op, "cells": cells} for (step, op), cells in ordered],
        "top": max((edits for cells in lines.values() for edits in cells.values()), default=0),
        "steps": len({step for step, _ in lines}),
    }


def _flips(flips: Counter[tuple[str, str]]) -> dict[str, Any]:
    """The flips among the classes that most of them are of; the others stand together."""
    sizes: Counter[str] = Counter()
    for (clean, noisy), rows in flips.items():
        sizes[clean] += rows
        sizes[noisy] += rows
    ranked = sorted(sizes, key=lambda name: (-sizes[name], name))
    shown = sorted(ranked if len(ranked) <= _CLASSES else ranked[:_CLASSES])
    place = {name: i for i, name in enumerate(shown)}
    size = len(shown) + (len(ranked) > len(shown))
    cells = np.zeros((size, size), np.int64)
    for (clean, noisy), rows in flips.items():
        cells[place.get(clean, size - 1), place.get(noisy, size - 1)] += rows
    return {
        "classes": shown,
        "others": len(ranked) - len(shown),
        "cells": cells.tolist(),
        "top": int(cells.max(initial=0)),
        "rows": int(cells.sum()),
    }


def _marked(sample: Sample) -> dict[str, Any]:
    texts = [{"path": path, "sides": before_and_after(pieces)} for path, pieces in sample.texts[:_TEXTS]]
    return {"row_id": sample.row_id, "ops": sample.ops, "prompt": sample.prompt, "texts": texts} | {
        "more": len(sample.texts) - len(texts)
    }


def _some_rows(version: Version, count: int) -> list[dict[str, Any]]:
    """Rows of an ingested version, of each shape about as many, from all over it."""
    names = sorted(pc.unique(version.rows[SHAPE]).to_pylist())
    places: list[int] = []
    for i, name in enumerate(names):
        mine = np.flatnonzero(pc.equal(version.rows[SHAPE], name).to_numpy())
        share = min(count // len(names) + (i < count % len(names)), len(mine))
        places += mine[np.linspace(0, len(mine) - 1, share).astype(int)].tolist()
    choices = {has.get("choices") for has in version.layout.columns.values()}
    return [
        {
            "row_id": row[ROW_ID],
            "shape": row[SHAPE],
            "values": [
                (name, brief(choices_text(value) if name in choices else value_text(value), _LONG))
                for name, value in row.items()
                if name not in OURS and value is not None
            ],
        }
        for place in sorted(places)
        for row in plain_rows(version.rows.slice(place, 1))
    ]


def _number(value: float, digits: int = 0) -> str:
    return f"{value:,.{digits}f}".replace("-", "−")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _asked(share: float) -> str:
    """A share as it was typed."""
    return f"{100 * share:.4g} %"


def _size(count: int) -> str:
    """Bytes for people."""
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:,.0f} B" if unit == "B" else f"{value:,.1f} {unit}"
