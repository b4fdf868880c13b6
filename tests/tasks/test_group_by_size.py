import torch

from runner.tasks.pixel_confusion import groups_of_one_size


def test_tensor_is_one_group():
    images = torch.zeros(3, 1, 4, 4)
    ((positions, group),) = groups_of_one_size(images)
    assert positions == [0, 1, 2] and group is images


def test_lists_are_sorted_by_size():
    images = [
        torch.full((1, *size), float(value))
        for value, size in enumerate([(4, 4), (2, 4), (4, 4), (2, 4), (3, 3)])
    ]
    groups = list(groups_of_one_size(images))
    assert [positions for positions, _ in groups] == [[0, 2], [1, 3], [4]]
    assert groups[1][1].shape == (2, 1, 2, 4) and groups[1][1][:, 0, 0, 0].tolist() == [1, 3]
