"""Segmentation models of segmentation-models-pytorch and torchvision, for images of any size."""
