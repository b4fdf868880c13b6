import torch

from runner.data.segmentation.classes import class_colors, laid_over


def test_every_class_has_its_own_colour():
    for count in (2, 7, 8, 40, 150):
        colors = class_colors([str(number) for number in range(count)])
        assert len(colors) == count and len({tuple(color) for color in colors}) == count
        assert all(0 <= value <= 255 for color in colors for value in color)


def test_background_is_dark():
    assert class_colors(["cat", "background", "dog"])[1] == [60, 60, 60]


def test_laid_over():
    image = torch.full((3, 1, 3), 100, dtype=torch.uint8)
    image[0, 0, 2] = 200
    shown = laid_over(image, torch.tensor([[0, 1, 255]], dtype=torch.uint8), [[0, 0, 0], [200, 100, 0]])
    assert shown[:, 0, 0].tolist() == [40, 40, 40]
    assert shown[:, 0, 1].tolist() == [160, 100, 40]
    assert shown[:, 0, 2].tolist() == [200, 100, 100]
