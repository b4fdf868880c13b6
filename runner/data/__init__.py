"""Data modules: one file a source, and the parts they share."""
