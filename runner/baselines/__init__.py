"""Classical models that cost seconds, for comparison with a run's model in the same results table."""
