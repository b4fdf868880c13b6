"""Segmenters: encoder, decoder and head of segmentation-models-pytorch and torchvision, for images of any size."""
