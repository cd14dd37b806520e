"""The numbers of a study: pairing, one family for Holm, the floor, and every verdict."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from pipelines.results.findings import GENERATED_CHANCE, Comparison, Findings, Key, analyse
from pipelines.results.intervals import crossed, holm
from pipelines.study import BASE, Answers, Outcome, Study

STUDY: dict[str, Any] = {
    "title": "t",
    "about": "a",
    "source": {"file": "rows.json"},
    "conditions": [{"id": "nois", "label": "Nois"}, {"id": "clean", "label": "clean"}],
    "arms": [
        {"id": "lope", "label": "LoPE", "train": {"method": "lope", "stage2": "compensated"}},
        {"id": "hydra", "label": "HydraLoRA", "train": {"method": "lora"}},
        {"id": "lora", "label": "LoRA", "train": {"method": "lora"}, "on": ["nois"]},
    ],
    "reference": "hydra",
    "evaluation": {"tasks": ["piqa"], "inference": ["compensated", "masked"], "noise": [0.1]},
}
COMPENSATED = "masked + compensated"


def answers(arm: str, seed: int | None, right: Sequence[int], **changed: Any) -> Answers:
    mode = COMPENSATED if arm == "lope" else "none"
    given: dict[str, Any] = {"model": "m", "condition": "nois", "mode": mode, "task": "piqa", "noise": 0.0}
    given |= {"chance": 0.25, "ids": tuple(str(i) for i in range(len(right)))} | changed
    return Answers(arm=arm, seed=seed, right=tuple(map(bool, right)), **given)


def base(right: Sequence[int], **changed: Any) -> Answers:
    return answers(BASE, None, right, condition=BASE, **changed)


def found(*given: Answers, tasks: Sequence[str] = ("piqa",), mean: bool = False) -> Findings:
    paper = [{"arm": "lope", "condition": "nois", "values": {"mean": 62.66}}] if mean else []
    changed = STUDY | {"evaluation": STUDY["evaluation"] | {"tasks": list(tasks)}, "paper": paper}
    outcome = Outcome(Study.model_validate(changed), "n", "small", STUDY_SCALE, ("m",), "c", "h", "d", [*given])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        findings = analyse(outcome)
    for one in findings.comparisons:
        numbers = [one.difference, *(one.interval or ()), one.p or 0, one.detectable or 0, one.holm or 0]
        assert all(math.isfinite(number) for number in numbers)
        assert one.interval is None or one.interval[0] < one.interval[1]
    return findings


STUDY_SCALE: Any = None  # of no matter here
ABOVE = base([1] * 90 + [0] * 10)


def only(findings: Findings, kind: Any = "arm") -> Comparison:
    (one,) = findings.of(kind)
    return one


def shares(count: int, *right: int) -> list[list[int]]:
    return [[1] * n + [0] * (count - n) for n in right]


def test_holm_by_hand() -> None:
    # 0.005 * 4, 0.01 * 3, max(0.03 * 2, before), max(0.04 * 1, before)
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_pairing_matters() -> None:
    """The seeds vary by 30 points and the difference hardly: only the paired numbers see it."""
    counts = [30, 50, 45, 60, 40]
    theirs = shares(100, *counts)
    ours = shares(100, *(n + 3 + (i == 2) for i, n in enumerate(counts)))
    pairs = [answers("lope", s, a) for s, a in enumerate(ours)] + [answers("hydra", s, b) for s, b in enumerate(theirs)]
    one = only(found(ABOVE, *pairs))
    assert one.difference == pytest.approx(0.032)
    assert one.interval is not None
    assert one.interval[0] > 0.01
    assert one.verdict == "significant, higher"
    assert stats.ttest_ind([n + 3 for n in counts], counts).pvalue > 0.5
    shuffled = [answers("lope", (s + 2) % 5, a) for s, a in enumerate(ours)]
    assert only(found(ABOVE, *shuffled, *pairs[5:])).verdict == "not significant"


def test_a_comparison_is_of_the_seeds_and_questions_that_both_have() -> None:
    one = only(
        found(
            ABOVE,
            answers("lope", 1, [1, 1, 0, 1]),
            answers("lope", 2, [1, 1, 1, 1]),
            answers("lope", 3, [0, 0, 0, 0]),
            answers("hydra", 2, [0, 1, 1, 1], ids=("2", "1", "0", "9")),
            answers("hydra", 1, [1, 1, 0, 1], ids=("2", "1", "0", "9")),
        )
    )
    assert one.by_seed == {1: pytest.approx(0.0), 2: pytest.approx(1 / 3)}  # of questions 0, 1 and 2
    assert one.questions == 3
    assert one.verdict == "cannot decide"


def test_few_seeds_cannot_decide() -> None:
    ours, theirs = shares(100, 60, 61, 62, 60), shares(100, 40, 41, 41, 42)
    given = [answers("lope", s, a) for s, a in enumerate(ours)] + [answers("hydra", s, b) for s, b in enumerate(theirs)]
    one = only(found(ABOVE, *given))
    assert (one.p, one.holm, one.detectable, one.significant) == (None, None, None, False)
    assert one.verdict == "cannot decide"
    assert one.interval is not None
    assert one.interval[0] > 0
    single = only(found(ABOVE, given[0], given[4]))
    assert (single.verdict, single.interval) == ("cannot decide", None)
    assert only(found(given[0], given[4])).verdict == "cannot decide; floor unknown"
    fifth = [answers("lope", 4, ours[0]), answers("hydra", 4, theirs[0])]
    assert only(found(ABOVE, *given, *fifth)).verdict == "significant, higher"


def test_one_question_cannot_decide() -> None:
    one = only(found(ABOVE, *(answers(arm, s, [arm == "lope"]) for arm in ("lope", "hydra") for s in range(5))))
    assert (one.difference, one.interval, one.p, one.verdict) == (1.0, None, None, "cannot decide")


def test_what_does_not_vary_has_an_interval_and_is_not_claimed() -> None:
    same = [answers(arm, s, [1, 0] * 100) for arm in ("lope", "hydra") for s in range(5)]
    one = only(found(ABOVE, *same))
    assert (one.difference, one.p, one.verdict) == (0.0, 1.0, "not significant")
    assert one.interval == pytest.approx((-0.0149, 0.0149), abs=1e-4)  # 1 - 0.05^(1/200)
    assert one.detectable is not None
    assert 0.02 < one.detectable < 0.035
    always = [answers("hydra", s, [0, 0] + [1, 0] * 99) for s in range(5)]
    one = only(found(ABOVE, *same[:5], *always))
    assert one.difference == pytest.approx(0.005)
    assert one.verdict == "not significant"


def _arms(gains: dict[str, list[int]], **changed: Any) -> list[Answers]:
    """Each arm at five seeds, and the reference with 50 of 100."""
    counts = {"hydra": [50] * 5} | {arm: [50 + gain for gain in gained] for arm, gained in gains.items()}
    return [
        answers(arm, s, row, **changed) for arm, right in counts.items() for s, row in enumerate(shares(100, *right))
    ]


CLEAR, SLIGHT = [12, 13, 15, 14, 11], [5, 2, 9, 7, 2]


def test_the_family_is_all_that_the_study_tests() -> None:
    """Arms with the reference, modes with the first, noisy questions with clean ones."""
    masked = [replace(one, mode="masked") for one in _arms({"lope": SLIGHT}) if one.arm == "lope"]
    noisy = [replace(one, noise=0.1) for one in _arms({}) if one.arm == "hydra"]
    findings = found(ABOVE, *_arms({"lope": CLEAR, "lora": SLIGHT}), *masked, *noisy)
    assert [one.kind for one in findings.comparisons] == ["arm", "mode", "arm", "noise"]
    p_values = [one.p for one in findings.comparisons if one.p is not None]
    assert [one.holm for one in findings.comparisons] == pytest.approx(holm(p_values))
    by_p = sorted(findings.comparisons, key=lambda one: one.p or 0)
    assert [(one.holm or 0) / (one.p or 1) for one in by_p[:3]] == pytest.approx([4, 3, 2])
    alone, among = only(found(ABOVE, *_arms({"lora": SLIGHT}))), findings.of("arm")[1]
    assert alone.p == among.p
    assert (alone.verdict, among.verdict) == ("significant, higher", "not significant")
    assert only(found(ABOVE, *_arms({"lora": [-gain for gain in CLEAR]}))).verdict == "significant, lower"


@pytest.mark.parametrize(
    ("right", "floor"), [(25, "at floor"), (33, "at floor"), (34, "above floor"), (10, "at floor"), (90, "above floor")]
)
def test_the_floor(right: int, floor: str) -> None:
    """Wilson's interval of 33 of 100 begins at 0.2456, of 34 at 0.2548."""
    low = stats.binomtest(right, 100).proportion_ci(method="wilson").low
    assert (low <= 0.25) == (floor == "at floor")
    findings = found(base(shares(100, right)[0]), *_arms({"lope": CLEAR}))
    assert findings.floors == {("m", "piqa"): floor}
    one = only(findings)
    assert one.verdict == ("at floor" if floor == "at floor" else "significant, higher")
    assert (one.holm is None) == (floor == "at floor")


def test_what_is_at_floor_is_not_in_the_family() -> None:
    easy = _arms({"lope": CLEAR})
    hard = _arms({"lope": [1, -1, 1, 0, 1]}, task="arc")
    one, other = found(ABOVE, base([0, 1, 0, 0], task="arc"), *easy, *hard, tasks=["piqa", "arc"]).of("arm")
    assert (one.holm, one.floor) == (pytest.approx(one.p), "above floor")
    assert (other.holm, other.verdict) == (None, "at floor")


def test_without_the_base_the_floor_is_unknown() -> None:
    one = only(found(*_arms({"lope": CLEAR})))
    assert one.verdict == "significant, higher; floor unknown"
    noisy = base([1] * 9, noise=0.1)
    assert only(found(noisy, *_arms({"lope": CLEAR}))).floor == "floor unknown"


@pytest.mark.parametrize(
    ("ours", "floor"), [((90, 90), "above floor"), ((34, 34), "above floor"), ((40, 26), "at floor"), ((), "at floor")]
)
def test_a_test_set_is_at_floor_where_no_trained_run_is_above_chance(ours: tuple[int, ...], floor: str) -> None:
    """The untrained model guesses there; each arm counts with its mean, here 33 of 100 or 34."""
    guesses = base(shares(100, 25)[0], task="trec")
    theirs = [answers("hydra", s, row, task="trec") for s, row in enumerate(shares(100, 20, 20))]
    given = [answers("lope", s, row, task="trec") for s, row in enumerate(shares(100, *ours))]
    findings = found(guesses, *theirs, *given)
    assert findings.floors == {("m", "trec"): floor}
    assert [one.floor for one in findings.of("arm")] == [floor] * bool(ours)
    assert found(guesses, *theirs, *given, tasks=["trec"]).floors == {("m", "trec"): "at floor"}


def test_of_a_test_set_the_untrained_model_says_nothing() -> None:
    good = base([1] * 100, task="trec")
    assert found(good).floors == {("m", "trec"): "floor unknown"}
    guessing = answers("lora", 1, shares(100, 25)[0], task="trec")
    assert found(good, guessing).floors == {("m", "trec"): "at floor"}
    assert found(answers("lora", 1, [1] * 100, task="trec")).floors == {("m", "trec"): "above floor"}


@pytest.mark.parametrize(("right", "floor"), [(0, "at floor"), (1, "at floor"), (13, "at floor"), (14, "above floor")])
def test_generated_answers_have_a_floor_though_no_chance(right: int, floor: str) -> None:
    """Wilson's interval of 13 of 400 begins at 0.0191, of 14 at 0.0210."""
    low = stats.binomtest(right, 400).proportion_ci(method="wilson").low
    assert (low <= GENERATED_CHANCE) == (floor == "at floor")
    findings = found(base(shares(400, right)[0], chance=None), *_arms({"lope": CLEAR}, chance=None))
    assert findings.floors == {("m", "piqa"): floor}
    assert {one.chance for one in findings.accuracies.values()} == {None}


@pytest.mark.parametrize(
    ("arc", "gsm8k", "floor"),
    [
        (90, 50, "above floor"),
        (25, 50, "at floor"),
        (90, 0, "at floor"),
        (90, None, "floor unknown"),
        (25, None, "at floor"),
    ],
)
def test_a_mean_is_at_floor_where_a_task_in_it_is(arc: int, gsm8k: int | None, floor: str) -> None:
    """The test set is at floor and not in the mean."""
    given = [ABOVE, base(shares(100, arc)[0], task="arc")]
    given += [base(shares(100, gsm8k)[0], task="gsm8k", chance=None)] if gsm8k is not None else []
    for task, chance in (("piqa", 0.25), ("arc", 0.25), ("gsm8k", None), ("trec", 0.9)):
        given += _arms({"lope": [1, 2, 3, 1, 2]}, task=task, chance=chance)
    findings = found(*given, tasks=["piqa", "arc", "gsm8k"], mean=True)
    assert findings.floors["m", "trec"] == "at floor"
    assert findings.floors["m", "mean"] == floor
    (one,) = (one for one in findings.of("arm") if one.key.task == "mean")
    assert (one.floor, one.holm is None) == (floor, floor == "at floor")
    assert findings.accuracies[one.key].chance is None


def test_a_mean_counts_in_the_family() -> None:
    given = [base([1] * 9, task=task) for task in ("piqa", "arc")]
    for task, gains in (("piqa", CLEAR), ("arc", SLIGHT)):
        given += _arms({"lope": gains}, task=task)
    findings = found(*given, tasks=["piqa", "arc"], mean=True)
    least = min(findings.of("arm"), key=lambda one: one.p or 1)
    assert len(findings.of("arm")) == 3
    assert least.p is not None
    assert least.holm == pytest.approx(3 * least.p)


def test_modes_and_noise_are_compared_within_an_arm() -> None:
    findings = found(
        ABOVE,
        answers("lope", 1, [1, 1, 1, 1]),
        answers("lope", 1, [1, 1, 0, 1], mode="masked"),
        answers("lope", 1, [1, 0, 0, 1], mode=f"{COMPENSATED}, K=2"),
        answers("lope", 1, [1, 0, 0, 0], noise=0.1),
        answers("hydra", 1, [1, 1, 0, 0]),
        answers("hydra", 1, [0, 1, 0, 0], noise=0.1),
    )
    said = [(one.kind, one.key.arm, one.key.mode, one.key.noise, one.difference) for one in findings.comparisons]
    assert said == [
        ("arm", "lope", COMPENSATED, 0.0, 0.5),
        ("mode", "lope", "masked", 0.0, -0.25),
        ("mode", "lope", f"{COMPENSATED}, K=2", 0.0, -0.5),
        ("noise", "lope", COMPENSATED, 0.1, -0.75),
        ("arm", "lope", COMPENSATED, 0.1, 0.0),
        ("noise", "hydra", "none", 0.1, -0.25),
    ]
    assert all(one.other.noise == 0 for one in findings.of("noise"))


def test_without_a_common_seed_nothing_is_compared() -> None:
    findings = found(ABOVE, answers("lope", 1, [1, 0]), answers("hydra", 2, [1, 1]), answers("lora", 1, [0, 1]))
    assert findings.comparisons == ()
    assert [(kind, key.arm) for kind, key, _ in findings.unpaired] == [("arm", "lope"), ("arm", "lora")]
    assert found(answers("lope", 1, [1], condition="clean")).unpaired != ()  # the reference failed
    assert found().accuracies == {}


def test_accuracy_is_a_mean_over_seeds() -> None:
    findings = found(*(answers("lora", seed, row) for seed, row in enumerate(shares(100, 40, 50, 60))), ABOVE)
    one = findings.accuracies[Key("m", "lora", "nois", "none", "piqa", 0.0)]
    assert (one.mean, one.deviation, one.questions, one.chance) == (pytest.approx(0.5), pytest.approx(0.1), 100, 0.25)
    assert one.by_seed == {0: 0.4, 1: 0.5, 2: 0.6}
    made = crossed([np.array(shares(100, 40, 50, 60), np.int8)])
    assert made is not None
    assert one.interval == (float(made.low), float(made.high))
    untrained = findings.accuracies[Key("m", BASE, BASE, "none", "piqa", 0.0)]
    assert untrained.deviation is None
    wilson = stats.binomtest(90, 100).proportion_ci(method="wilson")
    assert untrained.interval == pytest.approx((wilson.low, wilson.high))


def test_a_mean_of_tasks_stands_where_the_paper_has_one() -> None:
    changed = STUDY | {
        "evaluation": {"tasks": ["piqa", "arc"]},
        "paper": [{"arm": "lope", "condition": "nois", "values": {"mean": 62.66}}],
    }
    given = [
        base([1] * 9 + [0]),
        base([0, 1, 0, 0], task="arc"),
        *(answers("lope", s, row) for s, row in enumerate(([1, 1], [1, 0]))),
        *(answers("lope", s, row, task="arc") for s, row in enumerate(([1, 0, 0, 1], [0, 0, 0, 1]))),
        *(answers("hydra", s, row) for s, row in enumerate(([1, 0], [1, 0], [1, 1]))),
        *(answers("hydra", s, row, task="arc") for s, row in enumerate(([1, 0, 0, 0], [0, 0, 0, 1]))),
    ]
    findings = analyse(Outcome(Study.model_validate(changed), "n", "small", STUDY_SCALE, ("m",), "c", "h", "d", given))
    mean = findings.accuracies[Key("m", "lope", "nois", COMPENSATED, "mean", 0.0)]
    assert mean.by_seed == {0: 0.75, 1: 0.375}
    assert (mean.questions, mean.chance) == (6, 0.25)
    (one,) = (one for one in findings.of("arm") if one.key.task == "mean")
    assert one.by_seed == {0: 0.375, 1: 0.0}  # half of 0.5 and 0.25, and nothing
    assert findings.floors["m", "arc"] == "at floor"
