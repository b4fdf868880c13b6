import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from runner.callbacks.transfer import FineTune, FrozenBackbone
from runner.errors import UserError
from runner.models.logistic import Logistic
from runner.models.mobilenet import mobilenet_v2
from runner.models.segmentation.unet import unet
from runner.models.small_cnn import SmallCNN
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


def fit(task: pl.LightningModule, callback: pl.Callback, **settings) -> pl.Trainer:
    torch.manual_seed(0)
    data = TensorDataset(torch.randn(16, 1, 8, 8) + 3, torch.randint(0, 2, (16,)))
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        callbacks=[callback],
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


def test_without_it_the_statistics_move():
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
    task = Classifier(unet(2, encoder_depth=3, decoder_channels=[8, 8, 8]))
    for callback in (FrozenBackbone(), FineTune()):
        task.model.train().requires_grad_(True)
        callback.setup(None, task, "fit")
        callback.on_train_start(None, task)
        norms = {name: m.training for name, m in task.model.named_modules() if isinstance(m, nn.BatchNorm2d)}
        assert len(norms) > 20
        assert all(training == (not name.startswith("encoder.")) for name, training in norms.items())


def test_evaluation_freezes_nothing():
    task = Classifier(SmallCNN(2))
    FrozenBackbone().setup(None, task, "test")
    assert all(parameter.requires_grad for parameter in task.parameters())


@pytest.mark.parametrize("kind", [Classifier, Careless])
def test_finetuning_moves_all_but_the_statistics(kind):
    task = kind(SmallCNN(2))
    before = copied(task.model)
    trainer = fit(task, FineTune(backbone_lr_factor=0.1))
    statistics = {name for name in before if "running" in name or "num_batches" in name}
    moved = {
        name for name, tensor in task.model.state_dict().items() if not torch.equal(before[name], tensor)
    }
    assert moved == set(before) - statistics
    assert task.modes == [(False, True)] * 8
    assert {round(group["lr"], 6) for group in trainer.optimizers[0].param_groups} == {0.1, 0.01}


@pytest.mark.parametrize("callback, option", [(FrozenBackbone(), "frozen"), (FineTune(), "finetune")])
def test_a_model_without_backbone_is_refused(callback, option):
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
