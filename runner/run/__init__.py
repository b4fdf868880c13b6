"""A run on disk. Nothing here imports torch, so that a list of runs is shown at once."""
