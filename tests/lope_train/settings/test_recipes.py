"""Recipes of training: what is read, what is refused, and that those committed say what they should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lope_train.errors import SettingsError
from lope_train.methods import METHODS, Noise
from lope_train.settings.recipes import dump, load_recipe, settings_from
from lope_train.settings.settings import TrainSettings

FOLDER = Path(__file__).parents[3] / "pipelines" / "train"
COMMITTED = sorted(FOLDER.rglob("*.toml"))
REQUIRED: dict[str, Any] = {"data": "nois", "model": "tiny", "out": Path("run")}


def read(path: Path) -> TrainSettings:
    return settings_from(load_recipe(path), REQUIRED)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return tmp_path / "recipe.toml"


# those committed


def test_all_recipes_are_there() -> None:
    ablations = ("continuous-only", "discrete-only", "no-hynoise")
    assert {path.relative_to(FOLDER).with_suffix("").as_posix() for path in COMMITTED} == {
        *(f"ablations/{name}" for name in ablations),
        *METHODS,
        "neftune",
        "table4",
    }


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_a_committed_recipe_holds_only_what_differs(path: Path) -> None:
    settings = read(path)
    default = TrainSettings.model_validate(REQUIRED)
    if path.stem == "lope":  # the one that writes the defaults down
        written = {name: getattr(settings, name) for name in load_recipe(path)}
        assert written == {name: getattr(default, name) for name in written} | {"hynoise": "both"}
        assert settings.noise == default.noise
    else:
        assert all(getattr(settings, name) != getattr(default, name) for name in load_recipe(path))


def test_no_recipe_is_a_copy() -> None:
    assert len({str(sorted(load_recipe(path).items())) for path in COMMITTED}) == len(COMMITTED)


def test_the_paper_s_controls() -> None:
    hydralora, table4 = read(FOLDER / "hydralora.toml"), read(FOLDER / "table4.toml")
    assert (hydralora.epochs, hydralora.num_experts) == (2, 3)
    assert table4 == hydralora.model_copy(update={"on": "noisy", "hynoise": "both"})
    noise = {path.stem: read(path).noise for path in COMMITTED if path.parent.name == "ablations"}
    assert noise == {
        "no-hynoise": Noise(discrete=False, continuous=False),
        "discrete-only": Noise(discrete=True, continuous=False),
        "continuous-only": Noise(discrete=False, continuous=True),
    }


def test_neftune_is_that_of_its_paper() -> None:
    settings = read(FOLDER / "neftune.toml")
    assert (settings.method, settings.embedding_scale, settings.embedding_alpha) == ("lora", "neftune", 5)
    assert settings.noise == Noise(discrete=False, continuous=True)


# reading and writing


@pytest.mark.parametrize(
    ("typed", "stage2", "inference"),
    [
        ({}, "compensated", "compensated"),
        ({"stage2": "masked"}, "masked", "masked"),
        ({"inference": "masked"}, "masked", "masked"),
        ({"inference": "unmasked"}, "frozen", "unmasked"),
        ({"stage2": "frozen"}, "frozen", "compensated"),
        ({"stage2": "frozen", "inference": "masked"}, "frozen", "masked"),
    ],
)
def test_what_is_typed_of_stage_2_and_inference_decides_about_the_recipe_s(
    typed: dict[str, str], stage2: str, inference: str, recipe: Path
) -> None:
    recipe.write_text('stage2 = "compensated"\ninference = "compensated"\n')
    settings = settings_from(load_recipe(recipe), REQUIRED | typed)
    assert (settings.stage2, settings.inference) == (stage2, inference)


def test_routing_takes_a_recipe_without_its_stage_2_and_its_noise() -> None:
    settings = settings_from(load_recipe(FOLDER / "lope.toml"), REQUIRED | {"route": "edits"})
    assert (settings.route, settings.stage2, settings.inference) == ("edits", None, "compensated")
    assert settings.noise == Noise(discrete=True, continuous=False)
    with pytest.raises(SettingsError, match="stage2 does not go with route"):
        settings_from(load_recipe(FOLDER / "lope.toml"), REQUIRED | {"route": "edits", "stage2": "masked"})


def test_what_is_typed_goes_before_the_recipe(recipe: Path) -> None:
    recipe.write_text('data = "a"\nmodel = "m"\nout = "o"\nr = 8\nepochs = 2\ntarget_modules = ["q_proj", "o_proj"]\n')
    settings = settings_from(load_recipe(recipe), {"r": 2, "data": "b"})
    assert (settings.r, settings.data, settings.epochs, settings.out) == (2, "b", 2.0, Path("o"))
    assert settings.target_modules == ("q_proj", "o_proj")


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"method": "adalora", "learning_rate": 1e-7, "epochs": 0.5, "r": 2, "report_to": ("tensorboard", "wandb")},
        {"store": Path("/a b/ü"), "target_modules": ("q_proj",), "embedding_alpha": 0.0, "truncate": True},
        {"held_out": "kept@0123", "patience": 3, "compensation_experts": 0, "quantization": "4bit"},
    ],
)
def test_a_dump_reads_back(recipe: Path, values: dict[str, Any]) -> None:
    settings = TrainSettings.model_validate(REQUIRED | values)
    recipe.write_text(dump(settings), encoding="utf-8")
    assert settings_from(load_recipe(recipe), {}) == settings


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_dump_holds_any_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    recipe = tmp_path_factory.getbasetemp() / "any-text.toml"
    settings = TrainSettings.model_validate(REQUIRED | {"data": text})
    recipe.write_bytes(dump(settings).encode())
    assert settings_from(load_recipe(recipe), {}) == settings


def test_what_is_none_is_left_out() -> None:
    lines = dump(TrainSettings.model_validate(REQUIRED)).splitlines()
    assert not any(line.startswith(("hynoise", "store", "held_out", "target_modules")) for line in lines)
    assert 'out = "run"' in lines


# what is wrong


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat = 0.1", "unknown setting 'learning_rat'; did you mean 'learning_rate'?"),
        ("lr = 0.1", "unknown setting 'lr'; did you mean 'learning_rate'?"),
        ("rank = 4", "unknown setting 'rank'; did you mean 'r'?"),
        ("batch-size = 4", "unknown setting 'batch-size'; did you mean 'batch_size'?"),
        ("[adapter]\nr = 4", "unknown setting 'adapter'"),
        ("r = 0", "setting 'r' is 0: input should be greater than or equal to 1"),
        ('epochs = "two"', "setting 'epochs' is 'two'"),
        ("epochs = nan", "setting 'epochs' is nan"),
        ('method = "lopee"', f"setting 'method' is 'lopee': input should be {', '.join(map(repr, [*METHODS][:3]))}"),
        ('report_to = ["mlflow"]', "setting 'report_to' is ['mlflow']"),
        ("r = 4\nr = 8\nepochs = 1", "line 2"),
        ("r = 4\nepochs = \n", "line 2"),
    ],
)
def test_a_wrong_recipe_says_where(recipe: Path, text: str, message: str) -> None:
    recipe.write_text(text)
    with pytest.raises(SettingsError) as raised:
        load_recipe(recipe)
    assert str(raised.value).startswith(f"{recipe}: ")
    assert message in str(raised.value)


def test_a_recipe_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such recipe"):
        load_recipe(tmp_path / "nowhere.toml")
    with pytest.raises(SettingsError, match="cannot be read as a recipe"):
        load_recipe(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="cannot be read as a recipe"):
        load_recipe(tmp_path / "binary.toml")


def test_what_is_missing_and_what_contradicts() -> None:
    with pytest.raises(SettingsError, match="missing: --model, --out;"):
        settings_from({"data": "nois"}, {})
    with pytest.raises(SettingsError, match="'on' is for the one-stage methods"):
        settings_from({"on": "noisy"}, REQUIRED)
