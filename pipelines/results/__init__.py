"""What came of a study: its statistics, and the names of things."""
