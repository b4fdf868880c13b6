"""CamVid as it lies in the folder of shared data."""

import pytest
import torch

from runner.data.segmentation.folder import MaskFolderDataModule


@pytest.fixture
def camvid(shared_data):
    if not (shared_data / "camvid").is_dir():
        pytest.skip(f"needs {shared_data / 'camvid'}, which is absent")
    data = MaskFolderDataModule(str(shared_data / "camvid"), ignore_index=11)
    assert data.check() == []
    data.setup("fit")
    return data


def test_splits_and_classes(camvid):
    facts = camvid.facts
    assert (facts.num_train, facts.num_val, facts.num_test) == (150, 50, 50)
    assert facts.num_classes == 11 and facts.class_names[0] == "Sky" and "Unlabelled" not in facts.class_names
    assert facts.input_shape == (3, 360, 480) and min(facts.class_counts) > 0


def test_official_splits_have_no_frame_in_common(camvid):
    names = {
        split: {part.name(int(index)).rpartition("/")[2] for index in part.indices}
        for split, part in camvid.splits.items()
    }
    assert not (
        names["train"] & names["test"] or names["val"] & names["test"] or names["train"] & names["val"]
    )


def test_every_mask_is_sound(camvid):
    assert camvid.verify() == []
    image, mask = camvid.splits["test"].source[int(camvid.splits["test"].indices[0])]
    assert image.shape == (3, 360, 480) and set(mask.unique().tolist()) <= {*range(11), 255}
    assert mask.dtype == torch.uint8
