"""Plots as pure functions: arrays in, a matplotlib Figure out.

No module depends on torch, Lightning or run directories, or changes pyplot's global state. Each module
contains one kind of plot, `style.py` the common style, and `png.py` the conversion to files.
"""
