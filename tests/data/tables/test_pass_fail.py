"""The generated students: a noisy straight line between two classes."""

from __future__ import annotations

import torch

from runner.data.tables.pass_fail import PassFailDataModule


def made(**options) -> PassFailDataModule:
    data = PassFailDataModule(**options)
    data.setup()
    return data


def rule_accuracy(data: PassFailDataModule) -> float:
    source = data.splits["train"].source
    rule = source.inputs[:, 0] / 30 + source.inputs[:, 1] / 50 > 1
    return (rule.long() == source.targets).float().mean().item()


def test_students_attend_lectures_and_work_on_the_project():
    data = made()
    lectures, hours = data.splits["train"].source.inputs.T
    assert torch.equal(lectures, lectures.round()) and (lectures.min(), lectures.max()) == (0, 30)
    assert 0 <= hours.min() < 1 and 49 < hours.max() <= 50
    assert data.facts.class_names == ["fail", "pass"] and data.facts.get("feature_names") == list(
        data.feature_names
    )
    assert 0.4 < data.facts.class_counts[1] / data.facts.num_train < 0.6


def test_noise_blurs_the_line():
    assert rule_accuracy(made(noise=0.0)) == 1
    assert 0.88 < rule_accuracy(made()) < 0.96
    assert rule_accuracy(made(noise=1.0)) < 0.75


def test_students_depend_on_their_own_seed():
    assert made(seed=1).facts.digest == made(seed=2).facts.digest != made(data_seed=1).facts.digest


def test_requested_number_is_generated():
    data = made(num_samples=50)
    assert (data.facts.num_train, data.facts.num_val, data.facts.num_test) == (30, 10, 10)
