"""Recipes: what noise, how much of it, from which seed, and what it must leave alone. Read from TOML, checked whole.

A preset is an entry of `presets`, a pattern to protect one of `guard`. What a recipe does to rows is in
`lope_data.inject`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from lope_data.recipe.guard import PATTERNS
    from lope_data.recipe.presets import PRESETS
    from lope_data.recipe.recipe import Recipe, Step, load_recipe, validated

__all__ = ["PATTERNS", "PRESETS", "Recipe", "Step", "load_recipe", "validated"]

__getattr__ = lazy(
    __name__,
    {
        "PATTERNS": "guard",
        "PRESETS": "presets",
        "Recipe": "recipe",
        "Step": "recipe",
        "load_recipe": "recipe",
        "validated": "recipe",
    },
)
