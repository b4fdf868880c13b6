"""Random changes of training images."""

import pytest
import torch

from runner.data.images.augment import ImageAugment


def picture(channels: int = 3, height: int = 40, width: int = 60) -> torch.Tensor:
    """A gradient from left to right and from top to bottom."""
    rows, columns = torch.arange(height)[:, None] * 2, torch.arange(width)[None] * 2
    return (rows + columns).to(torch.uint8).expand(channels, height, width).contiguous()


ALL = dict(flip=True, min_scale=0.3, degrees=20.0, color=0.3, erase=0.5)


@pytest.mark.parametrize("size", [1, 8, 28, 100])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 40, 60), (3, 300, 20), (1, 1, 1), (3, 5, 2)])
def test_every_image_gets_the_requested_size(shape, size):
    augment = ImageAugment(**ALL)
    for seed in range(5):
        torch.manual_seed(seed)
        out = augment(picture(*shape), size)
        assert out.shape == (shape[0], size, size) and out.dtype == torch.uint8


def test_image_depends_on_the_seed():
    augment = ImageAugment(**ALL)

    def drawn(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return augment(picture(), 32)

    assert torch.equal(drawn(3), drawn(3))
    assert len({drawn(seed).numpy().tobytes() for seed in range(20)}) == 20


def test_image_is_unchanged():
    image = picture()
    before = image.clone()
    for seed in range(10):
        torch.manual_seed(seed)
        ImageAugment(**ALL)(image, 40)
        ImageAugment(min_scale=1.0, flip=False, erase=1.0)(image[:, :, :40], 40)
    assert torch.equal(image, before)


def test_flip_mirrors_half_of_the_images_unless_disabled():
    augment = ImageAugment(flip=True, min_scale=1.0)
    image = picture(3, 32, 32)
    torch.manual_seed(0)
    flipped = sum(torch.equal(augment(image, 32), image.flip(-1)) for _ in range(200))
    assert 70 < flipped < 130
    assert all(torch.equal(augment(image, 32, can_flip=False), image) for _ in range(50))
    assert all(torch.equal(ImageAugment(flip=False, min_scale=1.0)(image, 32), image) for _ in range(50))


def test_crops_show_at_least_the_smallest_part():
    """The range of the gradient is the visible part of the picture."""
    image = (torch.arange(200)[None, :] * torch.ones(200, 1)).to(torch.uint8)[None]
    augment = ImageAugment(flip=False, min_scale=0.25)
    torch.manual_seed(0)
    spans = [int(out.max()) - int(out.min()) for out in (augment(image, 200) for _ in range(300))]
    assert min(spans) >= 200 * (0.25 * 3 / 4) ** 0.5 - 4
    assert min(spans) < 110 and max(spans) > 185


def test_each_part_acts():
    image = picture(3, 32, 32)
    for change in ({"degrees": 30.0}, {"color": 0.5}, {"erase": 1.0}):
        torch.manual_seed(1)
        assert not torch.equal(ImageAugment(flip=False, min_scale=1.0, **change)(image, 32), image), change


def test_erased_part_has_the_mean_colour():
    image = picture(3, 64, 64)
    torch.manual_seed(0)
    out = ImageAugment(flip=False, min_scale=1.0, erase=1.0)(image, 64)
    changed = (out != image).any(0)
    assert 0.015 < changed.float().mean() < 0.25
    assert set(out[:, changed].unique().tolist()) == {int(image.float().mean())}
