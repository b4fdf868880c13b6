"""Explanations for images: attribution of a class, number, box or mask to pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from runner.errors import UserError
from runner.explain.explanation import Attribution, Explainer, Explanation
from runner.explain.grad_cam import Score, grad_cam, grad_cam_plus_plus, padded_size
from runner.explain.gradients import integrated_gradients
from runner.explain.layers import find_layers, named_layer
from runner.explain.occlude import occlude_image
from runner.explain.options import ExplainOptions
from runner.explain.samples import Sample
from runner.inference.load import Trained
from runner.tasks.explanation import ExplanationTarget

__all__ = ["ImageExplainer"]

CAMS = {"grad_cam": grad_cam, "grad_cam_plus_plus": grad_cam_plus_plus}


class ImageExplainer(Explainer):
    """Images ``(C, H, W)``.

    Args:
        trained: task and data module of the run.
        options: the default method is Grad-CAM if the model has feature maps, otherwise integrated gradients.

    Raises:
        UserError: the layer does not exist, or the model has no feature maps for Grad-CAM.
    """

    kind = "images"
    methods = ("grad_cam", "grad_cam_plus_plus", "integrated_gradients", "occlusion")

    def __init__(self, trained: Trained, options: ExplainOptions) -> None:
        super().__init__(trained, options)
        self.is_chosen = options.method is not None
        if options.layer:
            named_layer(self.model, options.layer)
            self.layers = [options.layer]

    def prepare(self, sample: Sample) -> Tensor:
        """Returns the model input ``(1, C, H, W)``.

        These are the raw pixels if the model uses features derived from them.
        """
        batch, device = self.data.batch_inputs([sample.raw]), self.task.device
        pixels = [image.to(device) for image in batch] if isinstance(batch, list) else batch.to(device)
        inputs = self.data.on_after_batch_transfer({"inputs": pixels}, 0)["inputs"]
        inputs = torch.stack(inputs) if isinstance(inputs, list) else inputs
        if inputs.dim() == 4 or isinstance(pixels, list):
            return inputs
        self.forward = lambda pixels: self.task(self.data.normalize(pixels))
        return pixels.float()

    def explain_target(self, sample: Sample, target: ExplanationTarget, inputs: Tensor) -> Explanation:
        self.choose_method(target.score, inputs)
        return super().explain_target(sample, target, inputs)

    def choose_method(self, score: Score, inputs: Tensor) -> None:
        """Selects method and layers, based on the first sample."""
        if not self.layers and (self.method in CAMS or not self.is_chosen):
            self.layers = find_layers(self.model, score, inputs, self.task.explained_output)
            if self.is_chosen and not self.layers:
                raise UserError(
                    f"{type(self.model).__name__} has no convolutional maps near its output, which "
                    f"{self.method} needs. Take --method integrated_gradients or occlusion, or name a layer "
                    "with --layer."
                )
        if not self.is_chosen:
            self.method = "grad_cam" if self.layers else "integrated_gradients"
            self.is_chosen = True
        if self.method not in CAMS:
            self.layers = []

    def attribute(self, target: ExplanationTarget, inputs: Tensor) -> Attribution:
        """Computes the attribution of each pixel, ``(H, W)``."""
        if self.method in CAMS:
            layers = [named_layer(self.model, name) for name in self.layers]
            by_location = self.task.explained_output == "boxes"
            covered = padded_size(self.model, inputs)
            maps = CAMS[self.method](target.score, layers, inputs, by_location, covered)
            return Attribution(maps.cpu().float().numpy())
        baseline = self.baseline_of(inputs)
        if self.method == "occlusion":
            return Attribution(occlude_image(target.score, inputs, baseline).cpu().float().numpy())
        integrated = integrated_gradients(target.score, inputs, baseline, self.options.steps)
        values = integrated.values[0].sum(0).cpu().float().numpy()
        return Attribution(values, integrated.baseline_score, integrated.error)

    def baseline_of(self, inputs: Tensor) -> Tensor:
        """Returns the baseline: the mean used for standardization, or black without it."""
        color = self.task.baseline_color()
        if color is not None:
            self.baseline = "the mean colour"
            return torch.tensor(color, device=inputs.device).view(1, -1, 1, 1).expand_as(inputs).contiguous()
        self.baseline = "the mean by which images are standardised" if self.forward is self.task else "black"
        return torch.zeros_like(inputs)
