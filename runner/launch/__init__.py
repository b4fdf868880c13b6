"""Launchers: the ways to start workers on a run directory."""
