"""Detectors: torchvision's architectures, for any number of classes, backbones, anchors and image sizes."""
