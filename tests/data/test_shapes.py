"""Scenes of shapes: what is drawn is what the truth says."""

import numpy as np
import pytest

from runner.data.shapes import CLASS_NAMES, draw_scene


@pytest.mark.parametrize("size", [32, 64, 128])
def test_boxes_are_tight_around_masks(size):
    for index in range(30):
        scene = draw_scene(3, index, size)
        assert scene.image.shape == (3, size, size) and scene.image.dtype == np.uint8
        count = len(scene.labels)
        assert (
            1 <= count <= 6 and scene.masks.shape == (count, size, size) and scene.boxes.shape == (count, 4)
        )
        for mask, (x1, y1, x2, y2) in zip(scene.masks, scene.boxes.astype(int), strict=True):
            inside = mask[y1:y2, x1:x2]
            assert inside.sum() == mask.sum() > 0
            assert inside.any(1)[[0, -1]].all() and inside.any(0)[[0, -1]].all()


def test_no_pixel_belongs_to_two_shapes():
    for index in range(30):
        assert draw_scene(1, index).masks.sum(0).max() == 1


def test_shapes_stand_out_and_have_their_areas():
    filled = {name: [] for name in CLASS_NAMES}
    for index in range(200):
        scene = draw_scene(0, index)
        if len(scene.labels) > 1:
            continue
        ground = scene.image[:, ~scene.masks.any(0)].mean(1)
        assert np.abs(scene.image[:, scene.masks[0]].mean(1) - ground).max() > 60
        x1, y1, x2, y2 = scene.boxes[0]
        filled[CLASS_NAMES[scene.labels[0]]].append(scene.masks[0].sum() / ((x2 - x1) * (y2 - y1)))
    assert np.mean(filled["circle"]) == pytest.approx(np.pi / 4, abs=0.03)
    assert 0.55 < np.mean(filled["square"]) <= 1 and 0.35 < np.mean(filled["triangle"]) < 0.6


def test_sample_depends_on_seed_and_index_only():
    first, again = draw_scene(5, 7), draw_scene(5, 7)
    assert np.array_equal(first.image, again.image) and np.array_equal(first.boxes, again.boxes)
    assert not np.array_equal(first.image, draw_scene(5, 8).image)
    assert not np.array_equal(first.image, draw_scene(6, 7).image)


def test_crowded_scenes_terminate():
    assert len(draw_scene(0, 0, 32, max_objects=50).labels) <= 50
