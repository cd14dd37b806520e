"""Base models: loading them, and getting them."""
