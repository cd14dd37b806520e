"""Recipes that are a list of commands, and the runner that follows them."""
