"""Every committed recipe makes the version today that it made when it was written, whatever ops are added.

`PYTHONPATH=. python tests/lope_data/builds/test_recipe_ids.py` commits the ids of recipes that are new; none changes.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lope_common.files import write_whole
from lope_data.builds.obtain import op_versions
from lope_data.noise import all_ops, label_op, text_op
from lope_data.recipe import Recipe, load_recipe
from lope_data.store import version_id
from pipelines.steps import load
from pipelines.study import Study

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden" / "recipe_ids.json"


def committed() -> Iterator[tuple[str, Recipe]]:
    """Every recipe of noise in the repository, by a name; of studies and pipelines each build that they ask for."""
    for path in [*sorted((ROOT / "pipelines" / "data").glob("*.toml")), ROOT / "tests" / "golden" / "recipe.toml"]:
        yield path.relative_to(ROOT).as_posix(), load_recipe(path, {})
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    yield from ((f"README.md {i}", Recipe.model_validate(tomllib.loads(block))) for i, block in enumerate(blocks))
    for path in sorted((ROOT / "pipelines").rglob("*.toml")):
        read = tomllib.loads(path.read_text(encoding="utf-8"))
        name = path.relative_to(ROOT).with_suffix("").as_posix()
        if "steps" in read and path.parent.name == "pipelines":
            builds = [step["options"] for step in read["steps"] if step["run"] == "lope_data build"]
            yield from ((f"{name} {i}", typed(options)) for i, options in enumerate(builds))
        if "arms" in read:
            study = load(name.removeprefix("pipelines/"))
            assert isinstance(study, Study)
            yield from of_study(name, study)


def of_study(name: str, study: Study) -> Iterator[tuple[str, Recipe]]:
    noises = {noise for condition in study.conditions for noise in (condition.nois, condition.hynoise) if noise}
    for noise in sorted(noises, key=str):
        options = {key: value for key, value in noise.model_dump().items() if value is not None}
        yield f"{name} {json.dumps(options)}", typed(options | {"edition": study.edition})
    for ratio in study.evaluation.noise:
        options = {"ratio": ratio, "mix": study.evaluation.noise_mix, "edition": study.edition}
        yield f"{name} questions {ratio}", typed(options)


def typed(options: Mapping[str, Any]) -> Recipe:
    """What the options of a command stand for."""
    known = {key: options[key] for key in ("edition", "ratio", "level", "seed", "mix") if key in options}
    if "=" in str(known.get("mix")):
        known["mix"] = {name: float(weight) for name, weight in (part.split("=") for part in known["mix"].split(","))}
    return load_recipe(ROOT / "pipelines" / options["recipe"] if "recipe" in options else None, known)


def ids() -> dict[str, str]:
    """The id that each would give a version of one and the same parent."""
    return {
        name: version_id("build", recipe.resolved(), recipe.seed, op_versions(recipe), "sha256:" + 64 * "0", 1)
        for name, recipe in committed()
    }


@pytest.fixture
def more_ops(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """An op more at every level."""
    monkeypatch.setattr("lope_data.noise.registry._ops", dict(all_ops()))
    for level in ("char", "word", "structure"):

        @text_op(f"{level}.aaa", version=1, unit="word", units=lambda cells, _: cells.words, needs="a word")
        def delete(hits: Any, params: Any) -> Any:
            """Deletes a word."""
            return hits.replace(hits.nothing())

    @label_op("label.aaa", version=1, kind="class", needs="a label")
    def same(rows: Any, population: Any, draw: Any, params: Any) -> Any:
        """Leaves a label as it is."""
        return rows["target"], rows["target"]

    yield [f"{level}.aaa" for level in ("char", "word", "structure", "label")]
    monkeypatch.undo()
    all_ops.cache_clear()


def test_ids_are_golden() -> None:
    assert ids() == json.loads(GOLDEN.read_text())


def test_an_op_that_is_added_changes_no_id(more_ops: list[str]) -> None:
    assert set(more_ops) <= set(all_ops())
    assert ids() == json.loads(GOLDEN.read_text())
    for name in more_ops:  # by its own name it makes a version of its own
        assert load_recipe(None, {"mix": name}).steps[0].weights == {name: 1}


def test_recipes_that_name_no_edition_are_of_the_first() -> None:
    assert {recipe.edition for _, recipe in committed()} == {1}


if __name__ == "__main__":
    held = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    write_whole(GOLDEN, json.dumps({**ids(), **held}, indent=2) + "\n")
