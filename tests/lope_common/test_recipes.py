"""A recipe is a packaged name or a file: which of the two a text means, and what is said where it means neither."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lope_common.recipes import Recipes


class RefusedError(Exception):
    """What a program raises."""


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipes:
    """Two recipes and a file that is none, packaged in `home`; the current folder is another, empty one."""
    packaged = tmp_path / "home" / "kind"
    for name in ("plain", "parts/inner", "sizes"):
        (packaged / name).parent.mkdir(parents=True, exist_ok=True)
        (packaged / f"{name}.toml").write_text(name)
    (tmp_path / "home" / "outside.toml").write_text("outside")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "here"))
    return Recipes("kind", ("**/*.toml",), frozenset({"sizes"}), home=tmp_path / "home")


def read(recipes: Recipes, text: str) -> str:
    with recipes.file(text, RefusedError) as path:
        return path.read_text()


def test_names_lead_to_packaged_recipes(recipes: Recipes) -> None:
    assert sorted(recipes.packaged()) == ["parts/inner", "plain"]
    assert read(recipes, "plain") == "plain"
    assert read(recipes, "parts/inner") == "parts/inner"


def test_what_ends_with_toml_is_a_path(recipes: Recipes) -> None:
    for text in ("plain.toml", "./plain.toml", "~/plain.toml", str(Path("plain.toml").absolute())):
        with recipes.file(text, RefusedError) as path:
            assert path.absolute() == Path("plain.toml").absolute(), "whether it is there or not"
    Path("plain.toml").write_text("mine")
    assert read(recipes, "plain.toml") == read(recipes, "~/plain.toml") == "mine"


def test_a_file_of_another_name_is_a_path(recipes: Recipes) -> None:
    Path("mine").write_text("mine")
    Path("recipe.txt").write_text("text")
    assert read(recipes, "mine") == read(recipes, "./mine") == read(recipes, "~/mine") == "mine"
    assert read(recipes, "recipe.txt") == "text"


def test_a_pipe_is_a_file(recipes: Recipes) -> None:
    end, start = os.pipe()
    os.write(start, b"piped")
    os.close(start)
    assert read(recipes, f"/dev/fd/{end}") == "piped"
    os.close(end)


def test_a_name_and_a_file_are_not_guessed_between(recipes: Recipes) -> None:
    Path("plain").write_text("mine")
    with pytest.raises(
        RefusedError, match=r"^'plain' is a recipe that comes with LoPE, and a file here: write \./plain "
    ):
        read(recipes, "plain")
    assert read(recipes, "./plain") == "mine"


def test_a_folder_is_not_in_the_way_of_a_name(recipes: Recipes) -> None:
    Path("plain").mkdir()
    assert read(recipes, "plain") == "plain"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("plian", "; did you mean 'plain'?"),
        ("inner", "; did you mean 'parts/inner'?"),
        ("zzz", "; known: parts/inner, plain"),
        ("sizes", "; known: parts/inner, plain"),
        ("x" * 5000, "; known: parts/inner, plain"),
        (".", "; known: parts/inner, plain"),
    ],
)
def test_neither_is_one_line_with_the_nearest_name(recipes: Recipes, text: str, hint: str) -> None:
    with pytest.raises(RefusedError) as refused:
        read(recipes, text)
    assert str(refused.value).startswith(f"no recipe '{text[:40]}")
    assert str(refused.value).endswith(f", by name or as a file (NAME.toml){hint}")


def test_names_stay_in_their_folder(recipes: Recipes, tmp_path: Path) -> None:
    outside = tmp_path / "home" / "outside"
    for text in ("../outside", "parts/../plain", "parts/../../outside", str(outside), "/plain", "kind/plain", ""):
        with pytest.raises(RefusedError, match=r"^no recipe "):
            read(recipes, text)


def test_what_is_wrong_in_a_recipe_is_said_of_it_as_it_was_typed(recipes: Recipes) -> None:
    def wrong(text: str) -> str:
        with pytest.raises(RefusedError) as refused, recipes.file(text, RefusedError) as path:
            raise RefusedError(f"{path}: wrong; {path} is")
        return str(refused.value)

    assert wrong("parts/inner") == "parts/inner: wrong; parts/inner is"
    assert wrong("~/x.toml") == f"{Path('~/x.toml').expanduser()}: wrong; {Path('~/x.toml').expanduser()} is"


def test_without_packaged_recipes_paths_still_work(tmp_path: Path) -> None:
    bare = Recipes("kind", ("*.toml",), home=tmp_path / "nowhere")
    with pytest.raises(RefusedError, match="there are none here"):
        read(bare, "plain")
    (tmp_path / "mine").write_text("mine")
    assert read(bare, str(tmp_path / "mine")) == "mine"
