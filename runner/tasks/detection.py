"""Object detection."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from annotated_types import Ge, Le
from PIL import Image
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torchvision.ops import StochasticDepth, box_iou

from runner.data.detection.transform import without_crowd
from runner.data.facts import Facts
from runner.errors import DataError, UserError
from runner.plots.boxes import boxed_image
from runner.tasks.base import StepOutput, Task
from runner.tasks.box_metrics import STATISTICS, BoxAveragePrecision, BoxScores
from runner.tasks.detection_figures import detection_figures
from runner.tasks.explanation import ExplainedOutput, ExplanationRequest, ExplanationTarget, index_of
from runner.tasks.outputs import to_cpu
from runner.tasks.shape_check import first_line, in_eval_mode
from runner.tasks.typed_modules import TypedModuleDict

__all__ = ["DetectionTask"]

MAX: Literal["max"] = "max"
MAX_SERVED = 100
FAINTEST = 1e-3
"""Minimum score of boxes while a detector is explained."""
MAX_BOXES = 1000
"""Maximum number of boxes while a detector is explained."""
SAME_BOX = 0.5
"""Minimum IoU at which a box fully counts as the explained one."""


class DetectionTask(Task):
    """Object detection with a detector that computes its own losses.

    The detector returns losses when called with images and targets in training mode, and boxes when called
    with images in evaluation mode. Labels start at 0.

    Args:
        model: a detector with the interface of ``runner.models.detection.detector.Detector``.
        class_names: class names in the order of the labels.
        min_score: boxes with a lower score are neither predicted nor drawn; metrics use all boxes.
    """

    monitor = "val/map"
    mode = "max"
    metric_modes: ClassVar[dict[str, Literal["min", "max"]]] = {
        "loss": "min",
        **dict.fromkeys(STATISTICS, MAX),
    }
    served_as = "boxes: x1, y1, x2, y2, score, label; padded with rows of -1"
    explained_output: ClassVar[ExplainedOutput] = "boxes"

    def __init__(
        self,
        model: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer] | None = None,
        scheduler: Callable[..., Any] | None = None,
        class_names: Sequence[str] = (),
        min_score: Annotated[float, Ge(0), Le(1)] = 0.5,
    ) -> None:
        super().__init__(model, optimizer, scheduler)
        self.class_names = [str(name) for name in class_names]
        self.min_score = min_score
        self.scores: dict[str, BoxScores] = {}
        self.metrics: TypedModuleDict[BoxAveragePrecision] = TypedModuleDict(
            {f"{split}_metrics": BoxAveragePrecision(len(self.class_names)) for split in ("val", "test")}
        )

    @classmethod
    def adapt_facts(cls, facts: Facts) -> Facts:
        if facts.task != "detection":
            raise DataError(f"{facts.name} has no boxes: its task is {facts.task}. Use task={facts.task}.")
        return facts

    @classmethod
    def check_model(cls, model: nn.Module, facts: Facts) -> None:
        name, shape = type(model).__name__, tuple(facts.input_shape)
        with in_eval_mode(model), torch.no_grad():
            try:
                outputs = model([torch.zeros(shape)])
            except (RuntimeError, ValueError, AssertionError, IndexError, TypeError, AttributeError) as error:
                raise UserError(
                    f"{name} cannot take the images of this data, of shape {shape}: {first_line(error)} "
                    "Choose a detector for such images, or another image size."
                ) from error
        wanted = {"boxes", "labels", "scores"}
        if not (isinstance(outputs, list) and len(outputs) == 1 and wanted <= set(outputs[0])):
            raise UserError(
                f"{name} returns a {type(outputs).__name__} for a list of one image; a detector returns a "
                "list with a dict of boxes, labels and scores. Models for detection: `runner list model`."
            )

    # Training

    def compute_loss(self, batch: dict[str, Any]) -> StepOutput:
        losses = self.model(batch["inputs"], batch["targets"])
        self.last_train_parts = {part_name(name): loss.detach() for name, loss in losses.items()}
        return StepOutput(sum(losses.values()), {})

    # Evaluation: detectors compute no loss

    def forward(self, inputs: Any) -> list[dict[str, Tensor]]:
        return self.model(list(inputs))

    def _evaluate(self, batch: dict[str, Any], split: str) -> None:
        preds, targets = self(batch["inputs"]), batch["targets"]
        self.metrics[f"{split}_metrics"].update(batch["index"], preds, targets)
        self.update_extra_metrics({"preds": preds, "targets": targets}, split)
        if self.collect:
            self._collected.append(
                {"preds": to_cpu(preds), "targets": to_cpu(targets), "index": to_cpu(batch["index"])}
            )

    def eval_step(self, batch: dict[str, Any]) -> StepOutput:
        """Computes the losses of evaluation images.

        The detector is temporarily in training mode except for its norms and dropout. Crowds are ignored, as
        in training.
        """
        images = batch["inputs"]
        targets = [
            without_crowd(image, target)[1] for image, target in zip(images, batch["targets"], strict=True)
        ]
        with returning_losses(self.model):
            return self.compute_loss({"inputs": images, "targets": targets})

    def summed_loss(self, batch: dict[str, Any]) -> tuple[Tensor, int]:
        count = len(batch["inputs"])
        return self.eval_step(batch).loss.detach().double() * count, count

    def compute_metrics(self, split: str) -> dict[str, float]:
        metric = self.metrics[f"{split}_metrics"]
        scores = self.scores[split] = metric.compute()
        metric.reset()
        values = dict(scores.statistics)
        if split == "val":  # the monitored metric must exist even if the split has no boxes
            values = {"map": 0.0} | values
        if self.trainer.state.fn != "fit":
            by_class = zip(self.class_names, scores.class_map, strict=True)
            values |= {f"map_class/{name}": float(value) for name, value in by_class if not np.isnan(value)}
        return values

    # Inference

    def predict_outputs(self, inputs: Any) -> dict[str, Any]:
        if torch.compiler.is_exporting():
            raise UserError(
                "detectors return a variable number of boxes, but a traced graph has a fixed output shape; "
                "use `runner predict`"
            )
        return {"preds": self(inputs)}

    def served(self, outputs: dict[str, Any]) -> Tensor:
        """Returns up to 100 boxes per image, padded with -1: ``(N, 100, 6)``."""
        rows = []
        for pred in outputs["preds"]:
            columns = [
                pred["boxes"],
                pred["scores"][:, None],
                pred["labels"][:, None].to(pred["boxes"].dtype),
            ]
            boxes = torch.cat(columns, 1)[:MAX_SERVED]
            rows.append(nn.functional.pad(boxes, (0, 0, 0, MAX_SERVED - len(boxes)), value=-1.0))
        return torch.stack(rows)

    def confident(self, pred: dict[str, Tensor]) -> dict[str, Tensor]:
        """Selects the boxes of an image with a score of at least ``min_score``."""
        kept = pred["scores"] >= self.min_score
        return {key: value[kept] for key, value in pred.items()}

    def rows(self, outputs: dict[str, Any]) -> list[dict[str, Any]]:
        rows = []
        for pred in map(self.confident, to_cpu(outputs["preds"])):
            columns = zip(
                pred["labels"].tolist(), pred["scores"].tolist(), pred["boxes"].tolist(), strict=True
            )
            boxes = [
                {
                    "class": self.class_names[label],
                    "score": round(score, 4),
                    "box": [round(side, 1) for side in box],
                }
                for label, score, box in columns
            ]
            rows.append({"found": in_words([box["class"] for box in boxes]), "boxes": boxes})
        return rows

    def evaluated_rows(self, outputs: dict[str, Any]) -> list[dict[str, Any]]:
        """Returns target and predicted boxes in pixels of the image, as JSON."""
        predicted = [row["boxes"] for row in self.rows(outputs)]
        expected = [
            [
                {"class": self.class_names[label], "box": [round(side, 1) for side in box]}
                for label, box in zip(target["labels"].tolist(), target["boxes"].tolist(), strict=True)
            ]
            for target in outputs["targets"]
        ]
        pairs = zip(expected, predicted, strict=True)
        return [{"target": json.dumps(target), "prediction": json.dumps(pred)} for target, pred in pairs]

    def pictures(self, inputs: Sequence[Tensor], outputs: dict[str, Any]) -> list[dict[str, Image.Image]]:
        """Draws the predicted boxes into the images."""
        pictures = []
        for image, pred in zip(inputs, map(self.confident, to_cpu(outputs["preds"])), strict=True):
            boxes, labels, scores = (pred[key].numpy() for key in ("boxes", "labels", "scores"))
            picture = boxed_image(image.cpu().numpy(), boxes, labels, scores, self.class_names)
            pictures.append({"picture": picture})
        return pictures

    def figures(self, split: str, data: Any) -> Iterator[tuple[str, Any]]:
        if self.outputs.get(split) and split in self.scores:
            yield from detection_figures(self, split, data)

    # Explanations

    def prepare_explanation(self) -> None:
        """Lowers the detector's score threshold.

        Otherwise a box would vanish abruptly on the path to the baseline.
        """
        parts: tuple[Any, ...] = (self.model, getattr(self.model, "roi_heads", None))
        for part in parts:
            if hasattr(part, "score_thresh"):
                part.score_thresh = min(FAINTEST, part.score_thresh)
                part.detections_per_img = max(MAX_BOXES, part.detections_per_img)

    def explanation_targets(self, request: ExplanationRequest) -> list[ExplanationTarget]:
        """Explains the score of the most confident box, or of that of the requested class.

        In modified images, the score is the highest among boxes of the class that overlap it with an IoU of
        one half; boxes with less overlap count less. Boxes below the model's score threshold are included, so
        that the score changes continuously with the image.
        """
        with torch.no_grad():
            (pred,) = request.forward(request.inputs)
        names, labels = self.class_names, pred["labels"].tolist()
        wanted = None if request.target is None else index_of(request.target, names, "class")
        matches = [index for index, label in enumerate(labels) if wanted in (None, label)]
        if not matches or float(pred["scores"][matches[0]]) < self.min_score:
            return []
        best = matches[0]
        box, label, confidence = pred["boxes"][best].detach(), labels[best], float(pred["scores"][best])

        def score(batch: Tensor) -> Tensor:
            pairs = zip(request.forward(batch), batch, strict=True)
            return torch.stack([score_of(boxes, box, label, image) for boxes, image in pairs])

        prediction = f"{names[label]} {confidence:.0%}"
        return [ExplanationTarget(score, names[label], prediction, unit="score", box=box.cpu().tolist())]

    def nothing_to_explain(self, target: str | None) -> str:
        of_class = f" of {target}" if target else ""
        return f"no box{of_class} with a score of at least task.min_score={self.min_score}"

    def baseline_color(self) -> Sequence[float] | None:
        return getattr(getattr(self.model, "transform", None), "image_mean", None)


def score_of(pred: dict[str, Tensor], box: Tensor, label: int, image: Tensor) -> Tensor:
    """Returns the score of the explained box among the predictions for a modified image.

    Args:
        pred: boxes, labels and scores of the image.
        box: the explained box, ``(4,)``.
        label: its class id.
        image: the image, so that a score of 0 stays attached to the graph.
    """
    same = pred["labels"] == label
    if not bool(same.any()):
        return 0.0 * image.sum()
    overlap = box_iou(pred["boxes"][same], box[None])[:, 0]
    return (pred["scores"][same] * (overlap / SAME_BOX).clamp(max=1)).max()


def in_words(names: list[str]) -> str:
    """Counts names in words, such as ``2 dog, cat``."""
    counts = Counter(names).most_common()
    return ", ".join(f"{count} {name}" if count > 1 else name for name, count in counts) or "nothing"


def part_name(name: str) -> str:
    """Prefixes the names of loss terms with ``loss_`` where an architecture does not."""
    return name if name.startswith("loss") else f"loss_{name}"


@contextmanager
def returning_losses(model: nn.Module) -> Iterator[None]:
    """Context manager in which a detector returns losses, while norms and dropout behave as in evaluation."""
    modes = {module: module.training for module in model.modules()}
    for module in modes:
        module.training = not isinstance(module, (_BatchNorm, _DropoutNd, StochasticDepth))
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
