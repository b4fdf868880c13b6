"""Boxes of many images in a few arrays."""

import numpy as np

from runner.data.detection.source import BoxTable


def table() -> BoxTable:
    boxes = np.arange(20, dtype=float).reshape(5, 4)
    return BoxTable.build(list("abcd"), [3, 0, 0, 2, 3], boxes, [0, 1, 2, 3, 4], sizes=[(8, 9)] * 4)


def test_boxes_are_put_in_the_order_of_their_images():
    built = table()
    assert built.first.tolist() == [0, 2, 2, 3, 5]
    assert [built.labels[built.boxes_of(i)].tolist() for i in range(4)] == [[1, 2], [], [3], [0, 4]]
    assert built.image.tolist() == [0, 0, 2, 3, 3]
    assert built.boxes.dtype == np.float64 and not built.crowd.any() and np.isnan(built.areas).all()


def test_boxes_can_be_left_out():
    kept = table().keep_boxes(np.array([True, False, True, False, True]))
    assert [kept.labels[kept.boxes_of(i)].tolist() for i in range(4)] == [[1], [], [3], [4]]
    assert len(kept) == 4


def test_images_can_be_left_out_with_their_boxes():
    kept = table().keep_images(np.array([False, True, True, True]))
    assert kept.paths == ["b", "c", "d"] and len(kept.sizes) == 3
    assert [kept.labels[kept.boxes_of(i)].tolist() for i in range(3)] == [[], [3], [0, 4]]


def test_table_may_be_empty():
    built = BoxTable.build([], [], [], [])
    assert len(built) == 0 and built.boxes.shape == (0, 4)
    built = BoxTable.build(["a"], [], [], [])
    assert built.first.tolist() == [0, 0]


def test_digest_changes_with_the_data():
    digests = {table().digest()}
    for change in ("boxes", "labels", "sizes"):
        other = table()
        getattr(other, change)[0] += 1
        digests.add(other.digest())
    other = table()
    other.paths[0] = "z"
    assert len(digests | {other.digest()}) == 5
    assert table().digest() == table().digest()


def test_million_boxes_take_little_memory():
    """41 bytes a box, and no object for any of them."""
    count = 1_000_000
    built = BoxTable.build(["x"] * 1000, np.arange(count) % 1000, np.zeros((count, 4)), np.zeros(count))
    arrays = (built.boxes, built.labels, built.areas, built.crowd)
    assert sum(array.nbytes for array in arrays) == 41 * count
