"""The command line itself, which verbs add themselves to."""

from __future__ import annotations

from lope_common.cli import new_app

app = new_app("Train on noisy versions with LoPE or a baseline, and evaluate what the noise did.")
