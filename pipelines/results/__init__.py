"""What came of a study: its outcome, its statistics, and the names of things."""
