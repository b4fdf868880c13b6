from collections.abc import Sequence
from itertools import pairwise
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from runner.callbacks.transfer import FineTune, FrozenBackbone, GradualUnfreezing
from runner.errors import UserError
from runner.models.head import find_head
from runner.models.layer_groups import layer_groups
from runner.models.linear import Logistic
from runner.models.pretrained import mobilenet_v2, resnet
from runner.models.segmentation.unet import UnetSegmenter
from runner.models.small_cnn import SmallCNN
from runner.models.timm import timm_model
from runner.optim.groups import build_optimizer


class Classifier(pl.LightningModule):
    """The least that trains, and notes the modes its modules train in."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.modes: list[tuple[bool, bool]] = []

    def training_step(self, batch, batch_idx):
        norm = next(m for m in self.model.modules() if isinstance(m, nn.BatchNorm2d))
        self.modes.append((norm.training, self.model.get_submodule("head").training))
        inputs, targets = batch
        return functional.cross_entropy(self.model(inputs), targets)

    def validation_step(self, batch, batch_idx):
        assert not self.model.training

    def configure_optimizers(self):
        return build_optimizer(lambda groups: torch.optim.SGD(groups, lr=0.1), self.model)


class Careless(Classifier):
    """Puts everything into training mode after a validation."""

    def on_validation_model_train(self):
        self.train()


def fit(
    task: pl.LightningModule, callback: pl.Callback, more: Sequence[pl.Callback] = (), **settings
) -> pl.Trainer:
    torch.manual_seed(0)
    data = TensorDataset(torch.randn(16, 1, 8, 8) + 3, torch.randint(0, 2, (16,)))
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        callbacks=[callback, *more],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        val_check_interval=2,
        **settings,
    )
    trainer.fit(task, DataLoader(data, batch_size=4), DataLoader(data, batch_size=16))
    return trainer


def copied(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("kind", [Classifier, Careless])
def test_frozen_backbone_does_not_move(kind):
    task = kind(SmallCNN(2))
    backbone, head = copied(task.model.backbone), copied(task.model.head)
    trainer = fit(task, FrozenBackbone())
    assert all(
        torch.equal(backbone[name], tensor) for name, tensor in task.model.backbone.state_dict().items()
    )
    assert not any(torch.equal(head[name], tensor) for name, tensor in task.model.head.state_dict().items())
    assert task.modes == [(False, True)] * 8
    assert sum(len(group["params"]) for group in trainer.optimizers[0].param_groups) == 2


def test_statistics_change_without_freezing():
    """The test above would see it."""
    task = Classifier(SmallCNN(2))
    backbone = copied(task.model.backbone)
    fit(task, pl.Callback())
    assert not torch.equal(backbone["1.running_mean"], task.model.backbone[1].running_mean)
    assert task.modes == [(True, True)] * 8


def test_frozen_modules_are_all_but_the_head():
    task = Classifier(mobilenet_v2(2, dropout=0.2))
    callback = FrozenBackbone()
    callback.setup(None, task, "fit")
    callback.on_train_start(None, task)
    training = {name for name, module in task.model.named_modules() if module.training}
    assert training == {"", "classifier", "classifier.0", "classifier.1"}
    trainable = {name for name, parameter in task.model.named_parameters() if parameter.requires_grad}
    assert trainable == {"classifier.1.weight", "classifier.1.bias"}


def test_batch_norms_of_a_new_head_learn_their_statistics():
    """A segmenter's decoder is new: held still, its norms would keep the statistics of nothing."""
    task = Classifier(UnetSegmenter(2, encoder_depth=3, decoder_channels=[8, 8, 8]))
    place = SimpleNamespace(current_epoch=0, world_size=1)
    for callback in (FrozenBackbone(), FineTune(), FineTune(head_epochs=0), GradualUnfreezing()):
        task.model.train().requires_grad_(True)
        callback.setup(place, task, "fit")
        callback.on_train_start(place, task)
        norms = {name: m.training for name, m in task.model.named_modules() if isinstance(m, nn.BatchNorm2d)}
        assert len(norms) > 20
        assert all(training == (not name.startswith("encoder.")) for name, training in norms.items())


def test_evaluation_freezes_nothing():
    task = Classifier(SmallCNN(2))
    FrozenBackbone().setup(None, task, "test")
    assert all(parameter.requires_grad for parameter in task.parameters())


@pytest.mark.parametrize("kind", [Classifier, Careless])
def test_finetuning_changes_all_but_the_statistics(kind):
    task = kind(SmallCNN(2))
    before = copied(task.model)
    trainer = fit(task, FineTune(head_epochs=0, layer_decay=0.1))
    statistics = {name for name in before if "running" in name or "num_batches" in name}
    moved = {
        name for name, tensor in task.model.state_dict().items() if not torch.equal(before[name], tensor)
    }
    assert moved == set(before) - statistics
    assert task.modes == [(False, True)] * 8
    assert {round(group["lr"], 6) for group in trainer.optimizers[0].param_groups} == {0.1, 0.01, 0.001}


def test_head_trains_first_then_all_layers():
    task = Classifier(SmallCNN(2))
    seen: list[dict[str, torch.Tensor]] = [copied(task.model)]

    class Look(pl.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            seen.append(copied(pl_module.model))

    fit(task, FineTune(head_epochs=1), more=[Look()])
    moved = [{name for name in a if not torch.equal(a[name], b[name])} for a, b in pairwise(seen)]
    assert moved[0] == {"head.weight", "head.bias"}
    assert moved[1] == {name for name, _ in task.model.named_parameters()}
    assert all(parameter.requires_grad for parameter in task.model.parameters())


def test_groups_unfreeze_one_by_one_from_the_head():
    model = mobilenet_v2(2)
    callback, task = GradualUnfreezing(every_epochs=2), Classifier(model)
    place = SimpleNamespace(current_epoch=0, world_size=1)
    callback.setup(place, task, "fit")
    trained = []
    for epoch in range(10):
        place.current_epoch = epoch
        callback.on_train_epoch_start(place, task)
        trained.append({name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad})
        lowest = (
            min(int(n.split(".")[1]) for n, p in model.named_parameters() if p.requires_grad and n[0] == "f")
            if epoch >= 2
            else 99
        )
        norms = [m.training for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
        assert not any(norms) and model.classifier.training
        assert model.features[18].training is (epoch >= 2)
        trained[-1] = lowest
    assert trained == [99, 99, 18, 18, 15, 15, 9, 9, 0, 0]
    rates = [
        group["lr"] for group in build_optimizer(lambda g: torch.optim.SGD(g, lr=1.0), model).param_groups
    ]
    assert sorted({round(rate, 4) for rate in rates}) == [0.0256, 0.064, 0.16, 0.4, 1.0]


@pytest.mark.parametrize(
    "model", [resnet(18, 2), timm_model("vit_tiny_patch16_224", 2), UnetSegmenter(2, encoder_name="resnet18")]
)
def test_layer_groups_are_contiguous_from_input_to_head(model):
    groups = layer_groups(model)
    names = [name for name, _ in model.named_parameters()]
    assert [name for group in groups for name in group] == names and 4 <= len(groups) <= 5
    assert all(name.startswith(find_head(model)) for name in groups[-1])


def test_layer_groups_by_patterns():
    model = mobilenet_v2(2)
    groups = layer_groups(model, [r"features\.[0-9]\.", r"features\."])
    assert [group[0] for group in groups] == [
        "features.0.0.weight",
        "features.10.conv.0.0.weight",
        "classifier.1.weight",
    ]
    with pytest.raises(
        UserError, match="'encoder' matches no parameter of its own. There are: features.0.0.weight"
    ):
        layer_groups(model, ["encoder"])
    with pytest.raises(UserError, match="leave no parameter to the head"):
        layer_groups(model, [""])


@pytest.mark.parametrize(
    "callback, option",
    [(FrozenBackbone(), "frozen"), (FineTune(), "finetune"), (GradualUnfreezing(), "gradual")],
)
def test_model_without_backbone_is_rejected(callback, option):
    with pytest.raises(UserError, match=f"transfer={option}: Logistic has no backbone"):
        callback.setup(None, Classifier(Logistic(4, 2)), "fit")
    with pytest.raises(UserError, match="has no head"):
        callback.setup(None, Classifier(nn.Sequential(nn.Conv2d(1, 2, 3))), "fit")


def test_fused_optimizer_and_clipping_under_mixed_precision():
    """Lightning refuses the two together unless the optimizer leaves the unscaling to it."""

    class Fused(Classifier):
        def configure_optimizers(self):
            return build_optimizer(lambda groups: torch.optim.AdamW(groups, lr=0.01, fused=True), self.model)

    task = Fused(SmallCNN(2))
    head = copied(task.model.head)
    fit(task, FineTune(), precision="bf16-mixed", gradient_clip_val=1.0)
    assert not torch.equal(head["weight"], task.model.head.weight)
