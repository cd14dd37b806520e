"""From a version to batches: prompts, tokens, packing."""
