"""Image classification data sets: reading, augmentation and splits."""
