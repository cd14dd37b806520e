"""A study on one HTML page that needs nothing but itself: no script, no network, every text escaped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from lope_common.files import write_whole
from lope_common.page import environment
from lope_common.shown import brief
from pipelines.page.facts import libraries, settings_table, sittings, versions_table
from pipelines.page.plots import figures
from pipelines.page.plots.svg import labelled
from pipelines.page.sentences import detectable, floor_notes, place_label, summary, who_label
from pipelines.page.tables import accuracy_tables
from pipelines.results.findings import GENERATED_CHANCE, Comparison, Findings, Kind, analyse
from pipelines.results.intervals import FEW, SEEDS_TO_TEST
from pipelines.results.labels import arm_label, p_value, points
from pipelines.results.power import POWER
from pipelines.study.outcome import Outcome

_TITLES: dict[Kind, str] = {"arm": "With the reference", "mode": "Between modes", "noise": "Noisy questions"}


def write_page(outcome: Outcome, path: Path) -> None:
    """Writes the page, whole or not at all, whoever else writes it; an older one is replaced. Raises OSError."""
    page = render_page(outcome, analyse(outcome))
    write_whole(path, page)


def render_page(outcome: Outcome, findings: Findings) -> str:
    """The page's HTML."""
    filters = {
        "num": lambda value: f"{value:,}",
        "pct": lambda share: f"{100 * share:.1f}",
        "ratio": lambda share: f"{100 * share:g} %",
        "points": points,
        "p": p_value,
        "took": _took,
        "brief": brief,
        "labelled": labelled,
    }
    return (
        environment(Path(__file__).parent, filters).get_template("page.html.jinja").render(_content(outcome, findings))
    )


def _content(outcome: Outcome, findings: Findings) -> dict[str, Any]:
    """All that the template shows."""
    columns, arms = settings_table(outcome)
    accuracies = findings.accuracies.values()
    return {
        "outcome": outcome,
        "study": outcome.study,
        "reference": arm_label(outcome.study, outcome.study.reference),
        "summary": summary(outcome, findings),
        "questions": {one.key.task: one.questions for one in accuracies},
        "tables": accuracy_tables(outcome, findings),
        "comparisons": [
            (kind, title, detectable(findings.of(kind)), *_forest(outcome, findings.of(kind)))
            for kind, title in _TITLES.items()
            if findings.of(kind)
        ],
        "unpaired": len(findings.unpaired),
        "floors": floor_notes(outcome, findings),
        "drawings": figures(outcome, findings),
        "setting_columns": columns,
        "arms": arms,
        "versions": versions_table(outcome),
        "libraries": libraries(outcome),
        "sittings": sittings(outcome),
        "generated_chance": GENERATED_CHANCE,
        "power": POWER,
        "few_questions": FEW,
        "seeds_to_test": SEEDS_TO_TEST,
    }


def _forest(outcome: Outcome, found: Sequence[Comparison]) -> tuple[float, list[tuple[str, list[dict[str, Any]]]]]:
    """The end of an axis around 0 that holds all intervals, and by task a row for each comparison, placed on it."""
    top = max(abs(end) for one in found for end in (*(one.interval or ()), one.difference, 0.01))
    groups: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        low, high = one.interval or (one.difference, one.difference)
        row = {
            "one": one,
            "label": who_label(outcome, one).replace(" %", "\N{NO-BREAK SPACE}%"),
            "left": 50 + 50 * low / top,
            "width": 50 * (high - low) / top,
            "at": 50 + 50 * one.difference / top,
        }
        groups.setdefault(place_label(outcome, one.key), []).append(row)
    return top, list(groups.items())


def _took(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else str(timedelta(seconds=round(seconds)))
