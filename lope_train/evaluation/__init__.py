"""Accuracy on versions and tasks."""
