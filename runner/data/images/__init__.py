"""Images: read, augmented, cut into splits; the image data sets."""
