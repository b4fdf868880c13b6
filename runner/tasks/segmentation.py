"""Semantic segmentation: one class per pixel."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor, nn

from runner.data.facts import Facts
from runner.data.segmentation.classes import GROUNDS, laid_over
from runner.data.segmentation.classes import class_colors as choose_colors
from runner.distributed.collectives import sum_over_ranks
from runner.errors import DataError, UserError
from runner.tasks.base import StepOutput, Task
from runner.tasks.eval_loss import without_smoothing
from runner.tasks.explanation import ExplainedOutput, ExplanationRequest, ExplanationTarget, index_of
from runner.tasks.pixel_confusion import (
    PixelConfusion,
    class_dice,
    class_iou,
    count_pixels,
    groups_of_one_size,
)
from runner.tasks.rejected_losses import LOSSES_OF_NUMBERS, LOSSES_OF_PROBABILITIES
from runner.tasks.segmentation_figures import segmentation_figures
from runner.tasks.shape_check import run_on_zeros, shape_of
from runner.tasks.typed_modules import TypedModuleDict

__all__ = ["SegmentationTask"]


class SegmentationTask(Task):
    """Semantic segmentation by a softmax over logits ``(N, K, H, W)``; targets are class ids ``(N, H, W)``.

    Mean IoU and mean Dice exclude classes that occur in neither truth nor prediction of the whole split.
    Images of different sizes are passed as lists and processed in groups of equal size, so that the
    prediction for an image is independent of the rest of its batch.

    Args:
        model: maps images to logits of the same height and width.
        loss: loss of float32 logits and class ids; its label smoothing is applied in training only.
        class_names: class names in the order of the ids.
        class_colors: RGB color of each class for figures; chosen automatically if empty.
        ignore_index: class id of ignored pixels.
    """

    monitor = "val/mean_iou"
    mode = "max"
    metric_modes: ClassVar = {"loss": "min", "mean_iou": "max", "mean_dice": "max", "pixel_accuracy": "max"}
    required_outputs: ClassVar = {"logits": "(N, K, H, W)", "targets": "class ids (N, H, W)"}
    served_as = "probability of each class at each pixel: (N, classes, height, width)"
    explained_output: ClassVar[ExplainedOutput] = "maps"
    rejected_losses: ClassVar[tuple[type, ...]] = LOSSES_OF_NUMBERS + LOSSES_OF_PROBABILITIES

    def __init__(
        self,
        model: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer] | None = None,
        scheduler: Callable[..., Any] | None = None,
        loss: nn.Module | None = None,
        class_names: Sequence[str] = (),
        class_colors: Sequence[Sequence[int]] = (),
        ignore_index: int = 255,
    ) -> None:
        super().__init__(model, optimizer, scheduler)
        # Any: losses over whole splits have methods beyond nn.Module (see runner.losses.mask)
        self.loss: Any = loss if loss is not None else nn.CrossEntropyLoss(ignore_index=ignore_index)
        self.class_names = [str(name) for name in class_names]
        self.class_colors = [list(color) for color in class_colors] or choose_colors(self.class_names)
        self.ignore_index = ignore_index
        self.counts: dict[str, Tensor] = {}
        self._mask_sums: Tensor | None = None
        num_classes = len(self.class_names)
        self.metrics: TypedModuleDict[PixelConfusion] = TypedModuleDict(
            {f"{split}_pixels": PixelConfusion(num_classes) for split in ("val", "test")}
        )

    @classmethod
    def adapt_facts(cls, facts: Facts) -> Facts:
        if facts.task != "segmentation":
            raise DataError(f"{facts.name} has no masks: its task is {facts.task}. Use task={facts.task}.")
        return facts

    @classmethod
    def check_model(cls, model: nn.Module, facts: Facts) -> None:
        name, shape = type(model).__name__, tuple(facts.input_shape)
        got = shape_of(
            run_on_zeros(model, shape, "images", "Choose a model for such images, or change data.crop_size.")
        )
        wanted = (1, facts.num_outputs, *shape[1:])
        if got != wanted:
            raise UserError(
                f"{name} returns {got} for one image; segmentation expects {wanted}: logits of each class "
                "at each pixel. Models for segmentation: `runner list model`."
            )

    # Training

    def loss_denominator(self, batch: dict[str, Any]) -> Tensor:
        """Sums the class weights of all pixels that are not ignored, the denominator of the cross-entropy.

        Dice and Jaccard loss are computed per batch: with several micro-batches or devices, they are means
        over these.
        """
        weights = getattr(self.loss, "class_weights", None)
        by_class = None if weights is None else torch.tensor(weights, device=self.device)
        units = torch.zeros((), device=self.device)
        for targets in batch["targets"]:
            counted = targets[targets != self.ignore_index].long()
            units = units + (counted.numel() if by_class is None else by_class[counted].sum())
        return units

    def compute_loss(self, batch: dict[str, Any]) -> StepOutput:
        logits, targets = self(batch["inputs"]), batch["targets"]
        with torch.autocast(logits.device.type, enabled=False):
            loss = self.loss(logits.float(), targets)
        return StepOutput(loss, {"logits": logits.detach(), "targets": targets})

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        try:
            return super().training_step(batch, batch_idx)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise UserError(
                f"{type(self.model).__name__} cannot train on a batch of one image: it normalizes a map of "
                "one pixel over the batch. Use data.batch_size=2 or more."
            ) from error

    # Evaluation

    def _evaluate(self, batch: dict[str, Any], split: str) -> None:
        for part in of_one_size(batch):
            super()._evaluate(part, split)

    def eval_step(self, batch: dict[str, Any]) -> StepOutput:
        """Computes loss and outputs of an evaluation batch.

        Losses that cannot be accumulated over batches are computed per image, so that they are independent of
        the rest of the batch.
        """
        step = super().eval_step(batch)
        if isinstance(self.loss, nn.CrossEntropyLoss) or hasattr(self.loss, "of_sums"):
            return step
        logits, targets = step.outputs["logits"].float(), batch["targets"]
        with without_smoothing(self.loss):
            losses = torch.stack(
                [self.loss(*pair) for pair in zip(logits.split(1), targets.split(1), strict=True)]
            )
        counts = torch.stack([self.loss_denominator({"targets": target}) for target in targets.split(1)])
        return StepOutput((counts * losses).sum() / counts.sum().clamp_min(1), step.outputs)

    def add_loss(self, step: StepOutput, batch: dict[str, Any], count: Tensor | int) -> None:
        super().add_loss(step, batch, count)
        if not getattr(self.loss, "is_pixel_mean", True):
            sums = self.loss.sums(step.outputs["logits"], batch["targets"])
            self._mask_sums = sums if self._mask_sums is None else self._mask_sums + sums

    def split_loss(self) -> float:
        """Computes the loss of the split; Dice, Jaccard and focal loss over all pixels of all ranks."""
        if self._mask_sums is None:
            return super().split_loss()
        sums, self._mask_sums = self._mask_sums.cpu().double(), None
        whole = torch.tensor(sum_over_ranks(*sums.flatten().tolist()), dtype=torch.float64)
        return float(self.loss.of_sums(whole.view(sums.shape)))

    def summed_loss(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor | int]:
        sums, counts = zip(
            *(super(SegmentationTask, self).summed_loss(part) for part in of_one_size(batch)), strict=True
        )
        return sum(sums), sum(counts)

    def loss_over(self, batches: Iterable[dict[str, Any]]) -> float:
        """Computes Dice, Jaccard and focal loss over all pixels of the split, as ``split_loss`` does."""
        if getattr(self.loss, "is_pixel_mean", True):
            return super().loss_over(batches)
        total: Tensor | None = None
        for part in (part for batch in batches for part in of_one_size(batch)):
            logits = self.eval_step(part).outputs["logits"]
            sums = self.loss.sums(logits, part["targets"])
            total = sums if total is None else total + sums
        return 0.0 if total is None else float(self.loss.of_sums(total.cpu().double()))

    def metric_inputs(self, outputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Returns probabilities ``(N, K, H, W)`` and class ids ``(N, H, W)``, including the ignored id."""
        return outputs["logits"].float().softmax(1), outputs["targets"].long()

    def update_metrics(self, outputs: dict[str, Any], split: str) -> None:
        preds, targets = outputs.pop("logits").argmax(1), outputs.pop("targets")
        counts = count_pixels(preds, targets, len(self.class_names), self.ignore_index)
        self.metrics[f"{split}_pixels"].update(counts)
        outputs["image_iou"] = class_iou(counts).nanmean(-1)

    def compute_metrics(self, split: str) -> dict[str, float]:
        metric = self.metrics[f"{split}_pixels"]
        counts = self.counts[split] = metric.compute().cpu().double()
        metric.reset()
        iou = class_iou(counts)
        values = {
            "mean_iou": float(iou.nanmean()),
            "pixel_accuracy": float(counts.diagonal().sum() / counts.sum()),
            "mean_dice": float(class_dice(counts).nanmean()),
        }
        if self.trainer.state.fn != "fit":
            by_class = zip(self.class_names, iou.tolist(), strict=True)
            values |= {f"iou_class/{name}": value for name, value in by_class if not math.isnan(value)}
        return values

    def figures(self, split: str, data: Any) -> Iterator[tuple[str, Any]]:
        if self.outputs.get(split) and split in self.counts:
            yield from segmentation_figures(self, split, data)

    def evaluated_rows(self, outputs: dict[str, Any]) -> list[dict[str, Any]]:
        """Returns the mean IoU of each image; masks are too large to keep."""
        return [{"mean_iou": value} for value in outputs["image_iou"].tolist()]

    # Inference

    def predict_outputs(self, inputs: Any) -> dict[str, Any]:
        """Returns ``logits`` for a batch, or a list of ``masks`` for images of different sizes.

        Masks are class ids ``(H, W)``.
        """
        if isinstance(inputs, Tensor):
            return {"logits": self(inputs)}
        masks: list[Any] = [None] * len(inputs)
        for positions, group in groups_of_one_size(inputs):
            for position, mask in zip(positions, self(group).argmax(1), strict=True):
                masks[position] = mask
        return {"masks": masks}

    def masks_of(self, outputs: dict[str, Any]) -> list[Tensor]:
        """Returns the class ids ``(H, W)`` of each image, on the CPU."""
        masks = outputs["masks"] if "masks" in outputs else outputs["logits"].argmax(1)
        return [mask.to("cpu", torch.uint8) for mask in masks]

    def served(self, outputs: dict[str, Any]) -> Tensor:
        return outputs["logits"].float().softmax(1)

    def rows(self, outputs: dict[str, Any]) -> list[dict[str, Any]]:
        """Returns each class's fraction of the pixels, the largest first."""
        rows = []
        for mask in self.masks_of(outputs):
            shares = torch.bincount(mask.flatten(), minlength=len(self.class_names)) / mask.numel()
            ranked = sorted(zip(shares.tolist(), self.class_names, strict=True), reverse=True)
            rows.append({"shares": {name: round(share, 4) for share, name in ranked if share}})
        return rows

    def pictures(self, inputs: Sequence[Tensor], outputs: dict[str, Any]) -> list[dict[str, Image.Image]]:
        """Returns the mask, an indexed image of class ids, and the image overlaid with it."""
        pictures = []
        for image, mask in zip(inputs, self.masks_of(outputs), strict=True):
            indexed = Image.fromarray(mask.numpy(), mode="P")
            indexed.putpalette([value for color in self.class_colors for value in color])
            tinted = laid_over(image.cpu(), mask, self.class_colors).permute(1, 2, 0).numpy()
            pictures.append({"mask": indexed, "overlay": Image.fromarray(tinted)})
        return pictures

    # Explanations

    def explanation_targets(self, request: ExplanationRequest) -> list[ExplanationTarget]:
        """Explains the sum of a class's logits over its predicted pixels.

        Vinogradova et al. 2020, arXiv:2002.11434. Without a requested class, it is the largest one other than
        the background.
        """
        with torch.no_grad():
            preds = request.forward(request.inputs).argmax(1)[0]
        names, counts = self.class_names, torch.bincount(preds.flatten(), minlength=len(self.class_names))
        sizes = counts.tolist()
        ranked = sorted(range(len(sizes)), key=lambda number: -sizes[number])
        objects = [number for number in ranked if sizes[number] and names[number].lower() not in GROUNDS]
        largest = (objects or ranked)[0]
        number = largest if request.target is None else index_of(request.target, names, "class")
        mask = preds == number
        if not mask.any():
            return []
        shares = [f"{names[each]} {sizes[each] / preds.numel():.0%}" for each in ranked[:3] if sizes[each]]

        def score(batch: Tensor) -> Tensor:
            return (request.forward(batch)[:, number] * mask).sum((1, 2))

        return [
            ExplanationTarget(
                score, names[number], ", ".join(shares), unit="sum of logits", mask=mask.cpu().numpy()
            )
        ]

    def nothing_to_explain(self, target: str | None) -> str:
        return f"no pixel of {target}"


def of_one_size(batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the batch, or its groups of equal image size if sizes differ."""
    if isinstance(batch["inputs"], Tensor):
        yield batch
        return
    for positions, inputs in groups_of_one_size(batch["inputs"]):
        targets = torch.stack([batch["targets"][position] for position in positions])
        yield {"inputs": inputs, "targets": targets, "index": batch["index"][positions]}
