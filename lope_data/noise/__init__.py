"""The noise ops, how they are registered and listed, and the tables that they read."""
