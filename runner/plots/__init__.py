"""Plots as pure functions: arrays in, a matplotlib Figure out.

Nothing here knows torch, Lightning or a run directory, and nothing touches pyplot's global state. Every file
holds one kind of plot, `style.py` the looks they share, `png.py` the way to a file.
"""
