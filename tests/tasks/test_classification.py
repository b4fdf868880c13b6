import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import nn

from runner.data.facts import Facts
from runner.errors import DataError
from runner.tasks.classification import BinaryClassificationTask, ClassificationTask


def facts(names):
    return Facts("classification", (4,), len(names), class_names=list(names))


@pytest.mark.parametrize("num_classes", [2, 5])
def test_metrics_equal_scikit_learn(num_classes):
    torch.manual_seed(0)
    logits = torch.randn(300, num_classes)
    targets = torch.randint(num_classes, (300,))
    task = ClassificationTask(nn.Identity(), class_names=[str(i) for i in range(num_classes)])
    for part in range(0, 300, 64):
        task.update_metrics({"logits": logits[part : part + 64], "targets": targets[part : part + 64]}, "val")
    found = {key: float(value) for key, value in task.compute_metrics("val").items()}
    preds, truth = logits.argmax(1).numpy(), targets.numpy()
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(truth, preds), abs=1e-6)
    assert found["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(truth, preds), abs=1e-6)
    assert found["f1_macro"] == pytest.approx(sk.f1_score(truth, preds, average="macro"), abs=1e-6)
    assert found["precision_macro"] == pytest.approx(
        sk.precision_score(truth, preds, average="macro"), abs=1e-6
    )
    if num_classes == 2:
        area = sk.roc_auc_score(truth, logits.softmax(1)[:, 1].numpy())
        assert found["auroc"] == pytest.approx(area, abs=1e-6)


def test_areas_distinguish_small_probabilities_of_a_rare_class():
    torch.manual_seed(0)
    targets = (torch.rand(2000) < 0.05).long()
    logits = torch.randn(2000, 1) + 1.5 * targets[:, None] - 9  # hardly a probability above 0.001
    task = BinaryClassificationTask(nn.Identity(), class_names=["no", "yes"])
    for part in range(0, 2000, 256):
        task.update_metrics(
            {"logits": logits[part : part + 256], "targets": targets[part : part + 256]}, "val"
        )
    found = {key: float(value) for key, value in task.compute_metrics("val").items()}
    probs = logits.sigmoid().flatten().numpy()
    assert found["auroc"] == pytest.approx(sk.roc_auc_score(targets, probs), abs=1e-5)
    assert found["pr_auc"] == pytest.approx(sk.average_precision_score(targets, probs), abs=1e-5)


def test_metrics_are_reset_after_each_evaluation():
    task = ClassificationTask(nn.Identity(), class_names=["a", "b"])
    right = {"logits": torch.tensor([[2.0, 0.0]]), "targets": torch.tensor([0])}
    wrong = {"logits": torch.tensor([[2.0, 0.0]]), "targets": torch.tensor([1])}
    task.update_metrics(wrong, "val")
    assert task.compute_metrics("val")["accuracy"] == 0
    task.update_metrics(right, "val")
    assert task.compute_metrics("val")["accuracy"] == 1


def test_binary_task_matches_two_logits():
    logit = torch.randn(50, 1)
    targets = torch.randint(2, (50,))
    binary = BinaryClassificationTask(nn.Identity(), loss=nn.BCEWithLogitsLoss(), class_names=["no", "yes"])
    both = ClassificationTask(nn.Identity(), loss=nn.CrossEntropyLoss(), class_names=["no", "yes"])
    two_logits = torch.cat([torch.zeros_like(logit), logit], 1)
    assert torch.allclose(binary.loss_of(logit, targets), both.loss_of(two_logits, targets), atol=1e-6)
    assert torch.allclose(binary.probs_of(logit), both.probs_of(two_logits), atol=1e-6)
    assert torch.equal(binary.decide(logit), both.decide(two_logits))


def test_binary_takes_one_output_and_exactly_two_classes():
    assert BinaryClassificationTask.adapt_facts(facts("ab")).num_outputs == 1
    with pytest.raises(DataError, match="3 classes"):
        BinaryClassificationTask.adapt_facts(facts("abc"))
    with pytest.raises(DataError, match="at least 2"):
        ClassificationTask.adapt_facts(facts("a"))


def test_metrics_and_rows_break_ties_alike():
    task = ClassificationTask(nn.Identity(), class_names=["cat", "dog", "owl"])
    outputs = {"logits": torch.tensor([[1.0, 0.0, 1.0]]), "targets": torch.tensor([0])}
    task.update_metrics(outputs, "val")
    assert task.compute_metrics("val")["accuracy"] == 1
    (row,) = task.rows(outputs)
    assert row["class"] == "cat" and list(row["probs"]) == ["cat", "owl", "dog"]


def test_rows_list_the_most_probable_classes_first():
    task = ClassificationTask(nn.Identity(), class_names=["cat", "dog", "owl"])
    (row,) = task.rows({"logits": torch.tensor([[0.0, 3.0, 1.0]])})
    assert row["class"] == "dog"
    assert list(row["probs"]) == ["dog", "owl", "cat"]
    assert np.isclose(sum(row["probs"].values()), 1, atol=1e-5)


@pytest.mark.parametrize("absent", [[2], [0, 3]])
def test_classes_absent_from_a_split_count_as_in_scikit_learn(absent):
    """Absent classes that are predicted, and those that are not, beside present ones that are never
    predicted.
    """
    torch.manual_seed(1)
    logits, names = torch.randn(200, 6), list("abcdef")
    logits[:, absent[-1]] += 1  # predicted although absent
    logits[:, 5] -= 9  # present, never predicted
    targets = torch.tensor([k for k in range(5) if k not in absent] + [5])[
        torch.randint(6 - len(absent), (200,))
    ]
    task = ClassificationTask(nn.Identity(), class_names=names)
    task.is_last_evaluation = lambda: True
    for part in range(0, 200, 64):
        task.update_metrics({"logits": logits[part : part + 64], "targets": targets[part : part + 64]}, "val")
    found = {key: float(value) for key, value in task.compute_metrics("val").items()}
    preds, truth = logits.argmax(1).numpy(), targets.numpy()
    assert found["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(truth, preds), abs=1e-6)
    assert found["f1_macro"] == pytest.approx(sk.f1_score(truth, preds, average="macro"), abs=1e-6)
    precision = sk.precision_score(truth, preds, average="macro", zero_division=0)
    assert found["precision_macro"] == pytest.approx(precision, abs=1e-6)
    recalls = {f"recall_class/{names[k]}" for k in np.unique(truth)}
    assert {key for key in found if key.startswith("recall_class/")} == recalls
    scored = np.union1d(truth, preds)
    f1 = dict(
        zip((f"f1_class/{names[k]}" for k in scored), sk.f1_score(truth, preds, average=None), strict=True)
    )
    assert {key: value for key, value in found.items() if key.startswith("f1_class/")} == pytest.approx(
        f1, abs=1e-6
    )


@pytest.mark.parametrize("only", [0, 1])
def test_areas_of_a_single_class_split(only):
    task = BinaryClassificationTask(nn.Identity(), class_names=["no", "yes"])
    task.update_metrics(
        {"logits": torch.tensor([[1.0], [-1.0], [2.0]]), "targets": torch.full((3,), only)}, "val"
    )
    found = task.compute_metrics("val")
    assert "auroc" not in found, "scikit-learn: undefined"
    assert float(found["pr_auc"]) == only, "scikit-learn: 0 without positives"
    assert float(found["balanced_accuracy"]) == pytest.approx([1 / 3, 2 / 3][only])
