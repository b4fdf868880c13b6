"""Tables and features: read, encoded, cut into splits; the tabular data sets."""
