"""Tasks of lm-eval, and those read from local files."""
