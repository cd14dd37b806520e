"""The poisoning expert as a detector of noise."""
