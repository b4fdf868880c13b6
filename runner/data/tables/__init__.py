"""Readers, encoders and data sets of tables."""
