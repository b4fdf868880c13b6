"""A segmenter overfits one batch, and an interrupted training equals an uninterrupted one."""

from __future__ import annotations

import pytest
import torch

from runner.data.segmentation.shapes import ShapesSegmentationDataModule
from runner.losses.mask import MaskLoss
from runner.models.segmentation.unet import UnetSegmenter
from runner.tasks.pixel_confusion import class_iou, count_pixels
from runner.tasks.segmentation import SegmentationTask
from tests.overrides import QUIET

OVERRIDES = [
    "data=shapes_segmentation",
    "data.num_train=18",
    "data.num_val=5",
    "data.num_test=3",
    "data.image_size=32",
    "data.batch_size=4",
    "model.encoder_depth=3",
    "model.decoder_channels=[8,8,8]",
    "regularization=strong",
    "regularization.early_stopping=null",
    "regularization.dropout=0",
    "task.loss.dice=0.5",
    "trainer.max_epochs=3",
    "trainer.log_every_n_steps=2",
    "checkpoint.every_n_steps=3",
    *QUIET,
    "hardware=cpu",
    "hardware.num_threads=1",
]


@pytest.mark.parametrize("loss", [{}, {"cross_entropy": 0.5, "dice": 1.0, "focal": 1.0}, {"jaccard": 1.0}])
def test_overfits_one_batch(loss):
    torch.manual_seed(0)
    data = ShapesSegmentationDataModule(num_train=4, num_val=2, num_test=0, image_size=32, batch_size=4)
    data.setup("fit")
    model = UnetSegmenter(4, encoder_depth=3, decoder_channels=[32, 16, 16])
    task = SegmentationTask(
        model, loss=MaskLoss(**loss, ignore_index=255), class_names=data.facts.class_names
    )
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    optimizer = torch.optim.Adam(task.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        step = task.compute_loss(batch)
        step.loss.backward()
        optimizer.step()
    counts = count_pixels(task.compute_loss(batch).outputs["logits"].argmax(1), batch["targets"], 4, 255).sum(
        0
    )
    assert float(class_iou(counts).nanmean()) > 0.95


@pytest.mark.parametrize(
    "more",
    [pytest.param([], marks=pytest.mark.slow), ["data.num_workers=2"]],
    ids=["no workers", "two workers"],
)
def test_resumed_equals_uninterrupted(more, assert_resumed_equals_uninterrupted):
    """Killed in the first and in the second epoch, between checkpoints."""
    calm = assert_resumed_equals_uninterrupted([*OVERRIDES, *more], (4, 9))
    assert calm["points"][-1][0] == 15
    names = {key for _, _, metrics in calm["points"] for key in metrics}
    assert {"train/loss", "val/mean_iou", "val/pixel_accuracy", "test/iou_class/circle"} <= names


@pytest.mark.parametrize("transfer", ["frozen", "finetune"])
def test_transfer_freezes_the_encoder_and_trains_decoder_and_head(transfer, tmp_path, train_interrupted):
    fresh = UnetSegmenter(4, encoder_depth=3, decoder_channels=[8, 8, 8])
    torch.save(
        {f"encoder.{name}": value for name, value in fresh.encoder.state_dict().items()}, tmp_path / "w.pt"
    )
    more = [f"transfer={transfer}", f"weights={tmp_path / 'w.pt'}", "trainer.max_epochs=2"]
    trained = train_interrupted([*OVERRIDES, *more])["state"][0]
    encoder = {name: trained[f"model.encoder.{name}"] for name in fresh.encoder.state_dict()}
    moved = {
        name for name, value in encoder.items() if not torch.equal(value, fresh.encoder.state_dict()[name])
    }
    weights = {
        name for name, _ in fresh.encoder.named_parameters() if "layer3" not in name and "layer4" not in name
    }
    assert moved == (set() if transfer == "frozen" else weights)
    assert trained["model.decoder.blocks.0.conv1.1.num_batches_tracked"] == 10
