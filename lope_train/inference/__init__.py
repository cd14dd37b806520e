"""A trained model put to use: which model, in which way, and talking to it."""
