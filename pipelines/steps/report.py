"""report.html: what a pipeline did, on one page that needs nothing but itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lope_common.files import write_whole
from lope_common.page import environment
from lope_data.report import samples
from lope_data.store import Version
from pipelines.steps.recipe import Pipeline
from pipelines.steps.runner import Done

EXAMPLES = 6


def write_report(pipeline: Pipeline, done: Sequence[Done], out: Path) -> Path:
    """Writes report.html into `out`; every text from a dataset or a model is escaped."""
    page = (
        environment(Path(__file__).parent)
        .get_template("report.html.jinja")
        .render(
            pipeline=pipeline,
            steps=[{"title": d.step.title, "command": d.command, "seconds": d.seconds} for d in done],
            noise=[_noise(d) for d in done if d.step.run == "lope_data build"],
            runs=[_run(d) for d in done if d.step.run == "lope_train train"],
            tables=[{"title": d.step.title, **d.result} for d in done if d.step.run == "lope_train evaluate"],
        )
    )
    path = out / "report.html"
    write_whole(path, page)
    return path


def _noise(done: Done) -> dict[str, Any]:
    version = Version.at(Path(done.result["path"]))
    return {
        "title": done.step.title,
        "manifest": version.manifest,
        "samples": samples(version.rows, version.edits, EXAMPLES),
    }


def _run(done: Done) -> dict[str, Any]:
    record = json.loads((Path(done.result["path"]) / "run.json").read_text(encoding="utf-8"))
    return {"title": done.step.title, **record}
