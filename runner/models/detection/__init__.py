"""Detection models of torchvision with configurable classes, backbones, anchors and image sizes."""
