"""Small images in memory: gathered batches, augmentation, new images fitted to the set."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from runner.data.images.array import ImageArrayDataModule, fit_image
from runner.data.split import ArraySource
from runner.errors import DataError


class SquaresDataModule(ImageArrayDataModule):
    title = "squares"
    class_names = ("light", "dark")
    image_shape = (1, 4, 4)
    mean = (0.5,)
    std = (0.25,)

    def read(self) -> dict[str, tuple[ArraySource, Tensor]]:
        images = torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1).expand(-1, 1, 4, 4).contiguous()
        source = ArraySource(images, torch.arange(10) % 2)
        return {"train": (source, torch.arange(7)), "val": (source, torch.arange(7, 10))}


def brighten(image: Tensor, size: int, can_flip: bool) -> Tensor:
    assert size == 4 and not can_flip
    return image + torch.randint(1, 100, (), dtype=torch.uint8)


def test_facts_describe_the_training_split():
    data = SquaresDataModule()
    data.setup()
    facts = data.facts
    assert (facts.task, facts.input_shape, facts.num_outputs, facts.name) == (
        "classification",
        (1, 4, 4),
        2,
        "squares",
    )
    assert (facts.class_names, facts.class_counts) == (["light", "dark"], [4, 3])
    assert (facts.num_train, facts.num_val, facts.num_test) == (7, 3, 0)
    assert len(facts.digest) == 32


def test_batches_are_gathered_unless_augmented(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ArraySource, "__getitem__", lambda self, index: pytest.fail("read one by one"))
    data = SquaresDataModule(batch_size=4)
    data.setup()
    batches = [*data.train_dataloader(), *data.val_dataloader()]
    assert sum(len(batch["inputs"]) for batch in batches) == 10
    assert all(batch["inputs"].dtype == torch.uint8 for batch in batches)


def test_only_training_images_are_augmented():
    data = SquaresDataModule(augment=brighten, batch_size=7)
    data.setup()
    train, val = next(iter(data.train_dataloader())), next(iter(data.val_dataloader()))
    assert (train["inputs"][:, 0, 0, 0] > train["index"]).all()
    assert (val["inputs"][:, 0, 0, 0] == val["index"]).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_augmented_images_are_the_same_for_any_number_of_workers(workers: int):
    def images(num_workers: int) -> Tensor:
        data = SquaresDataModule(augment=brighten, batch_size=3, num_workers=num_workers, seed=2)
        data.setup()
        return torch.cat([batch["inputs"] for batch in data.train_dataloader()])

    assert torch.equal(images(workers), images(0))


def test_images_are_normalised_on_the_device():
    data = SquaresDataModule()
    data.setup()
    batch = data.on_after_batch_transfer(next(iter(data.val_dataloader())), 0)
    expected = (batch["index"] / 255 - 0.5) / 0.25
    assert torch.allclose(batch["inputs"][:, 0, 0, 0], expected.float())


def test_setup_reads_once_and_not_at_all_to_predict():
    data = SquaresDataModule()
    data.setup("predict")
    assert data.splits == {}
    data.setup("fit")
    splits = data.splits
    data.setup("test")
    assert data.splits is splits


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (ArraySource(torch.zeros(9, 1, 5, 4), torch.zeros(9)), r"shape \(1, 5, 4\); squares has \(1, 4, 4\)"),
        (
            ArraySource(torch.zeros(9, 1, 4, 4), torch.arange(9)),
            "labels .* go up to 8; those of squares are 0 to 1",
        ),
    ],
)
def test_arrays_of_another_set_are_rejected(monkeypatch, source: ArraySource, message: str):
    monkeypatch.setattr(SquaresDataModule, "read", lambda self: {"train": (source, torch.arange(9))})
    with pytest.raises(DataError, match=message):
        SquaresDataModule().setup()


def test_new_images_come_in_the_sets_size_and_channels(tmp_path: Path, photo):
    (tmp_path / "one.png").write_bytes(photo(1, size=(30, 20), format="PNG"))
    (tmp_path / "two.jpg").write_bytes(photo(2, size=(9, 9)))
    paths = [str(tmp_path / "one.png"), str(tmp_path / "two.jpg")]
    found = SquaresDataModule().read_inputs(paths)
    assert [name for name, _ in found] == paths
    assert [name for name, _ in SquaresDataModule().read_inputs([str(tmp_path)])] == paths
    assert all(image.shape == (1, 4, 4) and image.dtype == torch.uint8 for _, image in found)


def test_gray_image_of_the_right_size_is_unchanged():
    grey = torch.arange(256, dtype=torch.uint8).view(16, 16)
    assert torch.equal(fit_image(grey.expand(3, -1, -1), (1, 16, 16))[0], grey)


def test_image_is_resized_without_overflow():
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    image[:, :, 4:] = 255
    small = fit_image(image, (3, 4, 4))
    assert small.shape == (3, 4, 4)
    assert small[:, :, 0].max() < 20 and small[:, :, 3].min() > 235
