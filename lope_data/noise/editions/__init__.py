"""Editions of recipes: which ops a level stands for in a mix, and which mix a preset is.

An edition is a file NUMBER.toml here, found by lying here. A released one is frozen, so that a recipe means next year
what it means today: an op joins a level in the next edition, and until then it is used by its own name.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from lope_common.errors import shown
from lope_data.errors import RecipeError

FIRST = 1
"""What a recipe without an edition is of."""


@dataclass(frozen=True)
class Edition:
    """What names stand for.

    Attributes:
        levels: level -> its ops; a mix that names the level shares its weight equally among them.
        presets: preset -> weights of levels and ops.
    """

    number: int
    levels: Mapping[str, tuple[str, ...]]
    presets: Mapping[str, Mapping[str, float]]

    @property
    def ops(self) -> frozenset[str]:
        """The ops of all levels."""
        return frozenset(op for ops in self.levels.values() for op in ops)


@cache
def editions() -> Mapping[int, Edition]:
    """Every edition by its number, the oldest first."""
    files = {int(path.stem): path for path in Path(__file__).parent.glob("*.toml")}
    return {number: _read(number, files[number]) for number in sorted(files)}


def _read(number: int, path: Path) -> Edition:
    read = tomllib.loads(path.read_text(encoding="utf-8"))
    return Edition(number, {level: tuple(ops) for level, ops in read["levels"].items()}, read["presets"])


def newest_edition() -> Edition:
    """The edition of what is built without a recipe."""
    return editions()[max(editions())]


def get_edition(number: int) -> Edition:
    """The edition of that number.

    Raises:
        RecipeError: there is no such edition; says which there are.
    """
    known = editions()
    if not isinstance(number, int) or isinstance(number, bool):
        raise RecipeError(f"edition must be a whole number, not {shown(number)}")
    if number not in known:
        newest = max(known)
        there = f"the newest that this lope_data knows is {newest}" if newest > FIRST else "this lope_data knows only 1"
        todo = "upgrade it" if number > newest else f"editions count from {FIRST}"
        raise RecipeError(f"there is no edition {shown(number)} of recipes: {there}; {todo}")
    return known[number]


def _known(number: int) -> int:
    try:
        return get_edition(number).number
    except RecipeError as error:
        raise ValueError(str(error)) from None


EditionNumber = Annotated[int, Field(strict=True), AfterValidator(_known)]
"""A field of a model: the number of an edition that there is."""
