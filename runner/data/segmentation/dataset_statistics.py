"""Statistics of a sample of the masks: frequency of each class, and image size."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from runner.data.segmentation.batch import IGNORE
from runner.data.split import Source
from runner.errors import BrokenSampleError

__all__ = ["Survey", "evenly_spread", "survey"]

NUM_LOOKED_AT = 50


@dataclass
class Survey:
    """Statistics of the inspected samples.

    Attributes:
        counts: pixels of each class, ``(K,)``.
        num_ignored: number of ignored pixels.
        size: height and width of the sample with the median area.
        faults: error messages of unusable samples.
        num_samples: number of inspected samples.
    """

    counts: Tensor
    num_ignored: int = 0
    size: tuple[int, int] = (0, 0)
    faults: list[str] = field(default_factory=list)
    num_samples: int = 0

    def class_weights(self) -> list[float]:
        """Returns median-frequency class weights (Eigen and Fergus 2014, arXiv:1411.4734); 1 for absent classes."""
        shares = self.counts / self.counts.sum().clamp(min=1)
        seen = shares > 0
        if not seen.any():
            return [1.0] * len(self.counts)
        weights = torch.where(seen, shares[seen].quantile(0.5) / shares.clamp(min=1e-12), 1.0)
        return [round(value, 6) for value in weights.tolist()]


def evenly_spread(indices: Tensor) -> list[int]:
    """Returns at most 50 of these indices, evenly spread."""
    return indices[:: max(1, -(-len(indices) // NUM_LOOKED_AT))].tolist()


def survey(source: Source, indices: Tensor, num_classes: int) -> Survey:
    """Reads at most 50 samples, evenly spread."""
    found = Survey(torch.zeros(num_classes, dtype=torch.float64))
    sizes = []
    for index in evenly_spread(indices):
        found.num_samples += 1
        try:
            _, mask = source[index]
        except BrokenSampleError as error:
            found.faults.append(str(error))
            continue
        counts = torch.bincount(mask.flatten(), minlength=IGNORE + 1)
        found.counts += counts[:num_classes]
        found.num_ignored += int(counts[IGNORE])
        sizes.append(tuple(mask.shape))
    if sizes:
        found.size = sorted(sizes, key=lambda size: (size[0] * size[1], size))[len(sizes) // 2]
    return found
