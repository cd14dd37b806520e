"""The command line itself, which verbs add themselves to."""

from __future__ import annotations

from lope_common.cli import new_app

app = new_app("Versioned noisy datasets: exact, recorded and reproducible noise for text.")
