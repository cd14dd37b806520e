"""What a version says of itself in a few lines, for Python's prompt and for notebooks; no rows are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from lope_common.shown import brief, safe

if TYPE_CHECKING:
    from pathlib import Path

    from lope_data.store.manifest_model import Manifest

_LONGEST = 200  # characters of a name: what a manifest calls its source and its steps may be of any length


def as_text(manifest: Manifest, folder: Path) -> str:
    """The reference, and below it what there is to say, a line each."""
    lines = [f"  {what:<7} {said}" for what, said in _said(manifest, folder)]
    return "\n".join([f"Version {_shown(manifest.ref)}", *lines])


def as_html(manifest: Manifest, folder: Path) -> str:
    """The same as a table, in which no text is markup."""
    row = Markup('<tr><th style="text-align: left">{}</th><td style="text-align: left">{}</td></tr>')
    rows = [row.format("version", _shown(manifest.ref)), *(row.format(*pair) for pair in _said(manifest, folder))]
    return str(Markup("<table>{}</table>").format(Markup("").join(rows)))


def _said(manifest: Manifest, folder: Path) -> list[tuple[str, str]]:
    rows = f"{manifest.rows:,}"
    source = ("source", _shown(manifest.source.name))
    place = ("folder", safe(str(folder)))
    if manifest.kind == "ingest":
        return [("rows", rows), source, place]
    steps = manifest.recipe.steps
    ratios = [f"{step.ratio:g}" if len(steps) == 1 else f"{step.name} {step.ratio:g}" for step in steps]
    made = f"{manifest.parents[0].ref} by the recipe {manifest.recipe.name}, ratio {', '.join(ratios)}"
    return [("rows", f"{rows}, {manifest.touched:,} of them with noise"), ("parent", _shown(made)), source, place]


def _shown(text: str) -> str:
    return safe(brief(text, _LONGEST))
