"""The settings of a training, and recipes of them."""
