"""What a user can get wrong in a pipeline."""

from __future__ import annotations

from lope_common.errors import LopeError


class PipelineError(LopeError):
    """A recipe that cannot be followed, or a step that failed; the message says which and why."""
