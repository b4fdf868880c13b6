"""Names that stored configs and checkpoints of earlier formats use, and today's names.

Whoever moves or renames something that a config may name adds a line here: the tests compare the table with a
list of all names that runs of format 0 may contain.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["MOVED", "RENAMED_STATES", "migrate_checkpoint", "migrate_names"]

MOVED = {
    "runner.callbacks.early_stopping": "runner.callbacks.regularization",
    "runner.callbacks.gradient_norm": "runner.callbacks.metrics_logger",
    "runner.callbacks.guards": "runner.callbacks.non_finite_guard",
    "runner.callbacks.journal": "runner.callbacks.metrics_logger",
    "runner.callbacks.one_truth.OneTruth": "runner.callbacks.sync_buffers.SyncBuffers",
    "runner.callbacks.optimizer_settings": "runner.callbacks.schedule_length",
    "runner.callbacks.pass_size.PassSize": "runner.callbacks.micro_batch.MicroBatchSize",
    "runner.callbacks.recovery.Recovery": "runner.callbacks.exact_resume.ExactResume",
    "runner.callbacks.still.StillModules": "runner.callbacks.frozen_modules.KeepInEval",
    "runner.data.images.fashion_mnist": "runner.data.images.mnist",
    "runner.data.images.rows": "runner.data.images.digits",
    "runner.data.tables.diabetes": "runner.data.tables.features",
    "runner.data.text.abc": "runner.data.text.language",
    "runner.data.text.bracket_depth": "runner.data.text.brackets",
    "runner.data.text.python_topics": "runner.data.text.language",
    "runner.models.detection.anchors": "runner.models.detection.backbone",
    "runner.models.detection.exact": "runner.models.detection.detector",
    "runner.models.detection.exact.ExactAnchors": "runner.models.detection.detector.Float32Anchors",
    "runner.models.detection.exact.ExactDefaultBoxes": "runner.models.detection.detector.Float32DefaultBoxes",
    "runner.models.detection.faster_rcnn.faster_rcnn": "runner.models.detection.faster_rcnn.FasterRCNNDetector",
    "runner.models.detection.fcos.fcos": "runner.models.detection.fcos.FCOSDetector",
    "runner.models.detection.retinanet.retinanet": "runner.models.detection.retinanet.RetinaNetDetector",
    "runner.models.detection.ssdlite.ssdlite": "runner.models.detection.ssdlite.SSDLiteDetector",
    "runner.models.detection.still_norm": "runner.models.detection.backbone",
    "runner.models.detection.still_norm.StillBatchNorm2d": "runner.models.detection.backbone.FixedBatchNorm2d",
    "runner.models.detection.still_norm.keep_norms_still": "runner.models.detection.backbone.freeze_batch_norms",
    "runner.models.logistic": "runner.models.linear",
    "runner.models.mobilenet": "runner.models.pretrained",
    "runner.models.perceptron": "runner.models.linear",
    "runner.models.recurrent.pooling": "runner.models.recurrent.padding",
    "runner.models.resnet": "runner.models.pretrained",
    "runner.models.segmentation.deeplab.deeplab_v3": "runner.models.segmentation.deeplab.DeepLabV3Segmenter",
    "runner.models.segmentation.deeplab.deeplab_v3_plus": "runner.models.segmentation.deeplab.DeepLabV3PlusSegmenter",
    "runner.models.segmentation.linknet": "runner.models.segmentation.unet",
    "runner.models.segmentation.linknet.linknet": "runner.models.segmentation.unet.LinknetSegmenter",
    "runner.models.segmentation.linknet.manet": "runner.models.segmentation.unet.MAnetSegmenter",
    "runner.models.segmentation.pyramid.fpn": "runner.models.segmentation.pyramid.FPNSegmenter",
    "runner.models.segmentation.pyramid.pan": "runner.models.segmentation.pyramid.PANSegmenter",
    "runner.models.segmentation.pyramid.pspnet": "runner.models.segmentation.pyramid.PSPNetSegmenter",
    "runner.models.segmentation.pyramid.upernet": "runner.models.segmentation.pyramid.UPerNetSegmenter",
    "runner.models.segmentation.transformer.dpt": "runner.models.segmentation.transformer.DPTSegmenter",
    "runner.models.segmentation.transformer.segformer": "runner.models.segmentation.transformer.SegformerSegmenter",
    "runner.models.segmentation.unet.linknet": "runner.models.segmentation.unet.LinknetSegmenter",
    "runner.models.segmentation.unet.manet": "runner.models.segmentation.unet.MAnetSegmenter",
    "runner.models.segmentation.unet.unet": "runner.models.segmentation.unet.UnetSegmenter",
    "runner.models.segmentation.unet.unet_plus_plus": "runner.models.segmentation.unet.UnetPlusPlusSegmenter",
    "runner.optim.phases": "runner.optim.phased_one_cycle",
    "runner.optim.plateau": "runner.optim.decay",
    "runner.regularize.average": "runner.callbacks.weight_average",
    "runner.regularize.mix": "runner.callbacks.batch_mix",
    "runner.regularize.noise": "runner.callbacks.noise",
    "runner.regularize.norm": "runner.callbacks.weight_penalties",
}
"""Former → current dotted name of a module, or of a class or function in it. The longest match applies.

A former name must not be used again: configs of any format are migrated by it.
"""

RENAMED_STATES = {"PassSize": "MicroBatchSize"}
"""Former → current key of a state in a checkpoint: the class name of a callback or a data module."""

PATTERN = re.compile(
    rf"(?<![\w.])(?:{'|'.join(map(re.escape, sorted(MOVED, key=len, reverse=True)))})(?!\w)", re.ASCII
)


def migrate_names(text: str) -> str:
    """Return the text with all former dotted names replaced by the current ones."""
    return PATTERN.sub(lambda match: MOVED[match[0]], text)


def migrate_checkpoint(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return a checkpoint whose states and config have the current names. Tensors are shared, not copied."""
    migrated = renamed(checkpoint)
    if "callbacks" in migrated:
        migrated["callbacks"] = renamed(migrated["callbacks"])
    recovery = migrated.get("recovery") or {}
    if recovery.get("config"):
        migrated["recovery"] = recovery | {"config": migrate_values(recovery["config"])}
    return migrated


def renamed(states: dict[Any, Any]) -> dict[Any, Any]:
    """Rename keys; of a callback that may occur several times, the arguments behind its name are kept."""
    return {rename(key) if isinstance(key, str) else key: value for key, value in states.items()}


def rename(key: str) -> str:
    name, brace, arguments = key.partition("{")
    return f"{RENAMED_STATES.get(name, name)}{brace}{arguments}"


def migrate_values(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: migrate_values(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [migrate_values(inner) for inner in value]
    return migrate_names(value) if isinstance(value, str) else value
