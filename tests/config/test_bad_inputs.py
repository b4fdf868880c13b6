"""Invalid configs, and the problem that is reported for each: its key, its kind and its text."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path

import pytest
import torch

from runner.cli import main


@dataclass
class Bad:
    """A config with one mistake.

    Attributes:
        given: overrides, separated by spaces.
        key: key of the only problem.
        kind: its kind.
        said: parts of its text.
        experiment: the text of an experiment's file.
        files: other files of the working directory.
        config_dir: a further folder of groups.
    """

    given: str
    key: str
    kind: str
    said: list[str]
    experiment: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    config_dir: str | None = None

    def __str__(self) -> str:
        return (self.given or self.experiment or f"--config-dir {self.config_dir}").replace("\n", " ")[:70]


KEYS = [
    Bad("optimizr=adam", "optimizr", "unknown_key", ["unknown key 'optimizr'", "Did you mean 'optimizer'?"]),
    Bad("optimizr.lr=1", "optimizr.lr", "unknown_key", ["unknown key 'optimizr'", "'optimizer'"]),
    Bad("lr=0.1", "lr", "unknown_key", ["unknown key 'lr'", "'optimizer.lr'"]),
    Bad("epochs=3", "epochs", "unknown_key", ["unknown key 'epochs'", "'trainer.max_epochs'"]),
    Bad("batchsize=3", "batchsize", "unknown_key", ["unknown key 'batchsize'", "'data.batch_size'"]),
    Bad(
        "+nothing_like_it=1",
        "nothing_like_it",
        "unknown_key",
        ["unknown key 'nothing_like_it'", "Valid: auto, baselines, callbacks, checkpoint, data"],
    ),
    Bad(
        "model.hiden_sizes=[64]",
        "model.hiden_sizes",
        "unknown_key",
        ["model.hiden_sizes: MLP has no parameter", "'hidden_sizes'"],
    ),
    Bad("+model.droput=0.1", "model.droput", "unknown_key", ["model.droput", "'dropout'"]),
    Bad("model.lr=0.1", "model.lr", "unknown_key", ["model.lr: MLP has no parameter 'lr'", "'optimizer.lr'"]),
    Bad(
        "optimizer.lrr=0.1",
        "optimizer.lrr",
        "unknown_key",
        ["optimizer.lrr: AdamW has no parameter 'lrr'", "Did you mean 'lr'?"],
    ),
    Bad(
        "optimizer.momentum=0.9",
        "optimizer.momentum",
        "unknown_key",
        ["AdamW has no parameter 'momentum'", "Valid: amsgrad, betas"],
    ),
    Bad(
        "optimizer=sgd optimizer.nestrov=true",
        "optimizer.nestrov",
        "unknown_key",
        ["SGD has no parameter 'nestrov'", "'nesterov'"],
    ),
    Bad(
        "scheduler=one_cycle scheduler.pct_strat=0.2",
        "scheduler.pct_strat",
        "unknown_key",
        ["has no parameter 'pct_strat'", "'pct_start'"],
    ),
    Bad(
        "task.loss.label_smothing=0.1",
        "task.loss.label_smothing",
        "unknown_key",
        ["task.loss.label_smothing", "'label_smoothing'"],
    ),
    Bad(
        "task.los.reduction=sum",
        "task.los",
        "unknown_key",
        ["task.los: ClassificationTask has no parameter 'los'", "'loss'"],
    ),
    Bad(
        "regularization.drop_out=0.1",
        "regularization.drop_out",
        "unknown_key",
        ["regularization.drop_out", "'dropout'"],
    ),
    Bad(
        "regularization.early_stopping.patiense=3",
        "regularization.early_stopping.patiense",
        "unknown_key",
        ["regularization.early_stopping.patiense: EarlyStopping has no parameter", "'patience'"],
    ),
    Bad(
        "data=mnist regularization.augment.flips=true",
        "regularization.augment.flips",
        "unknown_key",
        ["regularization.augment.flips", "'flip'"],
    ),
    Bad(
        "trainer.max_epoch=3",
        "trainer.max_epoch",
        "unknown_key",
        ["Trainer has no parameter 'max_epoch'", "'max_epochs'"],
    ),
    Bad(
        "hardware.acelerator=cpu",
        "hardware.acelerator",
        "unknown_key",
        ["hardware.acelerator", "'accelerator'"],
    ),
    Bad("run.nme=x", "run.nme", "unknown_key", ["run.nme", "'name'"]),
    Bad("tracking.experment=x", "tracking.experment", "unknown_key", ["tracking.experment", "'experiment'"]),
    Bad(
        "checkpoint.every_n_epoch=2",
        "checkpoint.every_n_epoch",
        "unknown_key",
        ["Checkpointer has no parameter", "'every_n_epochs'"],
    ),
    Bad(
        "transfer=finetune transfer.decay=2",
        "transfer.decay",
        "unknown_key",
        ["FineTune has no parameter 'decay'", "'layer_decay'"],
    ),
    Bad(
        "transfer=frozen transfer.x=2",
        "transfer.x",
        "unknown_key",
        ["FrozenBackbone has no parameter 'x'", "Valid: cache_views"],
    ),
    Bad("model._partal_=true", "model._partal_", "unknown_key", ["model._partal_", "'_partial_'"]),
    Bad(
        "optimizer.lr.max=3",
        "optimizer.lr.max",
        "unknown_key",
        ["optimizer.lr is 0.001, a value with no keys below it"],
    ),
    Bad(
        "~optimizer.lrr",
        "optimizer.lrr",
        "unknown_key",
        ["nothing at optimizer.lrr to remove", "'optimizer.lr'"],
    ),
    Bad("~optimizer.lr=3", "optimizer.lr", "invalid_value", ["optimizer.lr is 0.001, not 3"]),
    Bad(
        "data=mnist data.augment.flip=false",
        "data.augment.flip",
        "incompatible",
        ["data.augment is ${regularization.augment}; set regularization.augment.flip"],
    ),
]

VALUES = [
    Bad("optimizer.lr=fast", "optimizer.lr", "wrong_type", ['optimizer.lr="fast": expected a number']),
    Bad("optimizer.lr=[0.1]", "optimizer.lr", "wrong_type", ["optimizer.lr=[0.1]: expected a number"]),
    Bad("optimizer.lr=true", "optimizer.lr", "wrong_type", ["optimizer.lr=true: expected a number"]),
    Bad("optimizer.lr={a:1}", "optimizer.lr", "wrong_type", ['optimizer.lr={"a": 1}: expected a number']),
    Bad("optimizer.betas=0.9", "optimizer.betas", "wrong_type", ["optimizer.betas=0.9: expected a list"]),
    Bad("optimizer.betas=[0.9]", "optimizer.betas", "out_of_bounds", ["optimizer.betas", "one more value"]),
    Bad(
        "optimizer.betas=[0.9,0.99,0.999]",
        "optimizer.betas",
        "out_of_bounds",
        ["optimizer.betas", "at most 2 values"],
    ),
    Bad(
        "data.batch_size=[32]",
        "data.batch_size",
        "wrong_type",
        ["data.batch_size=[32]: expected a whole number"],
    ),
    Bad(
        "data.batch_size=32.5",
        "data.batch_size",
        "wrong_type",
        ["data.batch_size=32.5: expected a whole number"],
    ),
    Bad(
        "data.batch_size=true",
        "data.batch_size",
        "wrong_type",
        ["data.batch_size=true: expected a whole number"],
    ),
    Bad(
        "data.batch_size=null",
        "data.batch_size",
        "wrong_type",
        ["data.batch_size=null: expected a whole number"],
    ),
    Bad(
        "data.batch_size='64'",
        "data.batch_size",
        "wrong_type",
        ['data.batch_size="64": expected a whole number'],
    ),
    Bad(
        "model.hidden_sizes=64",
        "model.hidden_sizes",
        "wrong_type",
        ["model.hidden_sizes=64: expected a list"],
    ),
    Bad(
        "model.hidden_sizes=[64,a]",
        "model.hidden_sizes[1]",
        "wrong_type",
        ['model.hidden_sizes[1]="a": expected a whole number'],
    ),
    Bad(
        "model.activation=rleu",
        "model.activation",
        "invalid_value",
        ["model.activation", "'gelu'", "Did you mean 'relu'?"],
    ),
    Bad(
        "hardware.precision=bf61",
        "hardware.precision",
        "invalid_value",
        ["hardware.precision", "Did you mean 'bf16'?"],
    ),
    Bad(
        "hardware.accelerator=tppu",
        "hardware.accelerator",
        "invalid_value",
        ["hardware.accelerator", "'gpu'"],
    ),
    Bad(
        "hardware.compile=1", "hardware.compile", "wrong_type", ["hardware.compile=1: expected true or false"]
    ),
    Bad(
        "pretrained=yeah model=resnet18", "pretrained", "wrong_type", ["pretrained", "expected true or false"]
    ),
    Bad("run.tags=good", "run.tags", "wrong_type", ["run.tags", "expected a list"]),
    Bad("run.name=3", "run.name", "wrong_type", ["run.name=3: expected a string"]),
    Bad(
        "regularization.early_stopping=5",
        "regularization.early_stopping",
        "wrong_type",
        ["regularization.early_stopping=5: expected keys and values"],
    ),
    Bad(
        "trainer.max_epochs=1.5",
        "trainer.max_epochs",
        "wrong_type",
        ["trainer.max_epochs=1.5: expected a whole number"],
    ),
    Bad("seed=zero", "seed", "wrong_type", ['seed="zero": expected a whole number']),
    Bad(
        "callbacks=none callbacks.mine=5",
        "callbacks.mine",
        "wrong_type",
        ["callbacks.mine=5 is not a constructor", "_target_"],
    ),
    Bad("data.augment={flip:true}", "data.augment", "wrong_type", ["data.augment", "no _target_"]),
    Bad("optimizer.lr=-1", "optimizer", "rejected", ["optimizer", "Invalid learning rate: -1"]),
    Bad(
        "optimizer.betas=[0.9,2]", "optimizer", "rejected", ["optimizer", "Invalid beta parameter at index 1"]
    ),
    Bad(
        "optimizer=sgd optimizer.momentum=0",
        "optimizer",
        "rejected",
        ["optimizer", "Nesterov momentum requires a momentum"],
    ),
    Bad("seed=-1", "seed", "out_of_bounds", ["seed=-1: expected a number greater than or equal to 0"]),
    Bad(
        "data.batch_size=0",
        "data.batch_size",
        "out_of_bounds",
        ["data.batch_size=0: expected a number greater than 0"],
    ),
    Bad(
        "model.hidden_sizes=[64,0]",
        "model.hidden_sizes[1]",
        "out_of_bounds",
        ["model.hidden_sizes[1]=0", "greater than or equal to 1"],
    ),
    Bad(
        "regularization.dropout=1.5",
        "regularization.dropout",
        "out_of_bounds",
        ["regularization.dropout=1.5", "less than or equal to 0.99"],
    ),
    Bad(
        "regularization.weight_decay=-0.1",
        "regularization.weight_decay",
        "out_of_bounds",
        ["regularization.weight_decay=-0.1", "greater than or equal to 0"],
    ),
    Bad(
        "regularization.label_smoothing=2",
        "regularization.label_smoothing",
        "out_of_bounds",
        ["regularization.label_smoothing=2", "less than or equal to 1"],
    ),
    Bad(
        "regularization.early_stopping.patience=-1",
        "regularization.early_stopping.patience",
        "out_of_bounds",
        ["early_stopping.patience=-1", "greater than or equal to 0"],
    ),
    Bad(
        "data.val_fraction=0.9",
        "data.val_fraction",
        "out_of_bounds",
        ["data.val_fraction=0.9", "less than 0.5"],
    ),
    Bad(
        "scheduler=step scheduler.gamma=2",
        "scheduler.gamma",
        "out_of_bounds",
        ["scheduler.gamma=2", "less than or equal to 1"],
    ),
    Bad(
        "checkpoint.keep_last=0",
        "checkpoint.keep_last",
        "out_of_bounds",
        ["checkpoint.keep_last=0", "greater than or equal to 1"],
    ),
    Bad(
        "tracking.wait_s=-1",
        "tracking.wait_s",
        "out_of_bounds",
        ["tracking.wait_s=-1", "greater than or equal to 0"],
    ),
    Bad(
        "hardware.devices=0",
        "hardware.devices",
        "out_of_bounds",
        ["hardware.devices=0", "greater than or equal to 1"],
    ),
    Bad(
        "hardware.devices=2 data.batch_size=33",
        "data.batch_size",
        "incompatible",
        ["data.batch_size=33", "all 2 devices", "Use data.batch_size=34"],
    ),
    Bad(
        "hardware=fsdp hardware.devices=1",
        "hardware.strategy",
        "no_effect",
        ["hardware.strategy=fsdp", "no effect on one device"],
    ),
    Bad(
        "hardware=fsdp hardware.devices=2 optimizer=sgd",
        "optimizer.fused",
        "incompatible",
        ["optimizer.fused=true", "use optimizer.fused=false"],
    ),
    Bad(
        "hardware=fsdp hardware.precision=16",
        "hardware.precision",
        "incompatible",
        ["hardware.precision=16", "use bf16 or 32"],
    ),
    Bad(
        "hardware.sync_batchnorm=true",
        "hardware.sync_batchnorm",
        "no_effect",
        ["hardware.sync_batchnorm=true", "no effect on one device"],
    ),
    Bad(
        "hardware.micro_batch=64",
        "hardware.micro_batch",
        "no_effect",
        ["hardware.micro_batch=64", "no effect", "the whole batch"],
    ),
    Bad(
        "hardware=cpu_ddp hardware.micro_batch=32",
        "hardware.micro_batch",
        "no_effect",
        ["hardware.micro_batch=32", "each of 2 devices' share"],
    ),
    Bad(
        "hardware.micro_batch=many",
        "hardware.micro_batch",
        "invalid_value",
        ["hardware.micro_batch", "'auto'"],
    ),
    Bad(
        "hardware.memory_gib=2",
        "hardware.memory_gib",
        "no_effect",
        ["hardware.memory_gib", "without hardware.micro_batch=auto"],
    ),
    Bad(
        "hardware.lr_scaling=linear",
        "hardware.reference_batch_size",
        "missing",
        ["hardware.lr_scaling=linear", "hardware.reference_batch_size"],
    ),
    Bad(
        "hardware.reference_batch_size=32",
        "hardware.reference_batch_size",
        "no_effect",
        ["hardware.reference_batch_size=32", "hardware.lr_scaling is none"],
    ),
    Bad(
        "hardware=cpu hardware.measure=true",
        "hardware.measure",
        "no_effect",
        ["hardware.measure=true", "no effect"],
    ),
    Bad("trainer.val_check_interval=-2", "trainer", "rejected", ["trainer", "-2 for val_check_interval"]),
    Bad(
        "trainer.val_check_interval=0.0",
        "trainer.val_check_interval",
        "out_of_bounds",
        ["trainer.val_check_interval=0: expected a number above 0"],
    ),
    Bad(
        "trainer.max_time={hours:0,minutes:0}",
        "trainer.max_time",
        "out_of_bounds",
        ["trainer.max_time", "expected a duration above 0"],
    ),
    Bad(
        "hardware=cpu hardware.devices=all",
        "hardware.devices",
        "unavailable",
        ["hardware.devices=all is for the GPUs"],
    ),
    Bad(
        "launcher=elastic launcher.max_restarts=-1",
        "launcher.max_restarts",
        "out_of_bounds",
        ["launcher.max_restarts=-1", "greater than or equal to 0"],
    ),
    Bad(
        "hardware.num_threads=0",
        "hardware.num_threads",
        "out_of_bounds",
        ["hardware.num_threads=0", "greater than or equal to 1"],
    ),
    Bad(
        "scheduler.warmup_epochs=20",
        "scheduler",
        "rejected",
        ["scheduler.warmup_epochs=20", "the whole training has"],
    ),
]

OPTIONS = [
    Bad("model=restnet18", "model", "unknown_option", ["unknown model 'restnet18'", "'resnet18'"]),
    Bad("optimizer=adm", "optimizer", "unknown_option", ["unknown optimizer 'adm'", "'adam'"]),
    Bad("data=digitz", "data", "unknown_option", ["unknown data 'digitz'", "'digits'"]),
    Bad("task=clasification", "task", "unknown_option", ["unknown task 'clasification'", "'classification'"]),
    Bad("callbacks=[none,mine]", "callbacks", "unknown_option", ["unknown callbacks 'mine'"]),
    Bad("model=5", "model", "unknown_option", ["unknown model '5'", "Valid: "]),
    Bad("model=null", "model", "missing", ["model=null: choose one of", "mlp"]),
    Bad("+model=mlp", "model", "duplicate", ["+model=mlp: model already has an option"]),
    Bad("~model", "model", "missing", ["the config has no 'model'", "model=NAME"]),
    Bad("modle/big=mlp", "modle/big", "unknown_key", ["unknown key 'modle/big'"]),
    Bad("model@other=mlp", "", "unreadable", ["Could not override 'model@other'"]),
    Bad(
        "hydra/launcher=slrm",
        "hydra/launcher",
        "no_effect",
        ["hydra/launcher=slrm would have no effect without -m"],
    ),
    Bad(
        "scheduler=none scheduler.gamma=0.5",
        "scheduler",
        "wrong_type",
        ["scheduler={", "is not a constructor", "scheduler=NAME"],
    ),
    Bad(
        "regularization=none data=mnist regularization.augment.flip=true",
        "regularization.augment",
        "wrong_type",
        ["regularization.augment={", "no _target_"],
    ),
    Bad("optimizer", "optimizer", "unreadable", ["'optimizer' is not an override", "Expected key=value"]),
    Bad("model.hidden_sizes=[64", "model.hidden_sizes", "unreadable", ["is not an override", "quote"]),
    Bad("=3", "", "unreadable", ["'=3' has no key"]),
    Bad("model=mlp,logistic", "model", "unreadable", ["several values", "-m"]),
    Bad("optimizer.lr=choice(0.1,0.2)", "optimizer.lr", "unreadable", ["several values", "-m"]),
    Bad("seed=range(3)", "seed", "unreadable", ["several values"]),
    Bad("", "", "not_found", ["--config-dir", "nowhere is not a folder"], config_dir="nowhere"),
    Bad("model=mine", "", "unreadable", ["mine.yaml"], files={"conf/model/mine.yaml": "_target_: [unclosed"}),
    Bad(
        "model=mine",
        "",
        "unreadable",
        ["no_such_base"],
        files={"conf/model/mine.yaml": "defaults: [no_such_base]\n_target_: torch.nn.Identity"},
    ),
]

FIT = [
    Bad(
        "model=resnet18 data=diabetes",
        "model",
        "incompatible",
        ["model=resnet18 takes inputs of the kind image", "provides features", "mlp"],
    ),
    Bad("task.loss=focal", "task.loss", "wrong_type", ['task.loss="focal": expected a node with _target_']),
    Bad(
        "model=lstm data=digits",
        "model",
        "incompatible",
        ["model=lstm takes inputs of the kind sequence or tokens", "provides image", "mlp"],
    ),
    Bad(
        "task=regression",
        "data",
        "incompatible",
        ["data=digits is for classification", "the task is regression", "diabetes"],
    ),
    Bad(
        "data=diabetes task=classification",
        "data",
        "incompatible",
        ["data=diabetes is for regression", "digits"],
    ),
    Bad(
        "model=clusters",
        "model",
        "incompatible",
        ["model=clusters is for clustering", "logistic"],
        files={"conf/model/clusters.yaml": "# tasks: clustering\n_target_: torch.nn.Identity"},
    ),
    Bad(
        "~task.loss.label_smoothing task.loss._target_=torch.nn.MSELoss",
        "task.loss",
        "incompatible",
        ["ClassificationTask cannot use MSELoss"],
    ),
    Bad(
        "data=diabetes task.loss._target_=torch.nn.CrossEntropyLoss",
        "task.loss",
        "incompatible",
        ["RegressionTask cannot use CrossEntropyLoss"],
    ),
    Bad(
        "data=pass_fail task=binary task.loss._target_=torch.nn.MSELoss",
        "task.loss",
        "incompatible",
        ["BinaryClassificationTask cannot use"],
    ),
    Bad(
        "model.num_classes=${facts:num_outputz}",
        "model.num_classes",
        "unresolved",
        ["does not provide 'num_outputz'", "'num_outputs'"],
    ),
    Bad(
        "data.batch_size=${facts:num_classes}",
        "data.batch_size",
        "unresolved",
        ["data.batch_size", "comes from the data itself"],
    ),
    Bad(
        "model._target_=torch.optim.SGD",
        "model",
        "wrong_type",
        ["model: torch.optim.SGD returns a SGD, expected a Module"],
    ),
    Bad(
        "callbacks.mine._target_=torch.nn.ReLU",
        "callbacks.mine",
        "wrong_type",
        ["callbacks.mine", "returns a ReLU, expected a Callback"],
    ),
    Bad(
        "scheduler._target_=torch.optim.lr_scheduler.StepLR",
        "scheduler",
        "wrong_type",
        ["returns a StepLR, expected a Schedule"],
    ),
    Bad(
        "~task.loss.label_smoothing task.loss._target_=pytorch_lightning.callbacks.Timer",
        "task.loss",
        "wrong_type",
        ["task.loss", "returns a Timer, expected a Module"],
    ),
    Bad(
        "model=timm data=mnist model.name=resnet26dd",
        "model",
        "rejected",
        ["timm has no backbone 'resnet26dd'", "resnet26d"],
    ),
    Bad(
        "model=timm data=mnist model.name=resnet26d.nobody",
        "model",
        "rejected",
        ["resnet26d has no weights tagged 'nobody'"],
    ),
    Bad(
        "optimizer._partial_=false",
        "optimizer._partial_",
        "missing",
        ["optimizer", "called later by runner: add _partial_: true"],
    ),
    Bad("model._partial_=true", "model._partial_", "incompatible", ["model is built at once"]),
    Bad("optimizer.params=[]", "optimizer.params", "reserved", ["runner itself passes 'params' to AdamW"]),
    Bad("task.model={}", "task.model", "reserved", ["runner itself passes 'model' to "]),
    Bad(
        "~model.in_features",
        "model.in_features",
        "missing",
        ["MLP requires 'in_features'", "Add model.in_features=VALUE"],
    ),
    Bad(
        "model._convert_=none",
        "model._convert_",
        "wrong_type",
        ["model._convert_", "expected all, partial, object"],
    ),
    Bad("optimizer._args_=[1]", "optimizer._args_", "reserved", ["optimizer._args_", "give yours by name"]),
]

EFFECT = [
    Bad(
        "model=logistic regularization.dropout=0.3",
        "regularization.dropout",
        "no_effect",
        ["regularization.dropout would have no effect", "model=logistic"],
    ),
    Bad(
        "data=diabetes regularization.label_smoothing=0.1",
        "regularization.label_smoothing",
        "no_effect",
        ["label_smoothing would have no effect", "task=regression"],
    ),
    Bad(
        "regularization.augment.flip=false",
        "regularization.augment",
        "no_effect",
        ["regularization.augment would have no effect", "data=digits"],
    ),
    Bad(
        "pretrained=true",
        "pretrained",
        "no_effect",
        ["pretrained=true would have no effect: model=mlp", "resnet34"],
    ),
    Bad(
        "tracking=none tracking.uri=http://127.0.0.1:5000",
        "tracking.uri",
        "no_effect",
        ["tracking.uri would have no effect", "tracking=mlflow"],
    ),
    Bad("trainer.logger=true", "trainer.logger", "reserved", ["trainer.logger", "use tracking instead"]),
    Bad(
        "trainer.accelerator=gpu",
        "trainer.accelerator",
        "reserved",
        ["trainer.accelerator", "use hardware.accelerator instead"],
    ),
    Bad(
        "trainer.callbacks=[]",
        "trainer.callbacks",
        "reserved",
        ["trainer.callbacks", "use callbacks instead"],
    ),
    Bad(
        "trainer.fast_dev_run=true",
        "trainer.fast_dev_run",
        "reserved",
        ["trainer.fast_dev_run", "use debug=one_batch instead"],
    ),
    Bad(
        "trainer.max_epochs=0",
        "trainer.max_epochs",
        "out_of_bounds",
        ["trainer.max_epochs=0: expected a number above 0"],
    ),
    Bad(
        "trainer.max_steps=0",
        "trainer.max_steps",
        "out_of_bounds",
        ["trainer.max_steps=0: expected a number above 0"],
    ),
    Bad(
        "trainer.max_epochs=-1",
        "trainer.max_epochs",
        "missing",
        ["trainer.max_epochs=-1: nothing ends the training"],
    ),
    Bad(
        "trainer.accumulate_grad_batches=0",
        "trainer.accumulate_grad_batches",
        "out_of_bounds",
        ["trainer.accumulate_grad_batches=0: expected a number above 0"],
    ),
    Bad(
        "trainer.gradient_clip_val=-1",
        "trainer.gradient_clip_val",
        "out_of_bounds",
        ["trainer.gradient_clip_val=-1: expected 0 or more"],
    ),
    Bad(
        "trainer.gradient_clip_algorithm=nrm",
        "trainer",
        "rejected",
        ["trainer", "gradient_clip_algorithm", "norm"],
    ),
    Bad("trainer.limit_train_batches=1.5", "trainer", "rejected", ["trainer", "1.5 for limit_train_batches"]),
    Bad("trainer.profiler=fast", "trainer", "rejected", ["trainer", "'simple'"]),
]

PLACES = [
    Bad(
        "data=image_folder", "data.root", "missing", ["data.root: a value is required", "Add data.root=VALUE"]
    ),
    Bad("data=image_folder data.root=nowhere", "data", "rejected", ["data.root=nowhere", "no such folder"]),
    Bad("data=image_folder data.root=.", "data", "rejected", ["data"]),
    Bad("data=csv data.path=none.csv data.target=x", "data", "rejected", ["none.csv"]),
    Bad("data=csv data.target=x", "data", "rejected", ["data.path is not set", "data.path=FILE"]),
    Bad("weights=none.pt", "weights", "not_found", ["weights=none.pt: no such file"]),
    Bad(
        "model=resnet18 pretrained=true weights=w.pt",
        "weights",
        "incompatible",
        ["both set the initial weights"],
        files={"w.pt": ""},
    ),
    Bad("hardware=gpu", "hardware.accelerator", "unavailable", ["no CUDA device", "hardware=auto"]),
    Bad("hardware=mps", "hardware.accelerator", "unavailable", ["no Apple GPU", "hardware=cpu"]),
    Bad(
        "run.root=file/runs",
        "run.root",
        "unavailable",
        ["run.root=file/runs", "not a writable folder"],
        files={"file": ""},
    ),
    Bad("run.name=../up", "run.name", "invalid_value", ["run.name='../up' cannot be the name of a run"]),
    Bad("run.name=latest", "run.name", "invalid_value", ["run.name='latest' cannot be the name of a run"]),
    Bad(
        "tracking.uri=mlruns",
        "tracking.uri",
        "invalid_value",
        ["tracking.uri=mlruns", "http://127.0.0.1:5000"],
    ),
    Bad(
        "model.dropout=${regularization.droput}",
        "model.dropout",
        "unresolved",
        ["unknown key 'regularization.droput'", "'regularization.dropout'"],
    ),
    Bad(
        "model.dropout=${model.dropout}",
        "model.dropout",
        "unresolved",
        ["model.dropout", "Recursive interpolation"],
    ),
    Bad(
        "model.dropout=${nothing:3}",
        "model.dropout",
        "unresolved",
        ["Unsupported interpolation type nothing"],
    ),
    Bad(
        "model.activation=${oc.env:NO_SUCH_VARIABLE}",
        "model.activation",
        "unresolved",
        ["NO_SUCH_VARIABLE", "cannot be resolved"],
    ),
    Bad("model.dropout='${regularization'", "model.dropout", "invalid_value", ["model.dropout"]),
]

EXPERIMENTS = [
    Bad("", "", "unreadable", ["experiment.yaml is not readable YAML"], "model: [unclosed"),
    Bad("", "", "wrong_type", ["experiment.yaml must hold keys and values, got a List"], "- model\n- data"),
    Bad(
        "",
        "just words",
        "unknown_key",
        ["unknown key 'just words'", "Valid: auto, baselines, callbacks"],
        "just words",
    ),
    Bad("", "modle", "unknown_key", ["unknown key 'modle'", "'model'"], "modle: {}"),
    Bad("", "hydra", "unknown_key", ["unknown key 'hydra'"], "hydra: {run: {dir: x}}"),
    Bad(
        "",
        "model.hiden_sizes",
        "unknown_key",
        ["model.hiden_sizes", "'hidden_sizes'"],
        "model: {hiden_sizes: [3]}",
    ),
    Bad("", "optimizer.lr", "wrong_type", ["optimizer.lr", "expected a number"], "optimizer: {lr: fast}"),
    Bad(
        "",
        "model",
        "wrong_type",
        ["model: 'resnet18' chooses an option", "override /model: resnet18"],
        "model: resnet18",
    ),
    Bad("", "modle", "unknown_key", ["unknown group 'modle'", "'model'"], "defaults: [override /modle: mlp]"),
    Bad("", "model", "unknown_option", ["unknown model 'mpl'", "'mlp'"], "defaults: [override /model: mpl]"),
    Bad("", "model", "incompatible", ["write `override /model: mlp`"], "defaults: [/model: mlp]"),
    Bad("", "defaults", "wrong_type", ["defaults entry 5", "override /GROUP: OPTION"], "defaults: [5]"),
    Bad("", "defaults", "wrong_type", ["defaults must be a list"], "defaults: mlp"),
    Bad(
        "",
        "regularization.dropout",
        "no_effect",
        ["regularization.dropout would have no effect"],
        "defaults: [override /model: logistic]\nregularization: {dropout: 0.5}",
    ),
    Bad(
        "data=diabetes",
        "task.lossy",
        "unknown_key",
        ["RegressionTask has no parameter 'lossy'"],
        "task: {lossy: 1}",
    ),
]

REFUSED = "is not allowed"
TARGETS = [
    Bad(
        "model._target_=runner.models.mlp.MPL",
        "model._target_",
        "not_found",
        ["runner.models.mlp has no 'MPL'", "'MLP'"],
    ),
    Bad(
        "model._target_=runner.models.mpl.MLP",
        "model._target_",
        "not_found",
        ["runner.models has no 'mpl'", "'mlp'"],
    ),
    Bad(
        "model._target_=runner.modles.mlp.MLP", "model._target_", "not_allowed", [REFUSED, "'runner.models'"]
    ),
    Bad("model._target_=toch.nn.Linear", "model._target_", "not_allowed", [REFUSED, "Did you mean 'torch'?"]),
    Bad(
        "optimizer._target_=torch.optm.AdamW", "optimizer._target_", "not_allowed", [REFUSED, "'torch.optim'"]
    ),
    Bad(
        "optimizer._target_=torch.optim.AdmaW",
        "optimizer._target_",
        "not_found",
        ["torch.optim has no 'AdmaW'", "'AdamW'"],
    ),
    Bad(
        "model._target_=my_modles.Net",
        "model._target_",
        "not_allowed",
        [REFUSED, "'my_models'"],
        files={"my_models.py": "class Net: pass"},
    ),
    Bad(
        "model._target_=my_models.Nett",
        "model._target_",
        "not_found",
        ["my_models has no 'Nett'", "'Net'"],
        files={"my_models.py": "class Net: pass"},
    ),
    Bad(
        "model._target_=my_models.Net",
        "model._target_",
        "rejected",
        ["importing my_models failed: ZeroDivisionError"],
        files={"my_models.py": "1/0"},
    ),
    Bad(
        "model._target_=my_models.Net",
        "model._target_",
        "not_found",
        ["importing my_models failed", "no_such_package"],
        files={"my_models.py": "import no_such_package"},
    ),
    Bad("model._target_=5", "model._target_", "invalid_value", ["must be a dotted name", "5"]),
    Bad("model._target_=MLP", "model._target_", "not_allowed", [REFUSED]),
    Bad("model._target_=torch.nn", "model._target_", "not_allowed", ["refers to a module"]),
    Bad("~model._target_", "model", "wrong_type", ["is not a constructor", "model=NAME"]),
]

TABLE = [*KEYS, *VALUES, *OPTIONS, *FIT, *EFFECT, *PLACES, *EXPERIMENTS, *TARGETS]


@pytest.fixture(autouse=True)
def no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    for device in (torch.cuda, torch.backends.mps):
        monkeypatch.setattr(device, "is_available", wraps(device.is_available)(lambda: False))


@pytest.mark.parametrize("bad", TABLE, ids=str)
def test_each_bad_input_has_one_message(bad: Bad, find, write, here: Path) -> None:
    for name, text in bad.files.items():
        write(name, text)
    experiment = str(write("experiment.yaml", bad.experiment)) if bad.experiment else None
    before = sorted(path for path in here.rglob("*") if "__pycache__" not in path.parts)
    problems = find(
        *bad.given.split(), experiment=experiment, config_dirs=(bad.config_dir,) if bad.config_dir else ()
    )
    assert len(problems) == 1, "\n".join(map(str, problems))
    text = str(problems[0])
    assert (problems[0].key, problems[0].kind) == (bad.key, bad.kind)
    assert not [words for words in bad.said if words not in text], text
    assert sorted(path for path in here.rglob("*") if "__pycache__" not in path.parts) == before


def test_table_is_long() -> None:
    assert len(TABLE) >= 60


TEN = {
    "optimizr=sgd": "'optimizer'",
    "model.hiden_sizes=[64]": "'hidden_sizes'",
    "optimizer.lr=-1": "Invalid learning rate",
    "optimizer.betas=0.9": "optimizer.betas=0.9",
    "data.batch_size=0": "data.batch_size=0",
    "trainer.max_epochs=0": "trainer.max_epochs=0",
    "trainer.logger=true": "trainer.logger",
    "scheduler=cosin": "'cosine'",
    "weights=none.pt": "weights=none.pt",
    "seed=1,2": "several values",
    "pretrained=true": "pretrained=true would have no effect",
    "task.loss.reduktion=sum": "'reduction'",
}


def test_all_problems_are_reported_together(find) -> None:
    problems = find(*(given for given in TEN if given != "weights=none.pt"))
    assert len(problems) == len(TEN) - 1
    assert len({problem.key for problem in problems}) == len(problems)
    for given, said in TEN.items():
        if given != "weights=none.pt":
            assert sum(said in str(problem) for problem in problems) == 1, said


def test_exit_code_2_and_no_files(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [given for given in TEN if not given.startswith("pretrained")]
    assert main(["train", *given]) == 2
    said = capsys.readouterr()
    assert f"error: {len(given)} mistakes in the config:" in said.err
    assert "Traceback" not in said.err + said.out
    assert all(TEN[word] in said.err for word in given)
    assert not list(here.iterdir())


def test_missing_experiment(find, write) -> None:
    write("digits_mlp.yaml", "seed: 1")
    (problem,) = find(experiment="digits_mpl.yaml")
    assert problem.kind == "not_found"
    assert "no such file: digits_mpl.yaml" in problem.message and "'digits_mlp.yaml'" in problem.suggestion


def test_problems_of_experiment_and_command_line_are_reported_together(find, write) -> None:
    file = write("e.yaml", "defaults: [override /model: mpl]\ntrainer: {max_epoch: 3}\n")
    problems = find("optimizer=adm", "seed=x", experiment=str(file))
    said = ("'mlp'", "'max_epochs'", "'adam'", "seed=")
    assert len(problems) == 4 and all(any(words in str(problem) for problem in problems) for words in said)
