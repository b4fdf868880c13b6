import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from torch import nn
from torch.utils.data import DataLoader

from runner.data.facts import Facts
from runner.data.segmentation.shapes import ShapesSegmentationDataModule
from runner.errors import DataError, UserError
from runner.tasks.segmentation import SegmentationTask

NAMES = ["ground", "cat", "dog"]


def small(num_classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, num_classes, 1))


def batches(sizes=((8, 12), (8, 12))):
    """Two batches of two images each, as a loader's after the transfer to the device."""
    generator = torch.Generator().manual_seed(0)
    for number, size in enumerate(sizes):
        targets = torch.randint(0, 2, (2, *size), generator=generator)
        targets[:, :2] = 255
        yield {
            "inputs": torch.randn(2, 3, *size, generator=generator),
            "targets": targets,
            "index": torch.tensor([2 * number, 2 * number + 1]),
        }


def evaluated(task: SegmentationTask, loader: list, split: str = "test") -> dict[str, float]:
    task.collect = True
    options = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = pl.Trainer(accelerator="cpu", logger=False, **options)
    evaluate = trainer.test if split == "test" else trainer.validate
    evaluate(task, DataLoader(loader, batch_size=None), verbose=False)
    return {key: float(value) for key, value in trainer.callback_metrics.items()}


def reference(task: SegmentationTask, loader: list) -> dict[str, float]:
    """All of it in plain NumPy."""
    preds, truths = [], []
    for batch in loader:
        with torch.no_grad():
            preds.append(task.model(batch["inputs"]).numpy().argmax(1).ravel())
        truths.append(batch["targets"].numpy().ravel())
    preds, truths = np.concatenate(preds), np.concatenate(truths)
    preds, truths = preds[truths != 255], truths[truths != 255]
    iou, dice = {}, {}
    for label, name in enumerate(NAMES):
        both, either = (
            ((preds == label) & (truths == label)).sum(),
            ((preds == label) | (truths == label)).sum(),
        )
        if either:
            iou[name] = both / either
            dice[name] = 2 * both / (both + either)
    return {
        "mean_iou": np.mean(list(iou.values())),
        "mean_dice": np.mean(list(dice.values())),
        "pixel_accuracy": (preds == truths).mean(),
    } | {f"iou_class/{name}": value for name, value in iou.items()}


@pytest.mark.parametrize("split", ["val", "test"])
def test_metrics_match_numpy(split):
    task = SegmentationTask(small(), class_names=NAMES)
    metrics = evaluated(task, list(batches()), split)
    for name, value in reference(task, list(batches())).items():
        assert metrics[f"{split}/{name}"] == pytest.approx(value, abs=1e-7), name
    assert f"{split}/loss" in metrics


def test_absent_classes_are_excluded_from_the_mean():
    model = nn.Conv2d(3, 3, 1)
    with torch.no_grad():
        model.weight.zero_()
        model.bias.copy_(
            torch.tensor([0.0, 1.0, -1.0])
        )  # always the second class; the third is not in the truth
    task = SegmentationTask(model, class_names=NAMES)
    metrics = evaluated(task, list(batches()))
    truths = torch.cat([batch["targets"].flatten() for batch in batches()])
    share = float((truths == 1).sum() / (truths != 255).sum())
    assert metrics["test/mean_iou"] == pytest.approx(share / 2)
    assert "test/iou_class/dog" not in metrics and metrics["test/iou_class/ground"] == 0


def test_images_of_different_sizes_in_one_batch():
    """Each is judged as if it were alone: no padding can change what is said of it."""
    separate = [
        {key: value[place : place + 1] for key, value in batch.items()}
        for batch in batches(((8, 12), (9, 5)))
        for place in range(2)
    ]
    mixed = {
        "inputs": [batch["inputs"][0] for batch in separate],
        "targets": [batch["targets"][0] for batch in separate],
        "index": torch.cat([batch["index"] for batch in separate]),
    }
    alone, together = (SegmentationTask(small(), class_names=NAMES) for _ in range(2))
    one, other = evaluated(alone, separate), evaluated(together, [mixed])
    assert one.keys() == other.keys() and all(other[key] == pytest.approx(one[key], abs=1e-6) for key in one)
    order = together.outputs["test"]["index"].argsort()
    torch.testing.assert_close(
        together.outputs["test"]["image_iou"][order], alone.outputs["test"]["image_iou"]
    )


def test_only_one_value_per_image_is_kept():
    task = SegmentationTask(small(), class_names=NAMES)
    evaluated(task, list(batches()))
    assert {key: tuple(value.shape) for key, value in task.outputs["test"].items()} == {
        "image_iou": (4,),
        "index": (4,),
    }
    assert task.counts["test"].sum() == sum((batch["targets"] != 255).sum() for batch in batches())


def test_loss_is_float32_under_bf16():
    seen = []

    class Loss(nn.Module):
        def forward(self, logits, targets):
            seen.append((logits.dtype, torch.is_autocast_enabled("cpu")))
            return nn.functional.cross_entropy(logits, targets, ignore_index=255)

    task = SegmentationTask(small(), loss=Loss(), class_names=NAMES)
    with torch.autocast("cpu", torch.bfloat16):
        step = task.compute_loss(next(iter(batches())))
    assert step.outputs["logits"].dtype == torch.bfloat16 and seen == [(torch.float32, False)]
    assert step.loss.dtype == torch.float32


def test_batch_of_one_that_cannot_be_normalised():
    model = nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Upsample(size=(8, 12))
    )
    task = SegmentationTask(model, class_names=NAMES)
    one = {key: value[:1] for key, value in next(iter(batches())).items()}
    with pytest.raises(UserError, match="cannot train on a batch of one image.*data.batch_size=2"):
        task.training_step(one, 0)


def test_rows_list_the_class_fractions():
    task = SegmentationTask(small(), class_names=NAMES)
    logits = torch.full((1, 3, 2, 5), -1.0)
    logits[0, 1, :, :4], logits[0, 2, :, 4] = 1.0, 1.0
    assert task.rows({"logits": logits}) == [{"shares": {"cat": 0.8, "dog": 0.2}}]


def test_predictions_of_images_of_any_size():
    task = SegmentationTask(small(), class_names=NAMES).eval()
    images = [torch.randn(3, 6, 9), torch.randn(3, 4, 4), torch.randn(3, 6, 9)]
    with torch.no_grad():
        masks = task.masks_of(task.predict_outputs(images))
        for image, mask in zip(images, masks, strict=True):
            (alone,) = task.masks_of(task.predict_outputs(image[None]))
            assert mask.shape == image.shape[1:] and torch.equal(mask, alone)


def test_images_are_an_indexed_mask_and_an_overlay():
    task = SegmentationTask(small(), class_names=NAMES, class_colors=[[1, 2, 3], [200, 0, 0], [0, 200, 0]])
    mask = torch.tensor([[0, 1, 2], [2, 1, 0]], dtype=torch.uint8)
    (found,) = task.pictures([torch.full((3, 2, 3), 100, dtype=torch.uint8)], {"masks": [mask]})
    assert found["mask"].mode == "P" and np.asarray(found["mask"]).tolist() == mask.tolist()
    assert found["mask"].convert("RGB").getpixel((1, 0)) == (200, 0, 0)
    assert found["overlay"].getpixel((1, 0)) == (160, 40, 40)


def test_served_outputs_are_probabilities():
    task = SegmentationTask(small(), class_names=NAMES)
    probs = task.served(task.predict_outputs(torch.randn(2, 3, 6, 7)))
    assert probs.shape == (2, 3, 6, 7)
    torch.testing.assert_close(probs.sum(1), torch.ones(2, 6, 7))


def facts(**given) -> Facts:
    return Facts(
        **{"task": "segmentation", "input_shape": (3, 8, 12), "num_outputs": 3, "name": "pets"} | given
    )


def test_data_without_masks_is_rejected():
    with pytest.raises(DataError, match="pets has no masks: its task is regression"):
        SegmentationTask.adapt_facts(facts(task="regression"))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Conv2d(3, 4, 1), r"returns \(1, 4, 8, 12\) for one image; segmentation expects \(1, 3, 8, 12\)"),
        (nn.Sequential(nn.Flatten(), nn.Linear(288, 3)), r"returns \(1, 3\)"),
        (nn.Conv2d(1, 3, 1), "cannot take the images of this data"),
    ],
)
def test_models_that_do_not_fit_are_rejected(model, message):
    with pytest.raises(UserError, match=message):
        SegmentationTask.check_model(model, facts())


def test_compatible_models_are_unchanged():
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
    SegmentationTask.check_model(model, facts())
    assert model.training and model[1].num_batches_tracked == 0


def test_figures():
    data = ShapesSegmentationDataModule(num_train=2, num_val=3, num_test=2, image_size=32, eval_batch_size=2)
    data.setup("fit")
    task = SegmentationTask(
        small(4), class_names=data.facts.class_names, class_colors=data.facts.get("class_colors")
    )
    loader = [data.on_after_batch_transfer(batch, 0) for batch in data.val_dataloader()]
    evaluated(task, loader, "val")
    figures = dict(task.figures("val", data))
    assert set(figures) == {"val_confusion", "val_class_iou", "val_worst_masks", "val_random_masks"}
    assert all(isinstance(figure, Figure) for figure in figures.values())
    captions = [ax.get_xlabel() for ax in figures["val_worst_masks"].axes if "mean IoU" in ax.get_xlabel()]
    assert captions == [
        f"prediction, mean IoU {value:.2f}" for value in sorted(task.outputs["val"]["image_iou"].tolist())
    ]
