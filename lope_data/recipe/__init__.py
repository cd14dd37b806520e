"""Recipes: what noise, how much of it, from which seed, and what it must leave alone. Read from TOML, checked whole.

A pattern to protect is an entry of `guard`. What levels and presets stand for is in `lope_data.noise.editions`, what a
recipe does to rows in `lope_data.inject`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_data.recipe.guard import PATTERNS
    from lope_data.recipe.recipe import Recipe, Step, load_recipe, validated

__all__ = ["PATTERNS", "Recipe", "Step", "load_recipe", "validated"]

__getattr__ = lazy(
    __name__,
    {
        "PATTERNS": "guard",
        "Recipe": "recipe",
        "Step": "recipe",
        "load_recipe": "recipe",
        "validated": "recipe",
    },
)
