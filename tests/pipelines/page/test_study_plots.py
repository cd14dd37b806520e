"""Figures of a study: what they hold, what they leave out and say so, and that they can stand on one page."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lope_train.inspection import ParameterMaps
from pipelines.page.plots import figures
from pipelines.page.plots import runs as plots_runs
from pipelines.page.plots.svg import Drawing, labelled, look, shown
from pipelines.results import analyse
from pipelines.study import BASE, Answers, Outcome, Run, Scale, Sitting, Study

COMPENSATED = "masked + compensated"
HOSTILE = "$\\frac{a}{ <script>alert(1)</script> \"' \u202e 汉字"


def draw(*plots: dict[str, Any], **changed: Any) -> list[Drawing]:
    given: dict[str, Any] = {
        "title": "t",
        "about": "a",
        "source": {"file": "rows.json"},
        "conditions": [{"id": f"c{x}", "label": f"{x} %", "x": x} for x in (0, 5, 20)],
        "arms": [
            {"id": "lope", "label": "LoPE", "train": {"method": "lope", "stage2": "frozen"}, "x": 1},
            {"id": "hydra", "label": HOSTILE, "train": {"method": "hydralora"}, "x": 2},
        ],
        "reference": "hydra",
        "evaluation": {"tasks": ["piqa"], "experts": [0, 1], "inference": ["compensated", "masked"]},
        "plots": [{"title": "p", **plot} for plot in plots],
    }
    study = Study.model_validate(given | changed.pop("study", {}))
    chance = changed.get("chance", 0.25)
    found = [
        Answers("m", arm, condition.id, seed, mode, "piqa", noise, ("1", "2", "3", "4"), right, chance)
        for arm, modes in {"lope": (COMPENSATED, "masked", f"{COMPENSATED}, K=1"), "hydra": ("none",)}.items()
        for condition in study.conditions
        for seed, right in ((614, (True, True, False, True)), (615, (True, False, False, True)))
        for mode in modes
        for noise in (0.0, 0.5)
    ]
    found.append(Answers("m", BASE, BASE, None, "none", "piqa", 0.0, ("1", "2", "3", "4"), (True,) * 4, chance))
    settings = {"num_experts": 4, "num_poisoning": 1, "compensation_experts": None}
    runs = [
        Run("m", arm, "c5", 614, Path("/gone") / arm, {"settings": settings}, Sitting("", "", ""), 1.0)
        for arm in ("lope", "hydra")
    ]
    outcome = Outcome(study, "n", "s", Scale(), ("m",), "c", "h", "d", changed.get("answers", found), runs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return figures(outcome, analyse(outcome))


def test_bars_have_every_arm_condition_and_mode() -> None:
    (drawing,) = draw({"kind": "bars"})
    (panel,) = drawing.panels
    assert panel.title == "piqa"
    for part in ("untrained model 100.0 %", "LoPE, 5 % 62.5 %", "LoPE, 20 %, masked 62.5 %"):
        assert part in panel.says
    assert panel.says.count("62.5 %") == 12
    assert "untrained model</text>" in panel.svg


def test_a_sweep_has_the_paper_beside_it() -> None:
    paper = [
        {"arm": "lope", "condition": "c0", "values": {"piqa": 76.0, "gsm8k": 13.0}},
        {"arm": "lope", "condition": "c20", "values": {"piqa": 70.5}},
        {"arm": "lope", "condition": "c20", "mode": "masked", "values": {"piqa": 1.0}},
    ]
    (drawing,) = draw({"kind": "sweep", "axis": "noise, %"}, study={"paper": paper})
    assert [(panel.title, panel.paper) for panel in drawing.panels] == [
        ("piqa", False),
        ("piqa, the paper’s LLaMA2-7B", True),
    ]
    assert "LoPE: 62.5 % at 0, 62.5 % at 5, 62.5 % at 20" in drawing.panels[0].says
    assert drawing.panels[1].says.endswith("LoPE: 76.0 % at 0, 70.5 % at 20")
    assert "Shaded are the paper’s figures" in drawing.caption
    assert [label for _, label in drawing.legend] == ["LoPE", HOSTILE]  # the page escapes it
    (alone,) = draw({"kind": "sweep"})
    assert "paper" not in alone.caption


def test_where_there_is_no_chance_no_line_is_drawn() -> None:
    plots = [{"kind": kind} for kind in ("bars", "sweep", "robustness")]
    lines = [panel.svg.count("stroke-dasharray: 0.8,") for one in draw(*plots) for panel in one.panels]
    without = [panel for one in draw(*plots, chance=None) for panel in one.panels]
    assert [panel.svg.count("stroke-dasharray: 0.8,") + 1 for panel in without] == lines
    assert not any(panel.paper for panel in without)


def test_a_sweep_over_arms_or_experts() -> None:
    arms, experts = draw({"kind": "sweep", "over": "arm"}, {"kind": "sweep", "over": "experts"})
    assert [label for _, label in arms.legend] == ["0 %", "5 %", "20 %"]
    assert "5 %: 62.5 % at 1, 62.5 % at 2" in arms.panels[0].says
    # Plain masking is K = 0; all three normal experts are amplified where no K is named.
    assert "LoPE, 5 %: 62.5 % at 0, 62.5 % at 1, 62.5 % at 3" in experts.panels[0].says
    assert all(label.startswith("LoPE") for _, label in experts.legend)


def test_robustness_is_over_the_noise_of_the_questions() -> None:
    (drawing,) = draw({"kind": "robustness"})
    assert [panel.title for panel in drawing.panels] == ["piqa, 0 %", "piqa, 5 %", "piqa, 20 %"]
    assert "LoPE: 62.5 % at 0, 62.5 % at 50" in drawing.panels[0].says


def test_what_cannot_be_drawn_is_said() -> None:
    plots = [{"kind": kind} for kind in ("bars", "sweep", "robustness", "movement", "map")]
    for drawing in draw(*plots, answers=[]):
        assert drawing.panels == []
        assert drawing.missing
    movement = draw({"kind": "movement"})[0]
    assert len(movement.missing) == 1
    assert movement.missing[0].startswith("Left out, LoPE, 5 %; ")


def test_movement_and_maps_are_of_the_first_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = {"stage I": {"A": [0.1, 0.2], "B_poison": [0.3, 0.6]}, "stage II": {"A": [0.1], "B": [0.0]}}
    rng = np.random.default_rng(1)
    at = {"A": rng.normal(size=(4, 2000)), "B": np.zeros((50, 4)), "B_poison": rng.normal(size=(50, 4))}
    monkeypatch.setattr(plots_runs, "movement", lambda run: moved)
    monkeypatch.setattr(plots_runs, "parameter_maps", lambda run: ParameterMaps("q_proj", {"start": at, "stage I": at}))
    movement, maps = draw({"kind": "movement"}, {"kind": "map"})
    assert [panel.title for panel in movement.panels][0::2] == ["stage I, LoPE, 5 %", "stage II, LoPE, 5 %"]
    assert "A ends at 0.2; poisoning B ends at 0.6" in movement.panels[0].says
    assert [label for _, label in movement.legend] == ["A", "normal B", "poisoning B"]
    assert len(maps.panels) == 6
    assert maps.panels[0].svg.count("data:image/png;base64,") >= 2
    assert "q_proj" in maps.panels[0].says


def test_figures_share_no_ids_and_carry_nothing_of_matplotlibs_page() -> None:
    kinds = ("bars", "sweep", "robustness", "bars")
    drawings = draw(*({"kind": kind} for kind in kinds))
    pictures = [panel.svg for one in drawings for panel in one.panels] + [s for one in drawings for s, _ in one.legend]
    ids = re.findall(r' id="([^"]+)"', "".join(pictures))
    assert len(ids) == len(set(ids)) > 100
    for svg in pictures:
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', svg)) <= set(re.findall(r' id="([^"]+)"', svg))
        assert svg.startswith("<svg ")
        head = svg[: svg.index(">")]
        assert "viewBox" in head
        assert "width" not in head
        assert not re.search(r"<(metadata|style|script|!DOCTYPE|\?xml)", svg)
        assert "DejaVu" not in svg
        assert "#010203" not in svg


def test_hostile_labels_are_text() -> None:
    (drawing,) = draw({"kind": "bars"})
    svg = labelled(drawing.panels[0])
    assert "<script" not in svg
    assert "&lt;script&gt;" in svg
    assert "\u202e" not in svg
    assert "$\\frac{a}" in svg  # no formula is made of it
    assert svg.startswith('<svg role="img" aria-label="piqa. untrained')
    assert shown("a\nb\u202ec" + "d" * 50, 8) == "a b⟨U+20…"


def test_looks_differ_in_more_than_colour() -> None:
    looks = [look(place) for place in range(7)]
    assert len({style.marker for style in looks}) == 7
    assert len(set(map(str, (look(place) for place in range(42))))) == 42
