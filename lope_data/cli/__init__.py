"""The verbs of `python -m lope_data`, a module each, which adds itself to the command line when imported."""
