"""From a source or a parent and a recipe to a version."""
