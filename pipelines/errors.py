"""What a user can get wrong in a pipeline."""

from __future__ import annotations


class PipelineError(Exception):
    """A recipe that cannot be followed, or a step that failed; the message says which and why."""
