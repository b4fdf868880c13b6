"""The threshold of a binary task, and weights of classes."""

from __future__ import annotations

import pytest
import torch
from sklearn import metrics as sk
from torch import nn

from runner.errors import UserError
from runner.losses.focal import BinaryFocalLoss, FocalLoss
from runner.tasks.classification import BinaryClassificationTask, ClassificationTask
from runner.tasks.classification_metrics import best_threshold, class_weights, shifted

SCORES = {
    "f1": sk.f1_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "accuracy": sk.accuracy_score,
}


def skewed(count: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities of a positive class of a tenth, all far too low."""
    generator = torch.Generator().manual_seed(3)
    targets = (torch.rand(count, generator=generator) < 0.1).long()
    logits = torch.randn(count, generator=generator) + 2.0 * targets - 4
    return logits.sigmoid(), targets


@pytest.mark.parametrize("score", sorted(SCORES))
def test_chosen_threshold_is_optimal(score):
    probs, targets = skewed()
    threshold = best_threshold(probs, targets, score)
    best = SCORES[score](targets.numpy(), (probs >= threshold).long().numpy())
    others = [SCORES[score](targets.numpy(), (probs >= other).long().numpy()) for other in probs.tolist()]
    assert best == pytest.approx(max(others)) and best > SCORES[score](targets, probs >= 0.5) - 1e-9


def test_threshold_with_ties_or_a_single_class():
    assert best_threshold(torch.tensor([0.2, 0.2, 0.8]), torch.tensor([0, 0, 1]), "f1") == pytest.approx(0.5)
    assert best_threshold(torch.tensor([0.2, 0.7]), torch.tensor([0, 0]), "f1") == 0.5


def test_shifted_probabilities_decide_like_the_threshold():
    probs, _ = skewed()
    both = torch.stack([1 - probs, probs], -1)
    assert torch.equal(shifted(both, 0.05).argmax(-1), (probs >= 0.05).long())


def test_probability_at_the_threshold_is_the_second_class():
    task = BinaryClassificationTask(nn.Identity(), class_names=["no", "yes"])
    outputs = {"logits": torch.zeros(4, 1), "targets": torch.ones(4, dtype=torch.long)}
    task.update_metrics(outputs, "val")
    assert task.compute_metrics("val")["accuracy"] == 1
    assert task.decide(outputs["logits"]).tolist() == [1] * 4
    assert [row["class"] for row in task.rows(outputs)] == ["yes"] * 4


def test_tuned_threshold_is_saved_with_the_weights():
    probs, targets = skewed()
    task = BinaryClassificationTask(nn.Identity(), class_names=["no", "yes"], threshold="auto")
    outputs = {"logits": probs.logit()[:, None], "targets": targets}
    task.update_metrics(outputs, "val")
    found = task.compute_metrics("val")
    threshold = float(task.threshold)
    assert threshold < 0.4 and float(found["threshold"]) == threshold
    preds = (probs >= threshold).numpy()
    assert float(found["f1_macro"]) == pytest.approx(sk.f1_score(targets, preds, average="macro"), abs=1e-6)
    assert float(found["auroc"]) == pytest.approx(sk.roc_auc_score(targets, probs), abs=1e-5)
    assert float(found["pr_auc"]) == pytest.approx(sk.average_precision_score(targets, probs), abs=1e-5)
    again = BinaryClassificationTask(nn.Identity(), class_names=["no", "yes"], threshold="auto")
    again.load_state_dict(task.state_dict())
    assert torch.equal(again.decide(outputs["logits"]), torch.tensor(preds).long())
    rows = again.rows(outputs)
    assert [row["class"] == "yes" for row in rows] == preds.tolist()
    again.update_metrics(outputs, "test")
    assert float(again.compute_metrics("test")["f1_macro"]) == float(found["f1_macro"])


def test_balanced_weights_compensate_class_counts():
    assert class_weights("balanced", [10, 30]).tolist() == pytest.approx([2.0, 2 / 3])
    assert class_weights("balanced", [10, 30], power=0).tolist() == [1.0, 1.0]
    halfway = class_weights("balanced", [10, 1000], power=0.5)
    assert float(halfway[0] / halfway[1]) == pytest.approx(10.0)
    effective = class_weights("effective", [10, 1000])
    assert float(effective[0] / effective[1]) == pytest.approx((1 - 0.999**1000) / (1 - 0.999**10), rel=1e-4)
    assert class_weights([1.0, 3.0], [1, 1]).tolist() == [0.5, 1.5]
    with pytest.raises(UserError, match="3 weights for 2 classes"):
        class_weights([1.0, 2.0, 3.0], [1, 1])
    with pytest.raises(UserError, match="provides no class counts"):
        class_weights("balanced", [])


def test_weighted_loss_matches_scikit_learn_and_blends_soft_targets():
    torch.manual_seed(0)
    logits, targets = torch.randn(40, 3), torch.randint(3, (40,))
    counts = [30, 6, 4]
    task = ClassificationTask(
        nn.Identity(), class_names=list("abc"), class_counts=counts, class_weights="balanced"
    )
    weights = class_weights("balanced", counts)
    expected = sk.log_loss(
        targets, logits.double().softmax(1), sample_weight=weights[targets].double(), labels=[0, 1, 2]
    )
    assert float(task.loss_of(logits, targets)) == pytest.approx(
        expected * float(weights[targets].mean()), rel=1e-5
    )
    soft = nn.functional.one_hot(targets, 3).float()
    assert float(task.loss_of(logits, soft)) == pytest.approx(float(task.loss_of(logits, targets)), rel=1e-6)


def test_binary_weights_match_two_logits():
    torch.manual_seed(0)
    logit, targets = torch.randn(40, 1), torch.randint(2, (40,))
    options = {"class_names": ["a", "b"], "class_counts": [90, 10], "class_weights": "balanced"}
    one = BinaryClassificationTask(nn.Identity(), **options).loss_of(logit, targets)
    two = ClassificationTask(nn.Identity(), **options).loss_of(
        torch.cat([torch.zeros_like(logit), logit], 1), targets
    )
    assert float(one) == pytest.approx(float(two), rel=1e-5)


def test_loss_that_cannot_be_weighted_is_rejected():
    loss = nn.CrossEntropyLoss(reduction="sum")
    with pytest.raises(UserError, match="cannot return the loss of each sample"):
        ClassificationTask(
            nn.Identity(), loss=loss, class_names=["a", "b"], class_counts=[1, 2], class_weights="balanced"
        )


def test_focal_losses():
    torch.manual_seed(0)
    logits, targets = torch.randn(30, 4), torch.randint(4, (30,))
    plain = nn.functional.cross_entropy(logits, targets, reduction="none")
    sure = logits.softmax(1)[torch.arange(30), targets]
    torch.testing.assert_close(FocalLoss(gamma=0)(logits, targets), plain.mean())
    torch.testing.assert_close(FocalLoss(2.0, reduction="none")(logits, targets), (1 - sure) ** 2 * plain)
    smooth = nn.functional.cross_entropy(logits, targets, label_smoothing=0.1)
    torch.testing.assert_close(FocalLoss(0.0, label_smoothing=0.1)(logits, targets), smooth)
    two = torch.cat([torch.zeros(30, 1), logits[:, :1]], 1)
    torch.testing.assert_close(BinaryFocalLoss(2.0)(logits[:, 0], targets.clamp(max=1).float()),
                               FocalLoss(2.0)(two, targets.clamp(max=1)))  # fmt: skip
