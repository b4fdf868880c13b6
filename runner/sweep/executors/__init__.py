"""Executors: start the workers of a sweep on this machine or on a cluster."""
