"""Rows as Arrow tables: shapes, columns, leaves, messages, ids, and the canonical form."""
