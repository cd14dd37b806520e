"""Noise into rows: which rows, which ops, how many edits, and the edits themselves."""
