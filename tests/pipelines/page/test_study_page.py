"""The page and the terminal's table of made-up studies: what they show, what they claim, and that they run nothing."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from lope_data.store import Manifest, as_manifest
from pipelines.page.page import write_page
from pipelines.page.sentences import summary
from pipelines.page.terminal import summary_table
from pipelines.results import analyse
from pipelines.study import BASE, FIRST_SEED, Answers, Outcome, Run, Scale, Setting, Sitting, Step, Study, plan

HOSTILE = (
    "<script>top.pwned=1</script>\"><img src=x onerror=top.pwned=1>' onmouseover='x $\\frac{1}$ \u202e{{ 7*7 }} [bold]"
    "\x1b[31m</style></svg><iframe src=javascript:top.pwned=1>"
)
COMPENSATED = "masked + compensated"
TASKS = {"piqa": (0.5, 0.66), "arc_easy": (0.25, 0.52), "mmlu": (0.25, 0.25)}
"""Of each task the chance, and how much of it the untrained model answers right."""
GAINS = {"lope": 0.045, "hydra": 0.01, "lora": 0.0, "prefix": -0.03}
LABELS = {"lope": "LoPE r=4 (3+1)", "hydra": "HydraLoRA r=4, two passes", "lora": "LoRA r=4", "prefix": "Prefix tuning"}
PAPER = [
    {"arm": "lope", "condition": "nois", "values": {"mmlu": 44.42, "piqa": 76.28, "gsm8k": 13.72}},
    {"arm": "hydra", "condition": "nois", "values": {"mmlu": 43.08, "piqa": 74.92, "gsm8k": 11.83}},
    {"arm": "lope", "condition": "clean", "values": {"mmlu": 46.86, "piqa": 76.99}},
    {"arm": "lope", "condition": "nois", "mode": "not masked", "values": {"piqa": 61.25}},
]


def study(**changed: Any) -> Study:
    given: dict[str, Any] = {
        "title": "Table 1: methods on clean and on noisy data",
        "about": "Accuracy after training on the original rows, and with noise in 5 % of them.",
        "source": {"file": "alpaca/random_9k.json"},
        "conditions": [
            {"id": "clean", "label": "Orig", "x": 0},
            {"id": "nois", "label": "Nois 5 %", "nois": {"ratio": 0.05}, "x": 5},
        ],
        "arms": [
            {
                "id": name,
                "label": label,
                "train": {"method": "lope", "stage2": "frozen"}
                if name == "lope"
                else {"method": "hydralora" if name == "hydra" else name},
            }
            for name, label in LABELS.items()
        ],
        "reference": "hydra",
        "evaluation": {
            "tasks": list(TASKS),
            "inference": ["compensated", "masked", "unmasked"],
            "experts": [2],
            "noise": [0.5, 1.0],
        },
        "plots": [
            {"kind": "bars", "title": "Accuracy of each method"},
            {"kind": "sweep", "title": "Accuracy over noise in the data", "axis": "noise in the data, % of rows"},
            {"kind": "sweep", "over": "experts", "title": "Accuracy over K", "axis": "K"},
            {"kind": "robustness", "title": "Accuracy over the share of noisy questions"},
            {"kind": "movement", "title": "Movement"},
        ],
        "paper": PAPER,
        "paper_note": "The paper trains one pass of HydraLoRA.",
    }
    return Study.model_validate(given | changed)


def answered(seeds: int, questions: int = 400) -> list[Answers]:
    """Made-up answers: methods differ by GAINS, seeds and noise cost a little, mmlu is guessed."""
    rng = np.random.default_rng(3)
    easy = {task: rng.normal(size=questions) for task in TASKS}

    def one(arm: str, condition: str, seed: int | None, mode: str, task: str, noise: float, gain: float) -> Answers:
        chance, level = TASKS[task]
        logits = easy[task] - np.quantile(easy[task], 1 - level) + 3 * gain - 0.25 * noise
        logits += 0.15 * rng.normal(size=questions)
        if level == chance:
            logits = rng.normal(size=questions) - 0.674
        ids = tuple(f"{task}:{i}" for i in range(questions))
        return Answers(
            "smollm2-135m", arm, condition, seed, mode, task, noise, ids, tuple(map(bool, logits > 0)), chance
        )

    found = []
    for task in TASKS:
        for noise in (0.0, 0.5, 1.0):
            found.append(one(BASE, BASE, None, "none", task, noise, 0.0))
            for condition, cost in (("clean", 0.0), ("nois", 0.01)):
                for arm, gain in GAINS.items():
                    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
                        got = gain - cost + 0.004 * rng.normal()
                        modes = {COMPENSATED: 0.0} if arm == "lope" else {"none": 0.0}
                        if arm == "lope" and not noise:
                            modes |= {"masked": -0.01, "not masked": -0.02, f"{COMPENSATED}, K=2": -0.002}
                        found += [
                            one(arm, condition, seed, mode, task, noise, got + less) for mode, less in modes.items()
                        ]
    return found


SITTING = Sitting("2026-10-05", "abc123", "two cores")


def run(arm: str, condition: str, seed: int) -> Run:
    settings: dict[str, Any] = {"method": "hydralora" if arm == "hydra" else arm, "r": 4, "lora_alpha": 32}
    settings |= {"learning_rate": 2e-4, "epochs": 1.0, "batch_size": 8, "max_length": 512, "target_modules": None}
    settings |= {"num_experts": 4, "num_poisoning": 1, "compensation_experts": None, "dtype": "bfloat16"}
    settings |= {"router_input": "latent", "embedding_alpha": None, "embedding_scale": "none"}
    stage = {"stage": "stage I", "trained_parameters": 230400, "seconds": 574.7}
    stage["embedding_alpha"] = 0.05 if arm == "lope" else 0.0
    record = {"settings": settings, "stages": [stage], "libraries": {"torch": "2.13.0", "peft": "0.21.2"}}
    return Run("smollm2-135m", arm, condition, seed, Path("/runs") / arm, record, SITTING, 600.0)


def manifest(name: str, version: str, parents: list[dict[str, Any]]) -> Manifest:
    mix = dict.fromkeys(("char.case", "char.swap", "word.swap", "label.flip", "label.choice"), "1/3")
    step = {"name": "nois", "ratio": 0.05, "level": 0.1, "mix": mix, "params": {}, "stratify": False}
    line = {"step": "nois", "op": "char.case", "unit": "character", "units": 1000, "changed": 97, "weight": "1/3"}
    line |= {"rows_asked": 30, "rows": 30, "examined": 30, "eligible": 30, "needs": "a letter", "level": 0.1}
    line |= {"expected": 100.0, "interval": None, "cer": None, "cer_unmeasured": 0}
    recipe = {"name": "nois", "steps": [step], "protect": [], "constraints": {}}
    said = {
        "format": 1,
        "kind": "build" if parents else "ingest",
        "name": name,
        "version": version,
        "depth": len(parents),
        "rows": 600,
        "touched": 30 if parents else 0,
        "shortfall": 0,
        "shapes": {"classification": 600},
        "layout": {
            "columns": {"classification": {"text": "text", "label": "label"}},
            "classes": {},
            "absent": [],
            "raw": [],
        },
        "seed": 614,
        "content_digest": f"sha256:{version * 4}",
        "source": {"name": "random_9k", "fingerprint": f"sha256:{version * 4}"},
        "parents": parents,
        "recipe": recipe if parents else {"columns": {}, "ingest": 1, "limit": None, "shape": None},
        "report": [line] if parents else [],
        "ops": dict.fromkeys(mix, "1") if parents else {},
        "hints": {},
        "libraries": {"numpy": "2.4.6"},
        "files": [{"path": "state.json", "bytes": 1, "sha256": "0" * 64}],
        "manifest_sha256": "0" * 64,
    }
    return as_manifest(said, Path(name))


def outcome(seeds: int = 5, **changed: Any) -> Outcome:
    parent = {"name": "random-9k", "version": "4c8dec65ce0228ea", "content_digest": f"sha256:{'4c8dec65ce0228ea' * 4}"}
    given: dict[str, Any] = {
        "study": study(),
        "name": "paper/table1",
        "scale_name": "small",
        "scale": Scale(rows=600, questions=400, seeds=seeds, train={"batch_size": 8}, about="A night on two cores."),
        "models": ("smollm2-135m",),
        "command": "python -m pipelines run paper/table1 --data-dir DATA --scale small",
        "hardware": "AMD EPYC 7B13, 2 cores",
        "date": "2026-11-24",
        "answers": answered(seeds),
        "runs": [run(arm, "nois", FIRST_SEED + i) for arm in GAINS for i in range(seeds)],
        "steps": [
            Step("read alpaca/random_9k.json", "ingest", "python -m lope_data ingest DATA", 1.2, "done"),
            Step("lope nois 614", "train", "python -m lope_train train --seed 614", 18421.8, "kept"),
        ],
        "versions": [manifest("nois", "b0a2843254176ed7", [parent]), manifest("random-9k", "4c8dec65ce0228ea", [])],
    }
    return Outcome(**given | changed)


class Page(HTMLParser):
    """The text of a page, its tags, and the rows of its tables; fails on what could run or load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self._skip = self._cell = False
        self.feed(html)
        self.rows = [[" ".join(cell.split()) for cell in row] for row in self.rows]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "iframe", "object", "embed", "form", "link", "base", "foreignobject"), tag
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "xlink:href", "action", "data", "srcset"):
                assert value is not None
                assert value.startswith(("#", "data:image/png;base64,")), value
            if name == "id":
                self.ids.append(str(value))
        self.tags.append(tag)
        self._skip = tag == "style"
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self._cell = True
            self.rows[-1].append("")
        elif self._cell and tag in ("small", "br"):
            self.rows[-1][-1] += " "

    def handle_endtag(self, tag: str) -> None:
        self._skip = False
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if not self._skip:
            self.text += data
            if self._cell:
                self.rows[-1][-1] += data

    def row(self, *starts: str) -> list[str]:
        """The row whose first cells begin so."""
        rows = [row for row in self.rows if all(c.startswith(s) for c, s in zip(row, starts, strict=False))]
        assert rows, starts
        return rows[0]

    @property
    def compared(self) -> list[list[str]]:
        """The rows of comparisons: whose second cell is a bar, and which are nine."""
        return [row for row in self.rows if len(row) == 9 and row[0] and not row[1]]


def page(given: Outcome, folder: Path) -> Page:
    write_page(given, folder / "page.html")
    assert [path.name for path in folder.iterdir()] == ["page.html"]
    return Page((folder / "page.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return page(outcome(), tmp_path_factory.mktemp("whole"))


def test_an_untrained_model_that_nobody_asked_has_no_row(whole: Page, tmp_path: Path) -> None:
    assert whole.row("", "untrained model")
    given = outcome()
    answers = [one for one in given.answers if one.arm != BASE]
    assert "untrained model" not in page(replace(given, answers=answers), tmp_path).text.partition("Compar")[0]


def test_runs_of_several_sittings_are_counted_by_commit_and_machine(whole: Page, tmp_path: Path) -> None:
    assert "in several sittings" not in whole.text
    given = outcome()
    other = replace(given.runs[0], sitting=Sitting("2026-10-06", "def456+", "a GPU"), path=None)
    mixed = page(replace(given, runs=[other, *given.runs[1:]]), tmp_path)
    assert f"{len(given.runs) - 1} runs of 2026-10-05, commit abc123, on two cores" in mixed.text
    assert "1 run of 2026-10-06, commit def456+, on a GPU" in mixed.text


def hostile() -> Outcome:
    """Every text that a recipe, a model or a machine may bring."""
    arms = [{"id": name, "label": HOSTILE + name, "train": {"method": HOSTILE}} for name in GAINS]
    conditions = [{"id": name, "label": HOSTILE + name, "x": x} for x, name in enumerate(("clean", "nois"))]
    paper = [one | {"model": HOSTILE, "values": {HOSTILE: 44.42, "piqa": 1.0}} for one in PAPER]
    changed = study(
        title=HOSTILE,
        about=HOSTILE,
        source={"file": HOSTILE},
        arms=arms,
        conditions=conditions,
        paper=paper,
        paper_note=HOSTILE,
        plots=[{"kind": kind, "title": HOSTILE, "axis": HOSTILE} for kind in ("bars", "sweep", "robustness", "map")],
    )
    given = [
        replace(one, model=HOSTILE, task=HOSTILE if one.task == "mmlu" else one.task)
        for one in answered(2, 60)
        if one.noise < 1
    ]
    runs = [replace(run(arm, "nois", FIRST_SEED), model=HOSTILE, path=Path(HOSTILE)) for arm in GAINS]
    for one in runs:
        one.record["settings"]["target_modules"] = [HOSTILE]
        one.record["libraries"] = {HOSTILE: HOSTILE}
    noisy = manifest("n", "0" * 16, [{"name": "p", "version": "0" * 16, "content_digest": f"sha256:{'0' * 64}"}])
    bad = {"name": HOSTILE, "version": HOSTILE}  # what no manifest that is read can hold
    step = noisy.steps[0].model_copy(update={"mix": {HOSTILE: HOSTILE}})
    noisy = noisy.model_copy(
        update={
            **bad,
            "content_digest": HOSTILE,
            "parents": [noisy.parents[0].model_copy(update=bad)],
            "recipe": noisy.recipe.model_copy(update={"steps": [step]}),
            "libraries": {HOSTILE: HOSTILE},
        }
    )
    return outcome(
        seeds=2,
        study=changed,
        name=HOSTILE,
        scale_name=HOSTILE,
        scale=Scale(seeds=2, train={HOSTILE: HOSTILE}, about=HOSTILE),
        models=(HOSTILE,),
        command=HOSTILE * 20,
        hardware=HOSTILE,
        date=HOSTILE,
        answers=given,
        runs=runs,
        steps=[Step(HOSTILE, HOSTILE, HOSTILE * 9, 1.0, "failed", HOSTILE * 20), Step("b", "train", "c", 0.0, "done")],
        versions=[noisy],
    )


def test_the_table_has_ours_and_beside_it_the_papers(whole: Page) -> None:
    given = outcome()
    findings = analyse(given)
    head = whole.row("trained with")
    assert [name.split()[0] for name in head[1:]] == ["piqa", "arc_easy", "mmlu", "piqa", "mmlu", "gsm8k"]
    assert whole.row("", "this study")[1:] == ["this study, smollm2-135m", "paper, LLaMA2-7B"]
    lope = [row for row in whole.rows if row and "LoPE" in row[0] and len(row) == 7]
    assert lope[0][4:] == ["76.99", "46.86", ""]
    assert lope[1][4:] == ["76.28", "44.42", "13.72"]
    masked = [row for row in whole.rows if row and row[0] == "not masked" and len(row) == 7]
    assert [row[4] for row in masked] == ["", "61.25"]
    one = next(a for a in findings.accuracies.values() if (a.key.arm, a.key.condition) == ("lope", "nois"))
    assert one.key.mode == COMPENSATED
    low, high = one.interval
    assert lope[1][1].startswith(f"{100 * one.mean:.1f} {100 * low:.1f} – {100 * high:.1f} sd ")
    assert whole.row("chance")[1:4] == ["50.0", "25.0", "25.0 at floor"]


def test_verdicts_and_findings_say_the_same(whole: Page) -> None:
    findings = analyse(outcome())
    shown = [row[3] for row in whole.compared]
    assert sorted(shown) == sorted(one.verdict for one in findings.comparisons)
    assert {"significant, higher", "not significant", "at floor"} <= set(shown)
    tested = [one for one in findings.of("arm") if one.holm is not None]
    significant = [one for one in tested if one.significant]
    assert f"{len(significant)} of {len(tested)} tested differences are significant" in whole.text
    assert "At floor: mmlu." in whole.text
    assert not any("mmlu" in line for finding in summary(outcome(), findings) for line in finding.single)
    floor = [row for row in whole.compared if row[3] == "at floor"]
    assert floor
    assert all((row[5], *row[7:]) == ("–",) * 3 for row in floor)


def test_every_table_of_differences_states_what_it_could_have_seen(whole: Page) -> None:
    findings = analyse(outcome())
    shown = sorted(row[5] for row in whole.compared if row[3] != "at floor")
    assert shown == sorted(f"{100 * (one.detectable or 0):.1f}" for one in findings.comparisons if one.holm is not None)
    for kind in ("arm", "mode", "noise"):
        least = [100 * (one.detectable or 0) for one in findings.of(kind) if one.holm is not None]
        said = f"The smallest true differences that could have been seen with power 0.8 are {min(least):.1f} to"
        assert f"{said} {max(least):.1f} points." in whole.text
    assert "two-sided at 0.05, before Holm’s correction" in whole.text


def test_it_shows_what_it_was_made_of(whole: Page) -> None:
    for text in ("A night on two cores.", "AMD EPYC 7B13, 2 cores", "2026-11-24", "5:07:03", "torch 2.13.0"):
        assert text in whole.text
    for text in ("python -m pipelines run paper/table1", "python -m lope_train train --seed 614", "up to 400"):
        assert text in whole.text
    nois = whole.row("nois@b0a2843254176ed7")
    assert nois[1:5] == ["600", "30", "5.0 %", "5 % of rows at level 10 %: 2 char, 1 word, 2 label"]
    assert nois[5:8] == ["9.7 %", "614", "random-9k@4c8dec65ce0228ea"]
    assert whole.row("random-9k@")[4] == "clean source"
    lope = whole.row("LoPE r=4 (3+1)", "lope")
    assert lope[1:11] == ["lope", "4", "32", "0.0002", "1", "8", "512", "4", "1", "both"]
    assert lope[11:] == [
        "latent",
        "0.05",
        "query, value",
        "bfloat16",
        "230,400",
        "575",
        "5",
        "method=lope stage2=frozen",
    ]
    assert whole.row("HydraLoRA", "hydralora")[8:13] == ["4", "–", "–", "latent", "–"]
    assert whole.row("LoRA", "lora")[8:13] == ["–"] * 5
    assert len(whole.ids) == len(set(whole.ids))
    assert whole.tags.count("svg") > 20


def test_what_failed_comes_first_and_is_called_so(tmp_path: Path) -> None:
    whole = outcome(seeds=2)
    given = [one for one in whole.answers if one.arm != "lora" and (one.arm, one.seed) != ("prefix", FIRST_SEED + 1)]
    steps = [
        Step("smollm2-135m lora nois 614", "train", "python -m lope_train train", 3.0, "failed", "out of memory"),
        Step("smollm2-135m lora nois 614", "evaluate", "", 0.0, "not run", "needs the run"),
        *whole.steps,
    ]
    given_outcome = replace(whole, answers=given, steps=steps)
    found = page(given_outcome, tmp_path)
    assert found.text.index("2 of 4 steps did not succeed") < found.text.index("Findings")
    assert "out of memory" in found.text
    assert "1 step of 4 failed, so 1 step could not run." in found.text
    rows = [row[1:4] for row in found.rows if row and row[0] == "LoRA r=4" and len(row) == 7]
    assert rows == [["no result"] * 3, ["failed"] * 3]  # on clean data nothing failed
    assert "1 of 2 seeds" in found.row("Prefix tuning")[1]
    assert "cannot be decided (fewer than 5 seeds" in found.text
    assert "significant" not in " ".join(f.text for f in summary(given_outcome, analyse(given_outcome)))


def test_one_seed_claims_nothing(tmp_path: Path) -> None:
    given = outcome(seeds=1)
    found = page(given, tmp_path)
    assert {row[3] for row in found.compared} == {"cannot decide", "at floor"}
    said = [finding.text for finding in summary(given, analyse(given))]
    assert any(text.endswith("Nothing is claimed of them.") for text in said)
    assert not any("power" in text for text in said)
    assert {(*row[4:6], *row[7:]) for row in found.compared} == {("–",) * 4}
    assert not any(finding.single for finding in summary(given, analyse(given)))
    assert "sd " not in " ".join(cell for row in found.rows for cell in row)


def test_without_any_result_there_is_a_page(tmp_path: Path) -> None:
    failed = [Step("read", "ingest", "c", 0.0, "failed", "no such file")]
    found = page(outcome(answers=[], runs=[], versions=[], steps=failed), tmp_path)
    assert "There is no result." in found.text
    assert found.row("LoPE r=4 (3+1)")[1:4] == ["no result"] * 3  # none of its own steps is there
    assert found.text.count("There is nothing to draw") >= 4


def _empty_cells(steps: Iterable[Step], folder: Path) -> list[str]:
    """What a page without any answer says of the untrained model, then of arms by condition."""
    found = page(outcome(answers=[], runs=[], steps=list(steps), study=study(plots=[])), folder)
    labels = ("untrained model", *LABELS.values())
    return [row[1] for row in found.rows if len(row) == 7 and row[0].startswith(labels)]


@pytest.mark.parametrize("kind", ["train", "evaluate"])
def test_a_cell_failed_where_a_step_of_its_own_did(tmp_path: Path, kind: str) -> None:
    """By the titles that the plan gives its jobs."""
    jobs = plan(study(), Setting(Scale(), ("smollm2-135m",), Path("data")), ())
    done = [Step(job.title, job.kind, "c", 0.0, "done") for job in jobs]
    own = [step for step in done if step.kind == kind]
    places = range(9)[-len(own) :]  # the untrained model is not trained
    assert len(own) == 8 + (kind == "evaluate")
    for place, mine in zip(places, own, strict=True):
        said = _empty_cells((replace(step, state="not run") if step is mine else step for step in done), tmp_path)
        assert said[:9] == ["failed" if i == place else "no result" for i in range(9)]
    elsewhere = [replace(step, state="failed") for step in done if step.kind not in ("train", "evaluate")]
    assert "failed" not in _empty_cells(elsewhere, tmp_path)


def test_two_models_stand_apart(tmp_path: Path) -> None:
    small = [one for one in answered(1, 50) if one.noise == 0]
    both = [*small, *(replace(one, model="t5") for one in small)]
    found = page(outcome(seeds=1, models=("smollm2-135m", "t5"), answers=both), tmp_path)
    assert "this study, t5" in found.text
    assert "piqa, t5" in found.text
    assert "mmlu is at floor for t5" in found.text


def test_hostile_texts_are_shown_and_run_nothing(tmp_path: Path) -> None:
    found = page(hostile(), tmp_path)
    assert found.text.count("<script>top.pwned=1</script>") > 100
    assert "{{ 7*7 }}" in found.text
    assert not {"\u202e", "\x1b"} & set(found.text)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Content-Security-Policy" in text
    assert text.count("<style") == 1


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="gone"):
        write_page(outcome(seeds=1, answers=[]), tmp_path / "gone" / "page.html")
    assert not any(tmp_path.iterdir())
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_page(outcome(seeds=1, answers=[]), tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_two_studies_may_write_a_page_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, rename = tmp_path / "page.html", Path.replace

    def overtaken(partial: Path, place: Path) -> Path:
        monkeypatch.setattr(Path, "replace", rename)
        write_page(outcome(seeds=1, name="faster", answers=[]), target)
        return partial.replace(place)

    monkeypatch.setattr(Path, "replace", overtaken)
    write_page(outcome(seeds=1, name="slower", answers=[]), target)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert "slower" in target.read_text(encoding="utf-8")


def _with_trec_and_gsm8k() -> Outcome:
    """The untrained model guesses on a test set, which training teaches, and generates one right answer."""
    guesses = ((True, *[False] * 5) * 34)[:200]
    given = []
    for one in answered(5, 200):
        if one.noise == 0 and one.task == "piqa":
            given += [one, replace(one, task="gsm8k", chance=None, right=(False,) * 199 + (True,))]
            given.append(replace(one, task="trec", chance=1 / 6, right=guesses if one.arm == BASE else one.right))
    evaluation = {"tasks": ["piqa", "gsm8k"], "test": {"file": "trec"}, "inference": ["compensated", "masked"]}
    paper = [{"arm": "lope", "condition": "nois", "values": {"mean": 44.9}}]
    return outcome(study=study(evaluation=evaluation, paper=paper), answers=given)


def test_the_floor_of_each_kind_of_task_is_told(tmp_path: Path) -> None:
    given = _with_trec_and_gsm8k()
    found = page(given, tmp_path)
    assert found.row("chance")[1:5] == ["50.0", "– at floor", "16.7", "– at floor"]  # piqa, gsm8k, trec, mean
    interval = "is at floor for smollm2-135m: the 95 % interval of the untrained model reaches down to"
    assert f"gsm8k {interval} 2 %." in found.text
    assert "mean of 2 tasks is at floor for smollm2-135m: a task in it is." in found.text
    assert "trec is at floor" not in found.text
    assert re.search(r"chance +50\.0 +– +16\.7 +–", _on_terminal(given))
    few = [replace(one, right=(False,) * 200) if one.task != "gsm8k" else one for one in given.answers]
    text = page(replace(given, answers=few), tmp_path).text
    assert f"piqa {interval} chance." in text
    assert "trec is at floor for smollm2-135m: no arm is shown to be above chance." in text


def test_of_what_nobody_answered_the_floor_is_not_known(tmp_path: Path) -> None:
    given = _with_trec_and_gsm8k()
    trained = page(replace(given, answers=[one for one in given.answers if one.arm != BASE]), tmp_path).text
    assert "piqa may be at floor for smollm2-135m: the untrained model has not answered it." in trained
    assert "mean of 2 tasks may be at floor for smollm2-135m: a task in it may be." in trained
    untrained = page(replace(given, answers=[one for one in given.answers if one.arm == BASE]), tmp_path).text
    assert "trec may be at floor for smollm2-135m: no trained run has answered it." in untrained


def test_the_methods_say_how_floors_and_families_are_made(whole: Page) -> None:
    methods = whole.text[whole.text.index("How the numbers were made") :]
    for said in (
        "Holm’s correction is over all that the study tests: arms against the reference, modes against the first,",
        "A mean of tasks counts as a task does; what is at floor is not in it.",
        "Fewer than 5 seeds cannot decide",
        "down to chance, or to 2 % where answers are generated",
        "On a test set whose labels training teaches, the untrained model guesses by nature",
        "A mean is at floor where one of its tasks is.",
    ):
        assert said in methods


def test_settings_that_differ_stand_in_rows_of_their_own(tmp_path: Path) -> None:
    clean, nois = run("lope", "clean", FIRST_SEED), run("lope", "nois", FIRST_SEED)
    clean.record["settings"] |= {"router_input": "hidden", "embedding_scale": "neftune", "embedding_alpha": 5.0}
    clean.record["stages"][0] |= {
        "embedding_alpha": 5.0,
        "embedding_noise_ratio": 0.0888,
        "embedding_noise_tokens": 100,
    }
    nois.record["stages"][0]["embedding_noise_ratio"] = 0.213
    found = page(outcome(answers=[], runs=[clean, nois]), tmp_path)
    assert found.row("LoPE r=4 (3+1) Orig", "lope")[11:13] == [
        "hidden",
        "5 (8.88 % of the embedding's spread at 100 tokens), neftune",
    ]
    assert found.row("LoPE r=4 (3+1) Nois 5 %", "lope")[11:13] == [
        "latent",
        "0.05 (21.3 % of the embedding's spread)",
    ]


def _on_terminal(given: Outcome) -> str:
    console = Console(file=io.StringIO(), width=220, force_terminal=False)
    console.print(summary_table(given))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_terminal_has_the_same_verdicts() -> None:
    given = outcome()
    text = _on_terminal(given)
    clean = [one for one in analyse(given).of("arm") if not one.key.noise]
    for verdict in {one.verdict for one in clean}:
        assert len(re.findall(rf": {verdict}\b", text)) == sum(one.verdict == verdict for one in clean)
    for one in clean:
        sees = f"{one.verdict}; sees {100 * (one.detectable or 0):.1f}"
        assert (sees in text) == (one.holm is not None)
    assert "difference from HydraLoRA r=4, two passes" in text
    assert "found with power 0.8, two-sided, before Holm" in text
    assert re.search(r"chance +50\.0 +25\.0 +25\.0", text)


def test_the_terminal_shows_hostile_labels_as_text() -> None:
    text = _on_terminal(hostile())
    assert "[bold]" in re.sub(r"\s", "", text)
    assert "␛" in text
    assert not {"\u202e", "\x1b"} & set(text)
