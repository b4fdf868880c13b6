"""Regularization methods, implemented as training callbacks."""
