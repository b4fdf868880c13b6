"""Explanations for images: attribution of a class, number, box or mask to pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from runner.errors import UserError
from runner.explain.explanation import Explanation
from runner.explain.grad_cam import grad_cam, grad_cam_plus_plus, padded_size
from runner.explain.gradients import in_use, integrated_gradients
from runner.explain.layers import find_layers, named_layer, used_layers
from runner.explain.occlude import occlude_image
from runner.explain.options import ExplainOptions
from runner.explain.samples import Sample
from runner.explain.targets import ask, task_name
from runner.inference.load import Trained
from runner.tasks.detection import DetectionTask
from runner.tasks.segmentation import SegmentationTask

__all__ = ["ImageExplainer"]

CAMS = {"grad_cam": grad_cam, "grad_cam_plus_plus": grad_cam_plus_plus}
FAINTEST = 1e-3
"""Minimum score of boxes while a detector is explained."""
MAX_BOXES = 1000


class ImageExplainer:
    """
    Args:
        wish: options; the default method is Grad-CAM if the model has feature maps, otherwise integrated
            gradients.

    Raises:
        UserError: the layer does not exist, or the model has no feature maps for Grad-CAM.
    """

    kind = "images"
    methods = ("grad_cam", "grad_cam_plus_plus", "integrated_gradients", "occlusion")

    def __init__(self, trained: Trained, wish: ExplainOptions) -> None:
        self.task, self.data, self.wish = trained.task, trained.data, wish
        self.model = self.task.model
        self.layers: list[str] = []
        self.baseline = ""
        self.forward: Any = self.task
        if isinstance(self.task, DetectionTask):
            tell_faint_boxes(self.model)
        if wish.layer:
            named_layer(self.model, wish.layer)
            self.layers = [wish.layer]
        self.method = wish.method

    def prepare(self, sample: Sample) -> Tensor:
        """Returns the model input ``(1, C, H, W)``; the raw pixels if the model uses features derived from
        them.
        """
        inputs = self.data.batch_inputs([sample.raw])
        moved = (
            [part.to(self.task.device) for part in inputs]
            if isinstance(inputs, list)
            else inputs.to(self.task.device)
        )
        inputs = self.data.on_after_batch_transfer({"inputs": moved}, 0)["inputs"]
        inputs = torch.stack(inputs) if isinstance(inputs, list) else inputs
        if inputs.dim() == 4:
            return inputs
        self.forward = lambda pixels: self.task(self.data.normalize(pixels))
        return moved.float()

    def explain(self, sample: Sample) -> list[Explanation]:
        with in_use(self.model):
            inputs = self.prepare(sample)
            asked = ask(self.task, self.forward, inputs, self.wish, self.data)
            if not asked:
                return []
            self.choose(asked[0].score, inputs)
            found = Explanation(sample, asked[0], None, self.truth_of(sample))
            with torch.no_grad():
                found.score = float(asked[0].score(inputs)[0])
            found.values = self.attribute(asked[0].score, inputs, found).cpu().float().numpy()
        return [found]

    def again(self, found: Explanation) -> np.ndarray:
        with in_use(self.model):
            inputs = self.prepare(found.sample)
            return self.attribute(found.asked.score, inputs, replace(found)).cpu().float().numpy()

    def choose(self, score: Any, inputs: Tensor) -> None:
        """Selects method and layers, based on the first sample."""
        wants_maps = self.method in (None, *CAMS)
        if wants_maps and not self.layers:
            answer = "maps" if isinstance(self.task, SegmentationTask) else "numbers"
            answer = "boxes" if isinstance(self.task, DetectionTask) else answer
            self.layers = find_layers(self.model, score, inputs, answer)
        if self.method in CAMS and not self.layers:
            raise UserError(
                f"{type(self.model).__name__} has no convolutional maps near its answer, which "
                f"{self.method} takes. "
                "Take --method integrated_gradients or occlusion, or name a layer with --layer."
            )
        self.method = self.method or ("grad_cam" if self.layers else "integrated_gradients")
        if self.method not in CAMS:
            self.layers = []

    def attribute(self, score: Any, inputs: Tensor, found: Explanation) -> Tensor:
        """Computes the attribution of each pixel, ``(H, W)``."""
        if self.method in CAMS:
            layers = [named_layer(self.model, name) for name in self.layers]
            by_place, covered = isinstance(self.task, DetectionTask), padded_size(self.model, inputs)
            return CAMS[self.method](score, layers, inputs, by_place, covered)
        baseline = self.baseline_of(inputs)
        if self.method == "occlusion":
            return occlude_image(score, inputs, baseline)
        integrated = integrated_gradients(score, inputs, baseline, self.wish.steps)
        found.baseline_score, found.error = integrated.baseline_score, integrated.error
        return integrated.values[0].sum(0)

    def baseline_of(self, inputs: Tensor) -> Tensor:
        """Returns the baseline: the mean used for standardization, or black without it."""
        mean = getattr(getattr(self.model, "transform", None), "image_mean", None)
        if isinstance(self.task, DetectionTask) and mean is not None:
            self.baseline = "the mean colour"
            return torch.tensor(mean, device=inputs.device).view(1, -1, 1, 1).expand_as(inputs).contiguous()
        self.baseline = "the mean by which images are standardised" if self.forward is self.task else "black"
        return torch.zeros_like(inputs)

    def layer_names(self, sample: Sample) -> list[str]:
        with in_use(self.model):
            inputs = self.prepare(sample)
            asked = ask(self.task, self.forward, inputs, self.wish, self.data)
            return used_layers(self.model, asked[0].score, inputs)

    def truth_of(self, sample: Sample) -> str:
        if sample.target is None or task_name(self.task) in ("segmentation", "detection"):
            return ""
        return self.data.picture(sample.raw, sample.target)[1]


def tell_faint_boxes(model: Any) -> None:
    """Lowers a detector's score threshold, so that a box does not vanish abruptly on the path to the
    baseline.
    """
    for part in (model, getattr(model, "roi_heads", None)):
        if hasattr(part, "score_thresh"):
            part.score_thresh = min(FAINTEST, part.score_thresh)
            part.detections_per_img = max(MAX_BOXES, part.detections_per_img)
