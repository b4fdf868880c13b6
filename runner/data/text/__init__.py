"""Data sets of texts and other sequences of tokens."""
