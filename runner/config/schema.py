"""What the nodes of a config are: each of ``Config``'s fields is one.

A node with ``_target_`` is checked against that constructor's signature, one without against the dataclass
here. Both are read from the same kind of annotations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from runner.config.introspect import NodeSpec

__all__ = [
    "Config",
    "Debug",
    "EarlyStopping",
    "Folds",
    "Hardware",
    "Launcher",
    "LrFinder",
    "ParameterGroup",
    "Regularization",
    "RunOptions",
    "Sampling",
    "Sweep",
    "Tracking",
]


Fraction = Annotated[float, Ge(0), Le(1)]


@dataclass
class RunOptions:
    """Where a run is kept and what it is called.

    Args:
        root: the folder of all runs.
        name: of the run's folder below it; date, time, model and data when null.
        tags: words to find it by.
    """

    root: str = "runs"
    name: str | None = None
    tags: list[str] = field(default_factory=list)


@dataclass
class EarlyStopping:
    """Stop when the task's metric has stopped getting better.

    Args:
        patience: validations without a better value that are let pass.
        min_delta: the least change that counts as better.
    """

    patience: Annotated[int, Ge(0)] = 10
    min_delta: Annotated[float, Ge(0)] = 0.0


@dataclass
class Regularization:
    """What holds a model back from learning by heart; other nodes take their values from here.

    Args:
        dropout: share of units or features dropped in training.
        spatial_dropout: share of channels dropped as a whole, in convolutional models.
        stochastic_depth: how often the last residual branch is dropped; earlier ones less often.
        weight_decay: pull of the weights to zero; norms and biases are spared.
        l1: weight of the sum of all weights' absolute values in the loss; norms and biases are spared.
        max_norm: bound on the norm of the weights into each unit.
        clip_norm: bound on the norm of the whole gradient.
        clip_value: bound on each number of the gradient, instead.
        label_smoothing: share of the target spread over the other classes, in training.
        mixup: blend each image with another of its batch; parameter of the Beta distribution of the shares.
        cutmix: put a rectangle of another image into each, likewise; with both, each batch gets one of them.
        mix_epochs: epochs that mix, from the first on; all when null.
        input_noise: standard deviation of noise on the normalised inputs.
        weight_noise: of noise on the weights while the gradient is taken, as a part of each tensor's own.
        ema: decay of a moving average of the weights, which is what is evaluated and saved.
        swa: share of the training after which the epochs' last weights are averaged, instead.
        augment: random changes of training images.
        early_stopping: null trains to the end.
    """

    dropout: Annotated[float, Ge(0), Le(0.99)] = 0.0
    spatial_dropout: Annotated[float, Ge(0), Le(0.99)] = 0.0
    stochastic_depth: Annotated[float, Ge(0), Le(0.99)] = 0.0
    weight_decay: Annotated[float, Ge(0)] = 0.0
    l1: Annotated[float, Ge(0)] = 0.0
    max_norm: Annotated[float, Gt(0)] | None = None
    clip_norm: Annotated[float, Gt(0)] | None = None
    clip_value: Annotated[float, Gt(0)] | None = None
    label_smoothing: Fraction = 0.0
    mixup: Annotated[float, Ge(0)] = 0.0
    cutmix: Annotated[float, Ge(0)] = 0.0
    mix_epochs: Annotated[int, Ge(1)] | None = None
    input_noise: Annotated[float, Ge(0)] = 0.0
    weight_noise: Annotated[float, Ge(0)] = 0.0
    ema: Annotated[float, Gt(0), Lt(1)] | None = None
    swa: Annotated[float, Ge(0), Lt(1)] | None = None
    augment: Annotated[dict, NodeSpec()] | None = None
    early_stopping: EarlyStopping | None = None


@dataclass
class Hardware:
    """What a run needs. Null is chosen for the device at hand.

    Args:
        accelerator: auto takes the device there is.
        devices: how many, each with a process of its own; all takes every GPU of the machine.
        num_nodes: how many machines, each with so many devices; more than one needs launcher.rendezvous, or a cluster.
        strategy: ddp is a copy of the model on each device, under PyTorch's elastic agent, as several devices always
            are; fsdp keeps a share of weights, gradients and optimizer state on each.
        sync_batchnorm: batch norms over the batch of all devices, not over each one's share of it.
        precision: of the arithmetic: 32 bit, or 16 bit where that is safe (16 with loss scaling).
        channels_last: memory format of images that convolutions are faster with.
        compile: torch.compile the model: a minute at the start, faster steps on a GPU.
        num_threads: of the processor.
        measure: times a few steps to choose precision and memory format, where these are null and the model is not
            small.
        micro_batch: samples that go through the model at once on each device; the gradients of a batch add up. auto
            takes as many as fit into the memory.
        memory_gib: what auto may fill of each device; all that is free when null.
        on_out_of_memory: halve does the step again with half as many samples at once; fail ends the run.
        activation_checkpointing: computes a block's activations anew in the backward pass: less memory, more time. true
            finds the blocks; or a pattern of module names, such as 'layer*.*'.
        lr_scaling: the learning rate grows with data.batch_size over reference_batch_size, or with its root.
        reference_batch_size: the batch that optimizer.lr is meant for.
    """

    accelerator: Literal["auto", "cpu", "gpu", "mps", "tpu"] = "auto"
    devices: Annotated[int, Ge(1), Le(1024)] | Literal["all"] = 1
    num_nodes: Annotated[int, Ge(1), Le(1024)] = 1
    strategy: Literal["ddp", "fsdp"] | None = None
    sync_batchnorm: bool = False
    precision: Literal[32, 16, "bf16", "32", "16"] | None = None
    channels_last: bool | None = None
    compile: bool = False
    num_threads: Annotated[int, Ge(1)] | None = None
    measure: bool = False
    micro_batch: Annotated[int, Ge(1)] | Literal["auto"] | None = None
    memory_gib: Annotated[float, Gt(0)] | None = None
    on_out_of_memory: Literal["halve", "fail"] = "halve"
    activation_checkpointing: bool | str = False
    lr_scaling: Literal["none", "linear", "sqrt"] = "none"
    reference_batch_size: Annotated[int, Ge(1)] | None = None


@dataclass
class Launcher:
    """Where the workers of a run start.

    Args:
        kind: local is this machine, a single worker in this process, several under PyTorch's elastic agent;
            elastic puts a single one there too, so that it is started anew when it fails; slurm submits a job;
            ray takes the machines of a Ray cluster.
        max_restarts: how often all workers are started anew, from the last checkpoint, when one has failed.
        hang_after_s: seconds, or ten times the longest batch so far, that a worker among several may take for one
            batch, before it is ended and started anew; null waits for ever.
        rendezvous: host:port where the machines of hardware.num_nodes meet, the same on each; whose address it is
            makes the run directory.
        wait_for_nodes_s: how long a machine waits for the others, or a run for its share of a Ray cluster.
        partition, account, qos, constraint: SLURM's, as sbatch takes them.
        time_min: minutes that a job may take; when they are over it saves its state and is put into the queue again.
        save_before_end_s: seconds before its end at which a job is told to save.
        max_requeues: how often a job goes back into the queue.
        mem_gb: memory of the machine that a job asks for.
        gpus_per_node: GPUs of each machine; as many as hardware.devices for hardware=gpu and its kin.
        setup: lines of shell before the workers: module load cuda.
        options: further options of sbatch, by their long names.
        follow: show what the job prints until it has ended.
        address: of the Ray cluster; auto finds the one this machine belongs to, local starts one here.
        cpus_per_worker: processor cores for each worker, on SLURM and Ray.
        gpus_per_worker: GPUs that Ray reserves for each worker; 1 for hardware=gpu and its kin.
        spread: Ray puts the workers on different machines as far as it can, else on as few as it can.
    """

    kind: Literal["local", "elastic", "slurm", "ray"] = "local"
    max_restarts: Annotated[int, Ge(0)] = 3
    hang_after_s: Annotated[float, Gt(0)] | None = 30.0
    rendezvous: str | None = None
    wait_for_nodes_s: Annotated[float, Gt(0)] = 600.0
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    time_min: Annotated[int, Ge(1)] = 60
    save_before_end_s: Annotated[int, Ge(10)] = 120
    max_requeues: Annotated[int, Ge(0)] = 50
    mem_gb: Annotated[float, Gt(0)] | None = None
    gpus_per_node: Annotated[int, Ge(0)] | None = None
    setup: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    follow: bool = True
    address: str = "auto"
    cpus_per_worker: Annotated[int, Ge(1)] = 1
    gpus_per_worker: Annotated[float, Ge(0)] | None = None
    spread: bool = False


@dataclass
class Tracking:
    """The mirror of the run in MLflow.

    Args:
        enabled: whether there is one.
        uri: an MLflow tracking URI; the SQLite store beside the runs when null.
        experiment: MLflow's name for the group of runs.
        log_model: log a servable model when the run has finished.
        log_checkpoints: send the checkpoints as artifacts too.
        system_metrics: sample processor, memory, disk, network and GPU.
        wait_s: seconds the end of training waits for the mirror, at most.
    """

    enabled: bool = True
    uri: str | None = None
    experiment: str = "runner"
    log_model: bool = True
    log_checkpoints: bool = False
    system_metrics: bool = True
    wait_s: Annotated[float, Ge(0)] = 30.0


@dataclass
class Sweep:
    """A search: many trials of one config that differ in the keys of a space.

    Args:
        name: of the sweep's folder in run.root; model and data when null.
        num_trials: how many there are in the end, however often the sweep is started.
        num_workers: trials at a time.
        devices_per_trial: GPUs that each trial has to itself; 0.5 lets two share one; null takes hardware.devices.
        sampler: what chooses the next point.
        sampler_options: arguments of Optuna's sampler.
        pruner: what ends trials that lag behind.
        pruner_options: arguments of Optuna's pruner.
        objective: the metric of the best checkpoint to search by; the task's own when null.
        mode: whether the objective is to be small or large; the task knows for its own.
        objectives: several metrics to search by, each with min or max, in place of one; also num_parameters, num_trainable
            and seconds.
        repeats: how often each trial is trained, with one seed after the other; the objective is the mean.
        try_default: the config as it is, without the space, is trial 0.
        points: further points to try first, each a mapping of keys to values.
        space: keys and their values in Hydra's sweep grammar, besides those of the command line.
        seed: of the sampler.
        max_retries: how often a trial whose process was killed goes on from its last checkpoint.
        timeout_s: seconds a trial may take, all its attempts together.
        silence_s: seconds without a batch after which an attempt counts as hanging, and is started again.
        memory_gib: address space that a trial may take beyond what the libraries need.
        keep_checkpoints: of how many of the best trials checkpoints stay on the disk.
        storage: where the study is kept: sqlite:///FILE or postgresql://USER@HOST/DATABASE; a journal in the sweep's folder
            when null.
    """

    name: str | None = None
    num_trials: Annotated[int, Ge(1)] = 20
    num_workers: Annotated[int, Ge(1)] = 1
    devices_per_trial: Annotated[float, Gt(0)] | None = None
    sampler: Literal["tpe", "random", "grid", "qmc", "gp", "cmaes", "nsga2"] = "tpe"
    sampler_options: dict = field(default_factory=dict)
    pruner: Literal["none", "median", "asha", "hyperband", "wilcoxon"] = "none"
    pruner_options: dict = field(default_factory=dict)
    objective: str | None = None
    mode: Literal["min", "max"] | None = None
    objectives: dict[str, Literal["min", "max"]] = field(default_factory=dict)
    repeats: Annotated[int, Ge(1)] = 1
    try_default: bool = True
    points: list[dict] = field(default_factory=list)
    space: dict[str, str] = field(default_factory=dict)
    seed: Annotated[int, Ge(0), Le(2**31 - 1)] = 0
    max_retries: Annotated[int, Ge(0)] = 3
    timeout_s: Annotated[float, Gt(0)] | None = None
    silence_s: Annotated[float, Gt(0)] | None = None
    memory_gib: Annotated[float, Gt(0)] | None = None
    keep_checkpoints: Annotated[int, Ge(0)] = 3
    storage: str | None = None


@dataclass
class Folds:
    """K-fold cross-validation: the same training once for each fold, validated where the others train. ``folds=5`` is
    short for ``folds.num_folds=5``.

    Args:
        num_folds: parts that the training and validation samples are cut into.
        stratified: each fold has the classes in the same proportion; where a sample has one class when null.
        group_column: of a table: rows that are alike there are never in two folds, and it is no feature.
        group_pattern: a regular expression found in the name of every sample, of files their path: samples that are alike
            in its first group, or in the whole of what it matches, are never in two folds.
        seed: of the cut; groups without classes are dealt out by their sizes alone, and a series by its time.
        index: trains one fold alone, counted from 0; all of them, each a run of its own, when null.
    """

    num_folds: Annotated[int, Ge(2)] = 5
    stratified: bool | None = None
    group_column: str | None = None
    group_pattern: str | None = None
    seed: Annotated[int, Ge(0), Le(2**31 - 1)] = 0
    index: Annotated[int, Ge(0)] | None = None


@dataclass
class Sampling:
    """Which training samples an epoch draws.

    Args:
        balance: 0 takes each sample once; 1 draws every class equally often, with replacement; between them, classes
            by their count to the power of 1 − balance.
    """

    balance: Fraction = 0.0


@dataclass
class ParameterGroup:
    """Parameters that are optimized in their own way.

    Args:
        match: a regular expression, found anywhere in a parameter's name; the first rule that matches counts.
        lr_factor: their learning rate over the optimizer's.
        options: further arguments of the optimizer for them, such as weight_decay or betas.
    """

    match: str
    lr_factor: Annotated[float, Ge(0)] = 1.0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class LrFinder:
    """The learning-rate range test of `runner find-lr` and ``optimizer.lr=auto``.

    Args:
        min_lr: where it starts.
        max_lr: where it ends, if the loss does not diverge before.
        num_steps: optimizer updates from one to the other.
        smoothing: memory of the running mean of the loss; 0 takes it as it is.
        stop_factor: the loss has diverged when, smoothed, it is above so many times its lowest.
        suggestion: which of the rates found ``optimizer.lr=auto`` takes; the default trained best in
            ``scripts/compare_lr_suggestions``.
    """

    min_lr: Annotated[float, Gt(0)] = 1e-7
    max_lr: Annotated[float, Gt(0)] = 10.0
    num_steps: Annotated[int, Ge(10)] = 100
    smoothing: Annotated[float, Ge(0), Lt(1)] = 0.9
    stop_factor: Annotated[float, Gt(1)] = 4.0
    suggestion: Literal["valley", "steepest", "minimum/10", "slide"] = "steepest"


@dataclass
class Debug:
    """A run that only tries something out.

    Args:
        kind: what it tries; null is a run as it is meant.
    """

    kind: Literal["one_batch", "overfit", "profile", "find_lr"] | None = None


@dataclass
class Config:
    """The whole of a composed config.

    Args:
        task: the problem: loss, metrics, decoding, figures.
        data: the data set; it chooses the task.
        model: a plain torch module.
        optimizer: called with the model's parameters.
        trainer: Lightning's; how long, and what of the data.
        checkpoint: when the state is saved, and what is kept.
        run: where the run is kept.
        regularization: what holds the model back from learning by heart.
        hardware: device, precision, memory format.
        launcher: where the workers start.
        tracking: the mirror in MLflow.
        debug: a run that only tries something out.
        scheduler: of the learning rate.
        transfer: what of the model trains.
        callbacks: further ones, by a name of your choice.
        seed: of weights, order, augmentation and cuts.
        pretrained: start from the published weights of the model's library.
        weights: start from a file: .safetensors or a weights-only .pt.
        plots: draw figures at the end.
        report: write the HTML page at the end.
        guard: what happens when the loss or a gradient is no number.
        resume: auto goes on with the run of the same name, or else of the same config, where there is one.
        guard: what happens when the loss or a gradient is no number.
        resume: auto goes on with the run of the same name, or else of the same config, where there is one.
        sweep: what `runner sweep` searches, and how; a single run leaves it alone.
        folds: K-fold cross-validation, in place of a single cut into training and validation.
        sampling: which training samples an epoch draws.
        parameter_groups: parameters with a learning rate, weight decay … of their own.
        lr_finder: the learning-rate range test, for `runner find-lr` and ``optimizer.lr=auto``.
    """

    task: Annotated[dict, NodeSpec("runner.tasks.base.Task", supplied=("model", "optimizer", "scheduler"))]
    data: Annotated[dict, NodeSpec("runner.data.base.DataModule")]
    model: Annotated[dict, NodeSpec("torch.nn.Module")]
    optimizer: Annotated[dict, NodeSpec("torch.optim.Optimizer", first=("params",), deferred=True)]
    trainer: Annotated[dict, NodeSpec("pytorch_lightning.Trainer")]
    checkpoint: Annotated[dict, NodeSpec("runner.callbacks.checkpoint.Checkpointer")]
    run: RunOptions
    regularization: Regularization
    hardware: Hardware
    launcher: Launcher
    tracking: Tracking
    debug: Debug
    scheduler: (
        Annotated[
            dict,
            NodeSpec(
                "runner.optim.schedule.Schedule",
                supplied=("total_steps", "steps_per_epoch"),
                first=("optimizer",),
                deferred=True,
            ),
        ]
        | None
    ) = None
    transfer: Annotated[dict, NodeSpec("pytorch_lightning.Callback")] | None = None
    callbacks: dict[str, Annotated[dict, NodeSpec("pytorch_lightning.Callback")]] | None = None
    seed: Annotated[int, Ge(0), Le(2**31 - 1)] = 0
    pretrained: bool = False
    weights: str | None = None
    plots: bool = True
    report: bool = True
    guard: Annotated[dict, NodeSpec("runner.callbacks.guards.NonFiniteGuard")] | None = None
    resume: Literal["auto"] | None = None
    sweep: Sweep | None = None
    folds: Folds | None = None
    sampling: Sampling | None = None
    parameter_groups: list[ParameterGroup] | None = None
    lr_finder: LrFinder | None = None
