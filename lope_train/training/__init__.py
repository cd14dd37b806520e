"""The training itself: the run, its stages, the trainer, the loss."""
