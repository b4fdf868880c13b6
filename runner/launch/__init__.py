"""Ways to start workers on a run directory."""
