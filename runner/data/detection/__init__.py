"""Object detection data sets: images with boxes and classes."""
