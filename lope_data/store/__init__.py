"""Versions on disk: the store, manifests, locks, and what checks and keeps them (FORMAT.md)."""
