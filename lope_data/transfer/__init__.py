"""Versions to and from other places: export, import, push."""
