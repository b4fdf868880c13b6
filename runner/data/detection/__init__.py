"""Data of detectors: images, and the boxes and classes of the things in them."""
