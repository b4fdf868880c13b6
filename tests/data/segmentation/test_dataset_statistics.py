import torch

from runner.data.segmentation.mask_set import Survey, survey
from runner.errors import BrokenSampleError


class Masks:
    """Sample i is a mask of class i % 3, the last row of which does not count; every 10th cannot be read."""

    def __init__(self, count: int):
        self.count, self.read = count, 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int):
        self.read += 1
        if index % 10 == 9:
            raise BrokenSampleError(f"{index} is broken")
        mask = torch.full((4 + index % 2, 8), index % 3, dtype=torch.uint8)
        mask[-1] = 255
        return torch.zeros(3, *mask.shape), mask

    def name(self, index: int) -> str:
        return str(index)


def test_counts():
    found = survey(Masks(6), torch.arange(6), 3)
    assert found.counts.tolist() == [8 * 7, 8 * 7, 8 * 7] and found.num_ignored == 6 * 8
    assert found.size == (5, 8) and found.num_samples == 6 and not found.faults


def test_sample_of_many_files_is_inspected():
    source = Masks(5000)
    found = survey(source, torch.arange(5000), 3)
    assert source.read == found.num_samples == 50


def test_faults_are_reported():
    assert survey(Masks(20), torch.arange(20), 3).faults == ["9 is broken", "19 is broken"]


def test_rare_classes_weigh_more():
    weights = Survey(torch.tensor([600.0, 300.0, 100.0, 0.0])).class_weights()
    assert weights == [0.5, 1.0, 3.0, 1.0]
    assert Survey(torch.zeros(2)).class_weights() == [1.0, 1.0]
