"""`explain --worst` of a detector: the images in the order of the loss of each."""

import torch
from torch import nn

from runner.data.detection.shapes import ShapesDetectionDataModule
from runner.explain.samples import worst_positions
from runner.tasks.detection import DetectionTask


class CountingBoxes(nn.Module):
    """A detector whose loss of an image is its number of true boxes, plus up to 0.1 at random, as with
    detectors that draw the regions they learn from."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, images, targets=None):
        assert targets is not None and all(target["boxes"].dtype == torch.float32 for target in targets)
        return {"loss": self.weight * sum(len(target["boxes"]) for target in targets) + 0.1 * torch.rand(())}


def test_images_with_the_highest_loss_come_first():
    data = ShapesDetectionDataModule(num_train=1, num_val=8, num_test=0, image_size=64)
    data.setup()
    task = DetectionTask(CountingBoxes(), class_names=data.facts.class_names).eval()
    part = data.as_held_out("val")
    counts = [len(part.source[place][1]["boxes"]) for place in range(8)]
    state = torch.get_rng_state()
    worst = worst_positions(task, data, part, 4)
    assert [counts[place] for place in worst] == sorted(counts, reverse=True)[:4]
    assert worst == worst_positions(task, data, part, 4) and torch.equal(state, torch.get_rng_state())
    assert not task.model.training
