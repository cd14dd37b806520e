"""Random recipes: each gives a version that holds, or a clear error. `benchmarks/soak` runs more of them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from benchmarks.soak.fuzz_recipes import shrunk, trial_of
from benchmarks.soak.random_recipes import SOURCES, Trial
from benchmarks.soak.recipe_trial import CheckError, Outcome, attempt, check_counts, check_replay, write_sources
from lope_data.builds import Options, build, ingest
from lope_data.errors import RecipeError
from lope_data.recipe.recipe import Recipe, load_recipe
from lope_data.store import Store

CLEAR = {"version", "RecipeError", "SourceError", "NoiseError", "LopeDataError"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    write_sources(folder / "sources")
    return folder


def tried(trial: Trial, folder: Path) -> Outcome:
    return attempt(trial, folder / "sources", folder / "store", folder / "recipe.toml")


@settings(max_examples=40, phases=[Phase.generate])  # made smaller by `fuzz_recipes.py --only`
@given(number=st.integers(0, 2**32))
def test_a_recipe_gives_a_version_or_a_clear_error(folder: Path, number: int) -> None:
    trial = trial_of(0, number)
    if b"nlpaug" not in trial.recipe:  # it takes seconds to start
        outcome = tried(trial, folder)
        assert outcome.kind in CLEAR
        assert outcome.kind == "version" or outcome.message.strip()


@pytest.mark.parametrize("source", SOURCES)
def test_the_default_recipe_on_every_source(folder: Path, source: str) -> None:
    columns = '[columns]\nid = "key"\nquestion = "ask"\nchoices = ["A", "B", "C"]\nanswer = "right"\n'
    text = {"columns.json": columns, "plain.txt": "source.pattern = '(?P<label>\\w+)\\t(?P<text>.*)'\n"}.get(source, "")
    trial = Trial(text.encode(), {"ratio": "0.5"}, source, True, 7)
    assert tried(trial, folder).kind == "version"


def test_both_kinds_of_recipes_are_drawn() -> None:
    found: Counter[bool] = Counter()
    for number in range(200):
        text = trial_of(614, number).recipe.decode("utf-8", "replace")
        found["[[steps]]" in text or "steps = [" in text] += 1
    assert found[True] > 150
    assert found[False] > 5


@pytest.mark.parametrize(
    "mix",
    [
        {"word.delete": 1, "char.case": 0.0001},
        {"char.case": 0.3617488568561768, "word.merge": 3, "label": "1/27"},
        {"char": "999999999999/1000000", "word.swap": 70, "structure": 1e6},
        {"char": 0.1, "char.case": 1e3},
    ],
)
def test_a_resolved_recipe_is_a_recipe(mix: dict[str, object]) -> None:
    recipe = Recipe.model_validate({"steps": [{"mix": mix}]})
    resolved = recipe.resolved()
    assert Recipe.model_validate(json.loads(json.dumps(resolved)) | {"seed": recipe.seed}).resolved() == resolved


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 2000 + "]" * 2000,
        "x = " + "{a=" * 2000 + "1" + "}" * 2000,
        "seed = " + "9" * 5000,
        "seed = 0x" + "f" * 5000,
        "[[steps]]\nratio = 0x" + "f" * 5000,
        "[[steps]]\nmix = { char = 0x" + "f" * 5000 + " }",
        "[[steps]]\nmix = 'label.flip'\nparams.'label.flip'.transition" + ".joy" * 400 + " = 1",
        "columns" + ".a" * 100_000 + " = 1",
        "[[steps]]\nmix = { char = 1, 'word.swap' = 1e-300 }",
        "[[steps]]\nmix = {"
        + ", ".join(f"'char.{op}' = '1/{10**90 + i}'" for i, op in enumerate(("case", "swap", "ocr")))
        + "}",
        "name = '" + "n" * 1_000_000 + "'",
        "\0",
    ],
)
def test_hostile_texts_are_refused_at_once(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(RecipeError) as error:
        load_recipe(path, {})
    assert len(str(error.value)) < 1000


def test_what_the_fuzzer_checks_can_fail(folder: Path, tmp_path: Path) -> None:
    options = Options(Store(tmp_path / "store"))
    recipe = Recipe.model_validate({"steps": [{"ratio": 0.5}]})
    parent = ingest(str(folder / "sources" / "mixed.jsonl"), recipe, None, options)
    child = build(parent, recipe, None, options)
    check_replay(parent, child)
    check_counts(child, recipe)
    with pytest.raises(CheckError, match="asked"):
        check_counts(child, Recipe.model_validate({"steps": [{"ratio": 0.6}]}))
    child.__dict__["edits"] = child.edits.slice(1)
    with pytest.raises(CheckError):
        check_replay(parent, child)


def test_a_failure_is_made_smaller(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a check that fails whenever words are swapped, what is left is the line that says so."""
    monkeypatch.setattr("benchmarks.soak.fuzz_recipes.attempt", _fails_on_swap)
    trial = Trial(b"seed = 3\n[[steps]]\nratio = 0.5\nmix = 'word.swap'\n[embedding]\nalpha = 1.0", {}, "", True, 7)
    failure = Outcome("FAILURE", "CheckError in test_fuzz_recipes.py:1: no swaps")
    assert shrunk(trial, failure, folder).recipe.strip() == b"mix = 'word.swap'"


def _fails_on_swap(trial: Trial, *_: Path) -> Outcome:
    if b"word.swap" in trial.recipe:
        raise CheckError("no swaps")
    return Outcome("version", "")
