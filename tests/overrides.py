"""Overrides that tests of several packages share."""

QUIET = ("tracking=none", "plots=false", "baselines=false", "report=false")
"""Nothing but the training: no tracking, no figures, no baselines, no report."""

SMALL_FASTER_RCNN = (
    "model=faster_rcnn",
    "model.backbone=resnet18",
    "model.channels=32",
    "model.hidden_size=64",
    "model.anchor_sizes=[8,16,32,64,96]",
    "model.num_proposals=50",
    "model.rois_per_image=32",
)
"""A two-stage detector for images of 64 px."""
