"""Semantic segmentation data sets: images with masks."""
