"""The task of detection, around a small detector."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from runner.data.detection.shapes import ShapesDetectionDataModule
from runner.data.facts import Facts
from runner.errors import DataError, UserError
from runner.models.detection.fcos import FCOSDetector
from runner.models.detection.ssdlite import SSDLiteDetector
from runner.tasks.detection import DetectionTask

NAMES = ["circle", "square", "triangle"]


class Oracle(nn.Module):
    """Returns given detections in evaluation, and a loss of two parts in training."""

    def __init__(self, found):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.found = found

    def forward(self, images, targets=None):
        if self.training:
            return {"loss_objectness": self.weight * len(images), "bbox_regression": self.weight * 0.5}
        return [{key: value.clone() for key, value in found.items()} for found in self.found[: len(images)]]


def found(boxes, labels, scores):
    return {"boxes": torch.tensor(boxes).reshape(-1, 4), "labels": torch.tensor(labels, dtype=torch.long),
            "scores": torch.tensor(scores)}  # fmt: skip


FOUND = [found([[1.0, 2, 30, 40], [5, 5, 20, 20]], [2, 0], [0.9, 0.3]), found([], [], [])]


def task(found=FOUND, **options) -> DetectionTask:
    return DetectionTask(Oracle(found), class_names=NAMES, **options).eval()


def facts(**changes) -> Facts:
    return Facts(
        **{"task": "detection", "input_shape": (3, 64, 64), "num_outputs": 3, "class_names": NAMES} | changes
    )


def test_loss_is_the_sum_of_its_parts():
    own = task().train()
    batch = {"inputs": [torch.zeros(3, 8, 8)] * 2, "targets": [{}, {}]}
    loss = own.training_step(batch, 0)
    assert float(loss.detach()) == 2.5 and loss.requires_grad
    assert {name: float(part) for name, part in own.last_train_parts.items()} == {
        "loss_objectness": 2.0, "loss_bbox_regression": 0.5,
    }  # fmt: skip


def test_held_out_images_have_a_loss():
    """The detector is in training for a moment, but for its norms; crowds do not count."""
    seen = {}

    class Seen(Oracle):
        def __init__(self, found):
            super().__init__(found)
            self.norm, self.dropout = nn.BatchNorm2d(3), nn.Dropout()

        def forward(self, images, targets=None):
            seen.update(targets=targets, norm=self.norm.training, dropout=self.dropout.training)
            return super().forward(images, targets)

    own = DetectionTask(Seen(FOUND), class_names=NAMES).eval()
    crowd = {
        "boxes": torch.ones(2, 4),
        "labels": torch.tensor([0, 1]),
        "iscrowd": torch.tensor([False, True]),
    }
    total, count = own.summed_loss({"inputs": [torch.zeros(3, 8, 8)] * 2, "targets": [crowd, crowd]})
    assert (float(total), count) == (5.0, 2)
    assert [target["labels"].tolist() for target in seen["targets"]] == [[0], [0]]
    assert not seen["norm"] and not seen["dropout"] and not own.model.training


def test_rows_list_confident_detections():
    outputs = task().predict_outputs([torch.zeros(3, 50, 50)] * 2)
    first, second = task().rows(outputs)
    assert first == {
        "found": "triangle",
        "boxes": [{"class": "triangle", "score": 0.9, "box": [1.0, 2.0, 30.0, 40.0]}],
    }
    assert second == {"found": "nothing", "boxes": []}
    assert len(task(min_score=0.1).rows(outputs)[0]["boxes"]) == 2
    json.dumps([first, second])


def test_overlays_have_the_size_of_their_images():
    images = [torch.full((3, 50, 60), 90, dtype=torch.uint8), torch.zeros(3, 33, 44, dtype=torch.uint8)]
    first, second = task().pictures(images, task().predict_outputs(images))
    assert first["picture"].size == (60, 50) and second["picture"].size == (44, 33)
    assert len(set(np.asarray(first["picture"]).reshape(-1, 3)[:, 0])) > 1
    assert not np.asarray(second["picture"]).any(), "nothing was found"


def test_served_outputs_are_tensors_of_one_shape():
    own = task()
    answer = own.served(own.predict_outputs(torch.zeros(2, 3, 50, 50)))
    assert answer.shape == (2, 100, 6)
    assert answer[0, 0].tolist() == pytest.approx([1, 2, 30, 40, 0.9, 2])
    assert (answer[0, 2:] == -1).all() and (answer[1] == -1).all()


def test_data_without_boxes_is_rejected():
    assert DetectionTask.adapt_facts(facts()) == facts()
    with pytest.raises(DataError, match="has no boxes: its task is classification. Use task=classification"):
        DetectionTask.adapt_facts(facts(task="classification", name="digits"))


def test_model_is_checked():
    torch.manual_seed(0)
    model = SSDLiteDetector(3, size=64)
    model.backbone.eval()
    modes = [module.training for module in model.modules()]
    DetectionTask.check_model(model, facts())
    assert [module.training for module in model.modules()] == modes
    with pytest.raises(UserError, match="Flatten cannot take the images .* of shape"):
        DetectionTask.check_model(nn.Flatten(), facts())
    with pytest.raises(UserError, match="returns a list for a list of one image; a detector returns"):
        DetectionTask.check_model(nn.Identity(), facts(task="detection"))


def test_split_without_boxes_has_no_test_metrics():
    own = task()
    nothing = {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0),
        "area": torch.zeros(0),
        "iscrowd": torch.zeros(0),
    }
    for split in ("val", "test"):
        own.metrics[f"{split}_metrics"].update(torch.arange(2), FOUND, [nothing, nothing])
    own._trainer = SimpleNamespace(state=SimpleNamespace(fn="fit"))
    assert own.compute_metrics("val") == {"map": 0.0}
    assert own.compute_metrics("test") == {}


def test_loss_of_a_single_held_out_image():
    """It is the loss that `summed_loss` adds up, and ranks the images for `explain --worst`."""
    own = task()
    target = {
        "boxes": torch.ones(1, 4).double(),
        "labels": torch.tensor([0]),
        "iscrowd": torch.tensor([False]),
    }
    batch = {"inputs": [torch.zeros(3, 8, 8)], "targets": [target]}
    assert float(own.eval_step(batch).loss.detach()) == 1.5
    assert float(own.summed_loss(batch)[0]) == 1.5


@pytest.fixture
def evaluated(tmp_path):
    """A task that has found all of val but its first image, and its data."""
    import pytorch_lightning as pl

    data = ShapesDetectionDataModule(num_train=2, num_val=6, num_test=0, image_size=64, batch_size=6)
    data.setup()
    truth = [data.splits["val"].source[i][1] for i in range(6)]
    sure = [{**target, "scores": torch.linspace(0.9, 0.6, len(target["boxes"]))} for target in truth]
    sure[0] = found([], [], [])
    own = task([{key: one[key] for key in ("boxes", "labels", "scores")} for one in sure])
    own.collect = True
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(tmp_path),
    )
    trainer.validate(own, datamodule=data, verbose=False)
    return own, data, {key: float(value) for key, value in trainer.callback_metrics.items()}


def test_evaluation_metrics_and_outputs(evaluated):
    own, data, metrics = evaluated
    truth = [data.splits["val"].source[i][1] for i in range(6)]
    assert 0.3 < metrics["val/map"] < 1 and metrics["val/map"] == pytest.approx(metrics["val/map_50"])
    assert "val/loss" not in metrics, "detectors have none in evaluation"
    by_class = [metrics[f"val/map_class/{name}"] for name in NAMES]
    assert np.mean(by_class) == pytest.approx(metrics["val/map"], abs=1e-6)
    outputs = own.outputs["val"]
    assert (
        outputs["index"].tolist() == list(range(6)) and len(outputs["preds"]) == len(outputs["targets"]) == 6
    )
    assert torch.equal(outputs["targets"][3]["boxes"], truth[3]["boxes"])


def test_figures_of_a_split(evaluated, tmp_path):
    from runner.plots.style import to_png

    own, data, _ = evaluated
    figures = dict(own.figures("val", data))
    assert set(figures) == {"val_boxes", "val_average_precision", "val_precision_recall"}
    for name, figure in figures.items():
        assert to_png(figure, tmp_path / f"{name}.png").stat().st_size > 5000
    assert list(own.figures("test", data)) == []


def test_overfits_one_batch():
    """Every box of two images found again, with its class and its place."""
    torch.manual_seed(0)
    data = ShapesDetectionDataModule(
        num_train=2, num_val=1, num_test=0, image_size=64, max_objects=2, batch_size=2
    )
    data.setup()
    own = DetectionTask(
        FCOSDetector(3, "resnet18", levels=[1, 2], channels=32, head_convs=1, min_size=64), class_names=NAMES
    )
    optimizer = torch.optim.Adam(own.parameters(), 2e-3)
    (batch,) = data.train_dataloader()
    batch = data.on_after_batch_transfer(batch, 0)
    for _ in range(40):
        loss = own.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    own.eval()
    metric = own.metrics["val_metrics"]
    with torch.no_grad():
        metric.update(batch["index"], own(batch["inputs"]), batch["targets"])
    assert metric.compute().statistics["map_50"] > 0.95
