"""The folder that `score` leaves: tokens.arrow, rows.arrow, scores.json and report.html, put in place whole."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lope_common.files import beside, sha256_of
from lope_train.detector.auroc import RESAMPLES, SEED
from lope_train.detector.report import report
from lope_train.detector.scores import Request, Scored
from lope_train.detector.tables import as_dict
from lope_train.errors import RunError
from lope_train.runs.adapter import WEIGHTS, read_json, write_json

SCORES = "scores.json"
REPORT = "report.html"
_FORMAT = 1


class ScoreFolder:
    """Where the scores of one request go: a new folder, or one that holds scores of the same request."""

    def __init__(self, out: Path | None, request: Request) -> None:
        """Raises RunError where something else is there; the model takes long, so before it."""
        self.request = request
        self.out = out or request.run.parent / f"{request.run.name}-scores-{request.data.name}"
        self.asked = _asked(request)
        self._check()

    def write(self, scored: Scored) -> Path:
        """Everything, under another name first. Raises RunError where it cannot be written."""
        target = self.out.absolute()
        scratch, old = beside(target), beside(target)
        try:
            scratch.mkdir(parents=True)
            _write_table(scratch / "tokens.arrow", token_table(scored))
            _write_table(scratch / "rows.arrow", row_table(scored))
            record = summary(self.asked, self.request, scored)
            write_json(scratch / SCORES, record)
            (scratch / REPORT).write_text(report(scored, record), encoding="utf-8")
            self._check()
            if target.exists():
                target.rename(old)
            scratch.rename(target)
        except OSError as error:
            raise RunError(f"{self.out}: cannot be written: {error}") from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            if old.exists() and not target.exists():
                old.rename(target)
            shutil.rmtree(old, ignore_errors=True)
        return self.out

    def _check(self) -> None:
        if not self.out.exists() or (self.out.is_dir() and not any(self.out.iterdir())):
            return
        if not (self.out / SCORES).is_file() or read_json(self.out / SCORES).get("request") != self.asked:
            raise RunError(f"{self.out}: is there, and not of this request; name another folder with --out")


def _asked(request: Request) -> dict[str, Any]:
    """What decides the scores."""
    path = request.run / WEIGHTS
    if not path.is_file():
        raise RunError(f"{request.run}: no {WEIGHTS}; train again")
    other = request.choose_on
    return {
        "adapter": f"sha256:{sha256_of(path)}",
        "model": request.record.get("model_fingerprint"),
        "data": {"ref": request.data.ref, "content_digest": request.data.content_digest},
        "choose_on": None if other is None else {"ref": other.ref, "content_digest": other.content_digest},
        "limit": request.limit,
    }


def summary(asked: dict[str, Any], request: Request, scored: Scored) -> dict[str, Any]:
    """scores.json; AUROCs are in 0..1, `low` and `high` their 95 % intervals."""
    trained_on = request.record.get("data") or {}
    lines = scored.lines
    return {
        "format": _FORMAT,
        "run": request.run.name,
        "request": asked,
        "layers": scored.layers,
        "best": None if scored.best is None else asdict(scored.best),
        "trained_on_these_rows": request.data.content_digest
        in (trained_on.get("content_digest"), trained_on.get("parent_content_digest")),
        "rows": len(lines.lines),
        "left_out": asdict(lines.skipped),
        "tokens": len(scored.row),
        "edited_tokens": sum(bool(token.ops) for line in lines.lines for token in line.tokens),
        "bootstrap": {"unit": "rows", "resamples": RESAMPLES, "seed": SEED},
        "groups": [as_dict(group) for group in scored.groups],
        "verdicts": [asdict(verdict) for verdict in scored.verdicts],
    }


def token_table(scored: Scored) -> pa.Table:
    """A line a token, in the order of the version and of the row."""
    lines = scored.lines.lines
    tokens = [token for line in lines for token in line.tokens]
    columns: dict[str, Any] = {
        "row_id": pa.array([line.row_id for line in lines for _ in line.tokens], pa.string()),
        "position": pa.array([n for line in lines for n in range(len(line.tokens))], pa.int32()),
        "completion": pa.array([n >= line.prompt for line in lines for n in range(len(line.tokens))], pa.bool_()),
        "token": pa.array([token.text for token in tokens], pa.string()),
        "path": pa.array([token.path for token in tokens], pa.string()),
        "start": pa.array([token.start for token in tokens], pa.int64()),
        "end": pa.array([token.end for token in tokens], pa.int64()),
        **{name: pa.array(values.astype(np.float32), from_pandas=True) for name, values in scored.tokens.items()},
        "counted": pa.array([token.exposed for token in tokens], pa.bool_()),
        "ops": pa.array([token.ops for token in tokens], pa.list_(pa.string())),
    }
    columns["subwords"] = pa.array([token.subwords for token in tokens], pa.int32())
    return pa.table(columns)


def row_table(scored: Scored) -> pa.Table:
    """A line a row."""
    lines = scored.lines.lines
    weights = np.split(scored.tokens["weight_mean"], np.flatnonzero(np.diff(scored.row)) + 1)
    texts = [values[[token.exposed for token in line.tokens]] for values, line in zip(weights, lines, strict=True)]
    return pa.table(
        {
            "row_id": pa.array([line.row_id for line in lines], pa.string()),
            "tokens": pa.array([len(line.tokens) for line in lines], pa.int32()),
            "text_weight_mean": pa.array([float(own.mean()) if len(own) else None for own in texts], pa.float32()),
            "text_weight_max": pa.array([float(own.max()) if len(own) else None for own in texts], pa.float32()),
            **{
                f"completion_{name}": pa.array(values.astype(np.float32), from_pandas=True)
                for name, values in scored.completions.items()
            },
            "text_ops": pa.array([line.text_ops for line in lines], pa.list_(pa.string())),
            "label_ops": pa.array([line.label_ops for line in lines], pa.list_(pa.string())),
        }
    )


def _write_table(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
