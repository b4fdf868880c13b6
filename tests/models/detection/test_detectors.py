"""What all detectors promise, tried on each."""

import pytest
import torch

from runner.errors import UserError
from runner.models.head import find_head, split_parameters

KINDS = ["faster_rcnn", "faster_rcnn_mobilenet", "retinanet", "fcos", "ssdlite", "ssdlite_v2"]


@pytest.mark.parametrize("kind", KINDS)
def test_losses_in_training_and_boxes_in_evaluation(kind, small, images, targets):
    model = small(kind)
    losses = model(images, targets)
    assert all(loss.dim() == 0 and torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    gradients = [p.grad for p in model.parameters() if p.requires_grad and p.grad is not None]
    assert gradients and all(torch.isfinite(gradient).all() for gradient in gradients)
    model.eval()
    with torch.no_grad():
        found = model(images)
    for pred, image in zip(found, images, strict=True):
        assert set(pred) == {"boxes", "labels", "scores"}
        assert pred["boxes"].shape == (len(pred["labels"]), 4) and pred["boxes"].dtype == torch.float32
        assert (pred["boxes"][:, 0::2] <= image.shape[2] + 1e-3).all() and (pred["boxes"] >= 0).all()
        assert (pred["scores"].diff() <= 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_targets_are_not_modified(kind, small, images, targets):
    before = [{key: value.clone() for key, value in target.items()} for target in targets]
    small(kind)(images, targets)
    for now, was in zip(targets, before, strict=True):
        assert all(torch.equal(now[key], was[key]) for key in was)


@pytest.mark.parametrize("num_classes", [1, 2, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_class_ids_start_at_zero_for_any_number_of_classes(kind, num_classes, small, images):
    """The first and the last class can be learnt and are given back under their own numbers."""
    model = small(kind, num_classes, score_thresh=0.0).eval()
    with torch.no_grad():
        labels = torch.cat([pred["labels"] for pred in model(images)])
    assert len(labels) and labels.min() >= 0 and labels.max() < num_classes
    model.train()
    box = torch.tensor([[10.0, 10, 50, 50]])
    for label in (0, num_classes - 1):
        one = [{"boxes": box, "labels": torch.tensor([label])}] * 2
        assert torch.isfinite(sum(model(images, one).values()))


@pytest.mark.parametrize("kind", KINDS)
def test_overfits_one_batch(kind, small, images, targets):
    model = small(kind)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    losses = []
    for _ in range(12):
        loss = sum(model(images, targets).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert min(losses[-3:]) < 0.75 * losses[0]


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_are_exact_under_mixed_precision(kind, small):
    """Features in bfloat16 move a box a little; anchors and decoding in it would move it by whole pixels."""
    options = {"size": 640} if kind.startswith("ssd") else {"min_size": 640, "max_size": 640}
    model = small(kind, score_thresh=0.0, **options).eval()
    image = [torch.rand(3, 640, 640, generator=torch.Generator().manual_seed(0))]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        (pred,) = model(image)
    sides = pred["boxes"]
    inner = sides[(sides > 256) & (sides < 639)]
    assert sides.dtype == torch.float32 and len(inner) > 5
    assert (inner != inner.bfloat16().float()).float().mean() > 0.5, (
        "not rounded to bfloat16's steps of two pixels"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_backbone_and_head_are_distinguished(kind, small):
    model = small(kind)
    backbone, head = split_parameters(model)
    inside = {
        id(p)
        for name, p in model.named_parameters()
        if name.startswith(("backbone.body", "backbone.features"))
    }
    assert {id(p) for p in backbone} == inside and head
    assert not any(name.startswith(("backbone.body", "backbone.features")) for name in find_head(model))


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_other_classes_fill_all_but_the_head(kind, small):
    from runner.models.weights import fit_weights

    first, second = small(kind, 3), small(kind, 5)
    report = fit_weights(second, first.state_dict(), "three classes")
    assert report.skipped and not report.missing
    assert len(report.loaded) > 0.9 * len(first.state_dict())


@pytest.mark.parametrize("kind", ["retinanet", "fcos", "ssdlite_v2", "faster_rcnn", "faster_rcnn_mobilenet"])
def test_without_published_weights_pretrained_is_rejected(kind, small):
    with pytest.raises(UserError, match="torchvision has weights for .* only"):
        small(kind, pretrained=True)


def test_anchors_must_fit_the_levels(small):
    for sizes in ([8, 16], [[8], [16], [32], [64, 65], [96]]):
        with pytest.raises(UserError, match="expected 5 entries"):
            small("faster_rcnn", anchor_sizes=sizes)


def test_invalid_settings_are_rejected(small):
    for kind in ("fcos", "retinanet"):
        with pytest.raises(UserError, match="a multiple of 32"):
            small(kind, channels=48)
    with pytest.raises(UserError, match="is not below"):
        small("ssdlite", smallest=0.9, largest=0.5)
    with pytest.raises(UserError, match="model.tail=full"):
        small("ssdlite", pretrained_backbone=True)


def test_anchors_and_proposals_can_be_chosen(small):
    model = small("retinanet", anchor_sizes=[10, 20, 30, 40, 50], aspect_ratios=[1.0])
    assert model.anchor_generator.sizes[0] == (10, 12, 15) and model.anchor_generator.aspect_ratios[0] == (
        1.0,
    )
    model = small("ssdlite", smallest=0.1, largest=0.6, aspect_ratios=[2.0])
    assert model.anchor_generator.scales[0] == 0.1 and model.anchor_generator.aspect_ratios[0] == [2.0]
    assert model.head.classification_head.module_list[0][1].out_channels == 4 * 4


def test_images_are_resized_as_configured(small, images):
    model = small("fcos", min_size=96, max_size=100)
    resized, _ = model.eval().transform(images)
    assert resized.image_sizes == [(96, 96), (62, 100)]
