"""Principal components against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from runner.data.images.digits import DigitsDataModule
from runner.data.images.principal import PrincipalComponents
from runner.errors import DataError


def test_components_are_those_of_scikit_learn():
    data = DigitsDataModule(num_components=10)
    data.setup("fit")
    train = data.splits["train"]
    images = train.source.inputs[train.indices]
    theirs = PCA(10, whiten=True).fit_transform(images.flatten(1).double().numpy() / 255)
    ours = data.normalize(images).numpy()
    theirs = theirs * np.sign((theirs * ours).sum(0)) * np.sqrt(len(images) / (len(images) - 1))
    assert np.allclose(ours, theirs, atol=1e-3)
    assert data.facts.input_shape == (10,)
    batch = data.on_after_batch_transfer(next(iter(data.val_dataloader())), 0)
    assert tuple(batch["inputs"].shape) == (64, 10)


def test_values_are_part_of_the_state():
    data, again = DigitsDataModule(num_components=5), DigitsDataModule(num_components=5)
    data.setup("fit")
    again.load_state_dict(data.state_dict())
    image = torch.randint(0, 256, (1, 1, 8, 8), dtype=torch.uint8)
    assert torch.equal(again.normalize(image), data.normalize(image))


@pytest.mark.parametrize("num_components", [65, 63])
def test_more_components_than_there_are_is_rejected(num_components):
    images = torch.randint(0, 256, (100, 1, 8, 8), dtype=torch.uint8)
    images[:, :, :, :3] = 7  # constant pixels
    with pytest.raises(DataError, match=f"num_components={num_components}"):
        PrincipalComponents.fitted(images, num_components)
