"""Each option of ``regularization``, turned on, changes the training in the way it says, and only there.

The table is checked against the schema: an option without a row fails.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch

from runner.config.schema import Regularization

MATRIX = "backbone.0.weight"
Check = Callable[[object, object], None]


def outputs_vary(witness, plain) -> None:
    """In training mode two passes over one batch differ; without the option they do not."""
    for seen, varies in ((witness, True), (plain, False)):
        seen.model.train()
        with torch.no_grad():
            first, second = seen.model(seen.inputs[0]), seen.model(seen.inputs[0])
        assert torch.equal(first, second) is not varies
        seen.model.eval()
        with torch.no_grad():
            assert torch.equal(seen.model(seen.inputs[0]), seen.model(seen.inputs[0]))


def channels_vanish(witness, plain) -> None:
    outputs_vary(witness, plain)
    witness.model.train()
    with torch.no_grad():
        maps = witness.model.backbone[:3](witness.inputs[0]).flatten(2)
    empty = (maps == 0).all(-1)
    assert 0.3 < empty.float().mean() < 0.9


def rows_differ_by_a_branch(witness, plain) -> None:
    """Some samples of a batch skip the last residual branch, and all the same others do not."""
    outputs_vary(witness, plain)


def weights_shrink(witness, plain) -> None:
    """By the decay alone: the first update of both starts from the same gradient."""
    pull = 0.05 * 0.5  # learning rate × decay
    before = plain.first_weights[MATRIX]
    torch.testing.assert_close(
        plain.weights[0][MATRIX] - witness.weights[0][MATRIX], pull * 1.9 * before, atol=1e-5, rtol=1e-3
    )
    assert torch.equal(plain.weights[0]["backbone.1.bias"], witness.weights[0]["backbone.1.bias"])


def signs_join_the_gradient(witness, plain) -> None:
    torch.testing.assert_close(
        (witness.gradients[0] - plain.gradients[0])[: plain.first_weights[MATRIX].numel()],
        0.01 * plain.first_weights[MATRIX].sign().flatten(),
        atol=1e-6, rtol=1e-4,
    )  # fmt: skip


def norms_are_bounded(witness, plain) -> None:
    assert max(w[MATRIX].flatten(1).norm(dim=1).max() for w in witness.weights) <= 0.3 + 1e-5
    assert plain.weights[-1][MATRIX].flatten(1).norm(dim=1).max() > 0.35


def gradient_norm_is_bounded(witness, plain) -> None:
    assert max(float(g.norm()) for g in witness.gradients) <= 0.05 + 1e-4
    assert min(float(g.norm()) for g in plain.gradients) > 0.06


def gradient_values_are_bounded(witness, plain) -> None:
    assert max(float(g.abs().max()) for g in witness.gradients) <= 0.01 + 1e-7
    assert min(float(g.abs().max()) for g in plain.gradients) > 0.02


def first_gradient_differs(witness, plain) -> None:
    assert not torch.allclose(witness.gradients[0], plain.gradients[0])
    assert torch.equal(witness.inputs[0], plain.inputs[0])


def images_are_blended(witness, plain) -> None:
    for mixed, targets, whole in zip(witness.inputs, witness.targets, plain.inputs, strict=True):
        share = targets.max(-1).values[targets.max(-1).values < 1].max()  # of pairs of two classes
        blends = [
            share * whole + (1 - share) * whole.roll(1, 0),
            (1 - share) * whole + share * whole.roll(1, 0),
        ]
        assert any(torch.allclose(mixed, blend, atol=1e-5) for blend in blends)
        torch.testing.assert_close(targets.sum(-1), torch.ones(len(targets)))


def rectangles_are_pasted(witness, plain) -> None:
    pasted = 0
    for mixed, whole in zip(witness.inputs, plain.inputs, strict=True):
        own, other = mixed == whole, mixed == whole.roll(1, 0)
        assert bool((own | other).all())
        pasted += int((~own).any())
    assert pasted >= 4 and all(targets.ndim == 2 for targets in witness.targets)


def mixing_ends(witness, plain) -> None:
    assert [targets.ndim for targets in witness.targets] == [2] * 4 + [1] * 4


def inputs_are_noisy(witness, plain) -> None:
    noise = torch.stack(witness.inputs) - torch.stack(plain.inputs)
    assert float(noise.std()) == pytest.approx(0.3, rel=0.05) and abs(float(noise.mean())) < 0.02


def weights_are_noisy_in_the_gradient_only(witness, plain) -> None:
    first_gradient_differs(witness, plain)
    assert not torch.equal(witness.weights_in_use[MATRIX], witness.weights[-2][MATRIX])
    assert torch.equal(plain.weights_in_use[MATRIX], plain.weights[-2][MATRIX])
    # SGD: what the update changed is the learning rate times the gradient, the noise is off again.
    step = (witness.weights[0][MATRIX] - plain.first_weights[MATRIX]).flatten()
    torch.testing.assert_close(step, -0.05 * 1.9 * witness.gradients[0][: len(step)], atol=1e-5, rtol=1e-3)


def moving_average_is_validated(witness, plain) -> None:
    average, count = None, 0
    for raw in [w[MATRIX] for w in witness.weights[:4]]:
        decay = min(0.9, (1 + count) / (10 + count))
        average = raw if average is None else decay * average + (1 - decay) * raw
        count += 1
    torch.testing.assert_close(witness.validated[0][MATRIX], average)
    assert all(torch.equal(a[MATRIX], b[MATRIX]) for a, b in zip(witness.weights, plain.weights, strict=True))


def mean_of_epochs_is_validated(witness, plain) -> None:
    torch.testing.assert_close(
        witness.validated[1][MATRIX], (witness.weights[3][MATRIX] + witness.weights[7][MATRIX]) / 2
    )
    assert torch.equal(witness.weights[-1][MATRIX], plain.weights[-1][MATRIX])


def images_change(witness, plain) -> None:
    assert not torch.equal(witness.inputs[0], plain.inputs[0])
    assert not torch.equal(witness.inputs[0], witness.inputs[4])


def ends_early(witness, plain) -> None:
    assert len(witness.weights) < len(plain.weights)


AUGMENT = "regularization.augment={_target_:runner.data.images.augment.ImageAugment,min_scale:1.0,flip:false"
RESNET = [
    "model=resnet18_small",
    "data.batch_size=8",
    "+trainer.limit_train_batches=1",
    "trainer.max_epochs=1",
]
TABLE: list[tuple[str, list[str], list[str], Check]] = [
    ("dropout", ["regularization.dropout=0.5"], [], outputs_vary),
    ("spatial_dropout", ["regularization.spatial_dropout=0.5"], [], channels_vanish),
    ("stochastic_depth", ["regularization.stochastic_depth=0.5"], RESNET, rows_differ_by_a_branch),
    ("weight_decay", ["regularization.weight_decay=0.5"], [], weights_shrink),
    ("l1", ["regularization.l1=0.01"], [], signs_join_the_gradient),
    ("max_norm", ["regularization.max_norm=0.3"], [], norms_are_bounded),
    ("clip_norm", ["regularization.clip_norm=0.05"], [], gradient_norm_is_bounded),
    ("clip_value", ["regularization.clip_value=0.01"], [], gradient_values_are_bounded),
    ("label_smoothing", ["regularization.label_smoothing=0.2"], [], first_gradient_differs),
    ("mixup", ["regularization.mixup=1"], [], images_are_blended),
    ("cutmix", ["regularization.cutmix=1"], [], rectangles_are_pasted),
    ("mix_epochs", ["regularization.mixup=1", "regularization.mix_epochs=1"], [], mixing_ends),
    ("input_noise", ["regularization.input_noise=0.3"], [], inputs_are_noisy),
    ("weight_noise", ["regularization.weight_noise=0.3"], [], weights_are_noisy_in_the_gradient_only),
    ("ema", ["regularization.ema=0.9"], [], moving_average_is_validated),
    ("swa", ["regularization.swa=0"], [], mean_of_epochs_is_validated),
    ("augment", [AUGMENT + ",policy:rand}"], [], images_change),
    ("augment", [AUGMENT + ",policy:trivial}"], [], images_change),
    ("augment", [AUGMENT + ",erase:1.0}"], [], images_change),
    (
        "early_stopping",
        ["regularization.early_stopping={patience:0,min_delta:1.0}"],
        ["+trainer.limit_train_batches=1", "trainer.max_epochs=4"],
        ends_early,
    ),
]


@pytest.mark.parametrize(
    ("words", "setting", "check"),
    [row[1:] for row in TABLE],
    ids=[f"{row[0]}-{i}" for i, row in enumerate(TABLE)],
)
def test_option_has_an_effect(trained, trained_once, words, setting, check):
    plain, witness = trained_once(*setting), trained(*setting, *words)
    check(witness, plain)


def test_every_option_has_a_row():
    assert {row[0] for row in TABLE} == {field.name for field in dataclasses.fields(Regularization)}


REFUSED = [
    (["model=mlp", "regularization.stochastic_depth=0.1"], "drops residual branches, and none of model=mlp"),
    (["model=mlp", "regularization.spatial_dropout=0.1"], "drops channels of feature maps"),
    (["data=diabetes", "regularization.mixup=0.2"], "RegressionTask does not have one class per input"),
    (["data=pass_fail", "regularization.cutmix=1"], "blends images, and data=pass_fail provides features"),
    (["regularization.mix_epochs=3"], "neither mixup nor cutmix is on"),
    (["regularization.clip_norm=1", "regularization.clip_value=1"], "exclude each other"),
    (["regularization.clip_norm=1", "+trainer.gradient_clip_val=1"], "both clip"),
    (["regularization.ema=0.99", "regularization.swa=0.5"], "exclude each other"),
    (["regularization.swa=0.9", "trainer.max_epochs=5"], "averages only the last one"),
    (
        ["model=resnet18", "data=cifar10", "transfer=frozen", "regularization.stochastic_depth=0.1"],
        "evaluation mode",
    ),
    (["data=diabetes", "sampling.balance=1"], "RegressionTask does not have one class per sample"),
    (["task=binary", "data=pass_fail", "regularization.label_smoothing=0.1"], "none of model=mlp"),
    (
        ["optimizer=lbfgs", "regularization.weight_noise=0.1"],
        "the evaluations after the first would have no noise",
    ),
    (["optimizer=lbfgs", "regularization.l1=0.1"], "not part of the loss that its line search compares"),
]


@pytest.mark.parametrize(("words", "reason"), REFUSED, ids=[" ".join(words) for words, _ in REFUSED])
def test_option_without_effect_is_rejected_with_the_reason(words, reason):
    from runner.config.checks.check import check_config
    from runner.config.compose import compose

    problems = [problem for problem in check_config(compose(words)) if reason in str(problem)]
    assert problems and {problem.kind for problem in problems} <= {"no_effect", "incompatible"}
