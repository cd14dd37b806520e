"""How long work tells what it is doing."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with (what, how many are done, how many there are)."""

Notice = Callable[[str], None]
"""Called with what the user should know while waiting."""
