"""Training: executes a run directory, from its config to its results."""
