"""Where the two halves meet: recipes of whole experiments, and the runner that follows them."""
