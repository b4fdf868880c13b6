"""Sounds in files, as spectrograms."""
