import numpy as np
import pytest

from runner.plots.boxes import box_pairs, boxed_image, words_at

NAMES = ["cat", "dog", "a class with quite a long name"]


def boxes(count, seed=0, scores=False):
    draw = np.random.default_rng(seed)
    corner = draw.uniform(0, 30, (count, 2))
    found = {"boxes": np.concatenate([corner, corner + draw.uniform(3, 30, (count, 2))], 1),
             "labels": draw.integers(0, 3, count)}  # fmt: skip
    return found | ({"scores": draw.random(count)} if scores else {"iscrowd": draw.random(count) < 0.3})


def pairs(images, num_boxes=4):
    count = len(images)
    truths = [boxes(num_boxes, seed) for seed in range(count)]
    preds = [boxes(num_boxes + 2, seed, scores=True) for seed in range(count)]
    return box_pairs(images, truths, preds, [f"val/images/{i}.jpg" for i in range(count)], NAMES)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 12])
def test_any_number_of_images_can_be_drawn(count, png_size):
    images = [np.random.default_rng(i).integers(0, 255, (3, 64, 64), dtype=np.uint8) for i in range(count)]
    width, height = png_size(pairs(images))
    assert width > 200 and height > 150


def test_images_of_different_shapes_can_be_drawn(png_size):
    shapes = [(3, 40, 90), (3, 90, 40), (64, 64, 3), (3, 640, 480)]
    png_size(pairs([np.full(shape, 99, dtype=np.uint8) for shape in shapes]))


def test_every_box_has_a_frame_and_a_label():
    image = np.zeros((3, 64, 64), dtype=np.uint8)
    truth = {"boxes": np.array([[1.0, 2, 30, 40]]), "labels": np.array([1])}
    pred = {
        "boxes": np.array([[2.0, 2, 30, 40], [5, 5, 9, 9]]),
        "labels": np.array([1, 0]),
        "scores": np.array([0.9, 0.6]),
    }
    fig = box_pairs([image], [truth], [pred], ["a/b.jpg"], NAMES)
    left, right = fig.axes
    assert [text.get_text() for text in left.texts] == ["dog"]
    assert [text.get_text() for text in right.texts] == ["cat 60%", "dog 90%"], "the surest above the others"
    (frame,) = left.patches
    assert (frame.get_x(), frame.get_y(), frame.get_width(), frame.get_height()) == (0.5, 1.5, 29, 38)
    assert left.get_title() == "b.jpg" or left.get_title(loc="left") == "b.jpg"
    assert "2 found, 1 there" in (right.get_title(), right.get_title(loc="left"))


def test_words_stay_inside_the_image():
    assert words_at(5, 30, 20, (64, 64)) == (5, 29, "left", "bottom")
    assert words_at(5, 1, 20, (64, 64)) == (5, 2, "left", "top")
    assert words_at(50, 30, 60, (64, 64)) == (60, 29, "right", "bottom")


def test_no_detections_can_be_drawn(png_size):
    image = np.zeros((3, 64, 64), dtype=np.uint8)
    none = {"boxes": np.zeros((0, 4)), "labels": np.zeros(0, dtype=int)}
    png_size(box_pairs([image], [none], [none | {"scores": np.zeros(0)}], ["a"], NAMES))


@pytest.mark.parametrize("shape", [(3, 50, 80), (50, 80, 3), (1, 50, 80)])
def test_image_with_boxes_keeps_its_size(shape):
    found = boxes(5, scores=True)
    picture = boxed_image(
        np.full(shape, 120, dtype=np.uint8), found["boxes"], found["labels"], found["scores"], NAMES
    )
    assert picture.size == (80, 50) and picture.mode == "RGB"


def test_frames_match_their_boxes():
    image = np.zeros((3, 60, 60), dtype=np.uint8)
    picture = np.asarray(
        boxed_image(image, np.array([[10.0, 30, 40, 50]]), np.array([0]), np.array([0.8]), NAMES)
    )
    assert (
        picture[50, 25].any()
        and picture[40, 10].any()
        and picture[40, 40].any()
        and not picture[40, 25].any()
    )
    assert not np.asarray(boxed_image(image, np.zeros((0, 4)), np.zeros(0, int), np.zeros(0), NAMES)).any()
