"""Recipes: what noise, how much of it, and what it must leave alone."""
