"""Data modules, one file per source, and the components they share."""
