"""Named mixes."""

from __future__ import annotations

from lope_data.noise.registry import DEFAULT_LEVELS

PRESETS: dict[str, dict[str, float]] = {
    # HyNoIse: equal injection over the levels, then over the ops of a level.
    "default": dict.fromkeys(DEFAULT_LEVELS, 1.0),
    # The text noise of the paper (Sec. 3.2.1): WOS, NCI and CD in equal shares.
    "paper": {"word.shuffle": 1.0, "char.insert": 1.0, "char.delete": 1.0},
    # Typing errors in the shares measured on learners' essays (TOEFL-Spell, single-edit errors by token frequency); a
    # substitution hits a key beside the right one.
    "human": {"char.insert": 0.235, "char.delete": 0.422, "char.keyboard": 0.227, "char.swap": 0.116},
}
