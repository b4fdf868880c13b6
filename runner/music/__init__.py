"""Tunes: read from ABC notation, checked, and made into sound."""
