"""Recipes: the committed default, resolution, and overrides."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from lope_data.errors import RecipeError
from lope_data.noise import get_edition
from lope_data.recipe.recipe import Recipe, load_recipe

LEVELS = get_edition(1).levels
DATA = Path(__file__).parents[3] / "pipelines" / "data"


def test_the_default_and_its_file_are_equal() -> None:
    assert load_recipe(DATA / "hynoise.toml", {}) == Recipe()


@pytest.mark.parametrize("path", sorted(DATA.glob("*.toml")), ids=lambda path: path.stem)
def test_committed_recipes_are_valid(path: Path) -> None:
    assert load_recipe(path, {}).resolved()["name"] == path.stem


def test_a_level_shares_its_weight_equally() -> None:
    weights = load_recipe(None, {"mix": {"char": 1.0, "word.delete": 0.5, "word": 0.5}}).steps[0].weights
    assert sum(weights.values()) == 1
    chars, words = len(LEVELS["char"]), len(LEVELS["word"])
    assert weights["char.delete"] == weights["char.insert"] == Fraction(1, 2) / chars
    assert weights["word.delete"] == Fraction(1, 4) + Fraction(1, 4) / words
    assert "word.synonym" not in weights  # its data is not everywhere, so it is taken by name alone
    assert not any(op.startswith("label") for op in weights)


def test_resolved_spells_everything_out() -> None:
    step = Recipe().resolved()["steps"][0]
    assert (
        set(step["mix"]) == set(step["params"]) == {op for level in ("char", "word", "label") for op in LEVELS[level]}
    )
    assert step["params"]["char.insert"] == {"alphabet": "abcdefghijklmnopqrstuvwxyz"}


def test_overrides_keep_the_rest_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("name = 'mine'\n[[steps]]\nname = 'one'\nlevel = 0.3\n[embedding]\nalpha = 0.2\n")
    recipe = load_recipe(path, {"ratio": 0.4, "seed": 3, "level": None})
    assert (recipe.name, recipe.seed, recipe.embedding.alpha) == ("mine", 3, 0.2)
    assert (recipe.steps[0].name, recipe.steps[0].ratio, recipe.steps[0].level) == ("one", 0.4, 0.3)


def test_a_mix_may_be_a_preset_a_level_or_an_op() -> None:
    def weights(mix: str) -> dict[str, Fraction]:
        return load_recipe(None, {"mix": mix}).steps[0].weights

    assert weights("default") == Recipe().steps[0].weights
    assert weights("paper") == dict.fromkeys(("char.delete", "char.insert", "word.shuffle"), Fraction(1, 3))
    human = weights("human")
    assert human["char.delete"] == Fraction(422, 1000)
    assert sum(human.values()) == 1
    assert set(weights("structure")) == set(LEVELS["structure"])
    assert weights("char.ocr") == {"char.ocr": 1}
    assert set(get_edition(1).presets) == {"default", "paper", "human"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[steps]]\nmix = 'humam'", "did you mean 'human'"),
        ("[[protect]]\nname = 'codes'", "did you mean 'code'"),
        ("[[protect]]", "needs either a name or a pattern"),
        ("[[protect]]\nname = 'url'\npattern = 'x'", "needs either a name or a pattern"),
        ("[[protect]]\npattern = '(?=a)b'", "not a pattern of RE2's syntax"),
        ("[[protect]]\npattern = 'x*'", "matches the empty text"),
        ("[[protect]]\npatern = 'x'", "did you mean 'pattern'"),
        ("[constraints]\nmin_word_lenght = 3", "did you mean 'min_word_length'"),
        ("[constraints]\nmin_word_length = 0", "must be 1 or more, not 0"),
        ("[constraints]\nmax_modification = 0.0", "must be above 0, not 0.0"),
        ("[constraints]\nmax_modification = 1.5", "must be 1 or less, not 1.5"),
        ("[[steps]]\nstratify = 3", "stratify"),
        ("[[steps]]\nratio = true", "must be a number, not True"),
        ("[[steps]]\nlevel = '0.5'", "must be a number"),
        ("seed = true", "must be a whole number"),
        ("[[steps]]\nmix = { char.insert = 1 }", "write it in quotes"),
        ("[[steps]]\n[steps.params.'char.insert']\nalphabet = '\u1100'", "stands alone"),
        ("[[steps]]\n[steps.params.'char.insert']\nalphabet = '\U0001f3fb'", "stands alone"),
        (
            "[[steps]]\n[steps.params.'char.insert']\nalphabt = 'a'",
            "params of char.insert: alphabt: unknown key 'alphabt'; did you",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(RecipeError) as error:
        load_recipe(path, {})
    assert message in str(error.value)
    assert str(path) in str(error.value)
