"""Measurements that take too long, or need too much beside them, to be tests; see README.md."""
