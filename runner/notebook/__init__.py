"""Runs, sweeps and figures as objects that notebooks display."""
