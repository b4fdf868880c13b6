import pytest
import torch
from segmentation_models_pytorch.losses import DiceLoss
from torch.nn import functional as F

from runner.errors import UserError
from runner.losses.mask import MaskLoss

IGNORE = 255
ALONE = {"cross_entropy": 0.0, "dice": 0.0, "jaccard": 0.0, "focal": 0.0}


def batch(ignored: float = 0.3, num_classes: int = 3):
    torch.manual_seed(0)
    logits = torch.randn(2, num_classes, 6, 5, requires_grad=True)
    targets = torch.randint(0, num_classes, (2, 6, 5))
    targets[torch.rand(targets.shape) < ignored] = IGNORE
    return logits, targets


def soft_overlaps(logits, targets):
    """Sums of what is common, predicted and true of each class, in NumPy, where pixels count."""
    counts = (targets != IGNORE).numpy()
    probs = logits.detach().softmax(1).numpy()
    for label in range(logits.shape[1]):
        truth = (targets.numpy() == label) & counts
        yield (probs[:, label] * truth).sum(), (probs[:, label] * counts).sum(), truth.sum()


def test_each_part_matches_its_name():
    logits, targets = batch()
    found = {
        name: float(MaskLoss(**ALONE | {name: 1.0}, ignore_index=IGNORE)(logits, targets)) for name in ALONE
    }
    assert found["cross_entropy"] == pytest.approx(
        float(F.cross_entropy(logits, targets, ignore_index=IGNORE))
    )
    overlaps = list(soft_overlaps(logits, targets))
    dice = sum(1 - 2 * both / (pred + true) for both, pred, true in overlaps) / 3
    jaccard = sum(1 - both / (pred + true - both) for both, pred, true in overlaps) / 3
    assert found["dice"] == pytest.approx(dice, rel=1e-5)
    assert found["jaccard"] == pytest.approx(jaccard, rel=1e-5)
    counted = targets != IGNORE
    one_vs_rest = logits.permute(0, 2, 3, 1)[counted], F.one_hot(targets[counted], 3).float()
    bce = F.binary_cross_entropy_with_logits(*one_vs_rest, reduction="none")
    assert found["focal"] == pytest.approx(float(((1 - torch.exp(-bce)) ** 2 * bce).mean()), rel=1e-5)


def test_parts_are_summed_by_their_weights():
    logits, targets = batch()
    parts = [MaskLoss(**ALONE | {name: 1.0}, ignore_index=IGNORE)(logits, targets) for name in ALONE]
    both = MaskLoss(cross_entropy=0.5, dice=2.0, jaccard=0.25, focal=3.0, ignore_index=IGNORE)(
        logits, targets
    )
    torch.testing.assert_close(both, 0.5 * parts[0] + 2 * parts[1] + 0.25 * parts[2] + 3 * parts[3])


@pytest.mark.parametrize("name", ALONE)
def test_ignored_pixels_have_no_gradient(name):
    logits, targets = batch()
    MaskLoss(**ALONE | {name: 1.0}, ignore_index=IGNORE)(logits, targets).backward()
    moved = logits.grad.abs().sum(1) > 0
    assert not moved[targets == IGNORE].any() and moved[targets != IGNORE].all()


@pytest.mark.parametrize("name", ALONE)
def test_batch_without_labels_has_zero_loss(name):
    logits, targets = batch(ignored=2.0)
    loss = MaskLoss(**ALONE | {name: 1.0}, ignore_index=IGNORE)(logits, targets)
    loss.backward()
    assert loss == 0 and not logits.grad.any()


def test_divergence_is_not_hidden():
    _, targets = batch()
    assert MaskLoss(ignore_index=IGNORE)(torch.full((2, 3, 6, 5), torch.nan), targets).isnan()


@pytest.mark.parametrize("name", ALONE)
def test_class_weights_apply_to_every_part(name):
    logits, targets = batch()
    plain = MaskLoss(**ALONE | {name: 1.0}, ignore_index=IGNORE)(logits, targets)
    weighted = MaskLoss(**ALONE | {name: 1.0}, ignore_index=IGNORE, class_weights=[1.0, 5.0, 0.0])(
        logits, targets
    )
    assert not torch.isclose(plain, weighted)


def test_label_smoothing_reaches_the_cross_entropy():
    logits, targets = batch()
    expected = F.cross_entropy(logits, targets, ignore_index=IGNORE, label_smoothing=0.2)
    torch.testing.assert_close(MaskLoss(label_smoothing=0.2, ignore_index=IGNORE)(logits, targets), expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (ALONE, "all weights are 0"),
        (
            {"cross_entropy": 0.0, "dice": 1.0, "label_smoothing": 0.1},
            "label_smoothing=0.1 acts on the cross-entropy",
        ),
    ],
)
def test_values_without_effect_are_rejected(values, message):
    with pytest.raises(UserError, match=message):
        MaskLoss(**values)


def test_class_weights_for_other_classes_are_rejected():
    with pytest.raises(UserError, match="2 numbers; expected one for each of the 3 classes"):
        MaskLoss(class_weights=[1.0, 2.0], ignore_index=IGNORE)(*batch())


def test_dice_matches_the_library():
    logits, targets = batch()
    ours = MaskLoss(**ALONE | {"dice": 1.0}, ignore_index=IGNORE)(logits, targets)
    torch.testing.assert_close(ours, DiceLoss("multiclass", ignore_index=IGNORE)(logits, targets))
