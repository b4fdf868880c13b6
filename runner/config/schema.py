"""The schema of a config: each field of ``Config`` is a node.

A node with ``_target_`` is checked against the constructor's signature, any other node against its dataclass
in this module. Both use the same kind of annotations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from runner.config.introspect import NodeSpec
from runner.config.tracking import Tracking

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
    """Location and name of a run.

    Args:
        root: the folder of all runs.
        name: name of the run's folder in it; date, time, model and data if null.
        tags: labels to find the run by.
    """

    root: str = "runs"
    name: str | None = None
    tags: list[str] = field(default_factory=list)


@dataclass
class EarlyStopping:
    """Stops training when the monitored metric no longer improves.

    Args:
        patience: number of validations without improvement that are tolerated.
        min_delta: smallest change that counts as an improvement.
    """

    patience: Annotated[int, Ge(0)] = 10
    min_delta: Annotated[float, Ge(0)] = 0.0


@dataclass
class Regularization:
    """Regularization settings, which other nodes refer to.

    Args:
        dropout: fraction of units or features dropped during training.
        spatial_dropout: fraction of whole channels dropped, in convolutional models.
        stochastic_depth: probability of dropping the last residual branch; earlier ones have lower
            probabilities.
        weight_decay: weight decay of the optimizer; norms and biases are exempt.
        l1: coefficient of the L1 penalty on the weights; norms and biases are exempt.
        max_norm: maximum norm of the incoming weights of each unit.
        clip_norm: maximum norm of the whole gradient.
        clip_value: maximum absolute value of each gradient element; excludes clip_norm.
        label_smoothing: fraction of the target distributed over the other classes during training.
        mixup: parameter of the Beta distribution for blending each image with another of its batch; 0
            disables MixUp.
        cutmix: the same for pasting a rectangle of another image; with both, each batch uses one of them.
        mix_epochs: number of initial epochs with MixUp or CutMix; all if null.
        input_noise: standard deviation of the noise added to the normalised inputs.
        weight_noise: standard deviation of the noise on the weights during forward and backward pass,
            relative to that of each tensor.
        ema: decay of an exponential moving average of the weights, which is evaluated and saved.
        swa: fraction of the training after which the weights at the end of each epoch are averaged; excludes
            ema.
        augment: random augmentation of training images.
        early_stopping: stops when the monitored metric no longer improves; null always trains to the end.
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
    augment: Annotated[dict[str, Any], NodeSpec()] | None = None
    early_stopping: EarlyStopping | None = None


@dataclass
class Hardware:
    """Devices, precision and memory of a run. Values that are null are chosen for the available device.

    Args:
        accelerator: type of device; auto uses the best one available.
        devices: number of devices, with one process each; all uses every GPU of the machine.
        num_nodes: number of machines with that many devices each; more than one requires launcher.rendezvous
            or a cluster.
        strategy: ddp replicates the model on each device; fsdp shards weights, gradients and optimizer state.
            Several devices always run under PyTorch's elastic agent.
        sync_batchnorm: compute batch norm statistics over the batch of all devices instead of each device's
            share.
        precision: 32 bit, or mixed precision with 16 bit (16 with loss scaling, bf16 without).
        channels_last: use the channels-last memory format, which is faster for convolutions.
        compile: apply torch.compile to the model: about a minute at the start, then faster steps on a GPU.
        num_threads: number of CPU threads.
        measure: time a few steps to choose precision and memory format, if they are null and the model is not
            small.
        micro_batch: number of samples per forward pass on each device; gradients are accumulated over the
            batch. auto uses as many as fit into memory.
        memory_gib: memory that auto may use on each device; all free memory if null.
        on_out_of_memory: halve repeats the step with half the micro-batch; fail ends the run.
        activation_checkpointing: recompute the activations of blocks in the backward pass, to save memory at
            the expense of time. true detects the blocks; a pattern of module names, such as 'layer*.*',
            selects them.
        lr_scaling: scale the learning rate by data.batch_size / reference_batch_size, or by its square root.
        reference_batch_size: batch size that optimizer.lr applies to.
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
    """Where and how the workers of a run are started.

    Args:
        kind: local uses this machine, with a single worker in this process or several under PyTorch's elastic
            agent; elastic uses the agent for a single worker too, so that it is restarted after a failure;
            slurm submits a job; ray uses the machines of a Ray cluster.
        max_restarts: how often all workers are restarted from the last checkpoint after one has failed.
        hang_after_s: time limit in seconds for a batch when there are several workers, but at least ten times
            the longest batch so far; a worker that exceeds it is restarted. null disables the limit.
        rendezvous: host:port of the rendezvous of hardware.num_nodes machines, the same on each; the machine
            with that address creates the run directory.
        wait_for_nodes_s: seconds that a machine waits for the others, or a run for resources of a Ray
            cluster.
        partition, account, qos, constraint: SLURM options, as for sbatch.
        time_min: time limit of a job in minutes; when it is reached, the job saves its state and is requeued.
        save_before_end_s: seconds before the time limit at which a job is signalled to save.
        max_requeues: how often a job is requeued.
        mem_gb: memory that a job requests on each machine.
        gpus_per_node: GPUs of each machine; hardware.devices for hardware=gpu and similar options.
        setup: shell commands to run before the workers, such as module load cuda.
        options: further options of sbatch, by their long names.
        follow: show the output of the job until it ends.
        address: address of the Ray cluster; auto finds the one this machine belongs to, local starts one
            here.
        cpus_per_worker: CPU cores for each worker, on SLURM and Ray.
        gpus_per_worker: GPUs that Ray reserves for each worker; 1 for hardware=gpu and similar options.
        spread: place Ray workers on as many machines as possible, instead of as few as possible.
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
class Sweep:
    """A hyperparameter search: trials of one config that differ in the keys of a search space.

    Args:
        name: name of the sweep's folder in run.root; model and data if null.
        num_trials: total number of trials, including those of earlier starts of the same sweep.
        num_workers: number of trials that run in parallel.
        devices_per_trial: GPUs reserved for each trial; with 0.5 two trials share one. null uses
            hardware.devices.
        sampler: Optuna sampler that suggests the next point.
        sampler_options: arguments of the sampler.
        pruner: Optuna pruner that stops unpromising trials.
        pruner_options: arguments of the pruner.
        objective: metric of the best checkpoint to optimize; the task's monitored metric if null.
        mode: whether the objective is minimized or maximized; defined by the task for its own metrics.
        objectives: several metrics to optimize, each with min or max, instead of one; also num_parameters,
            num_trainable and seconds.
        repeats: number of runs per trial, with consecutive seeds; the objective is their mean.
        try_default: run the config without changes as trial 0.
        points: points to try first, each a mapping of keys to values.
        space: keys and their values in Hydra's sweep grammar, in addition to those of the command line.
        seed: seed of the sampler.
        max_retries: how often a trial whose process was killed is resumed from its last checkpoint.
        timeout_s: time limit of a trial in seconds, including all attempts.
        silence_s: seconds without a batch after which an attempt is considered hung and is restarted.
        memory_gib: address space that a trial may use in addition to that of the libraries.
        keep_checkpoints: number of best trials whose checkpoints are kept.
        storage: storage of the study: sqlite:///FILE or postgresql://USER@HOST/DATABASE; a journal in the
            sweep's folder if null.
    """

    name: str | None = None
    num_trials: Annotated[int, Ge(1)] = 20
    num_workers: Annotated[int, Ge(1)] = 1
    devices_per_trial: Annotated[float, Gt(0)] | None = None
    sampler: Literal["tpe", "random", "grid", "qmc", "gp", "cmaes", "nsga2"] = "tpe"
    sampler_options: dict[str, Any] = field(default_factory=dict)
    pruner: Literal["none", "median", "asha", "hyperband", "wilcoxon"] = "none"
    pruner_options: dict[str, Any] = field(default_factory=dict)
    objective: str | None = None
    mode: Literal["min", "max"] | None = None
    objectives: dict[str, Literal["min", "max"]] = field(default_factory=dict)
    repeats: Annotated[int, Ge(1)] = 1
    try_default: bool = True
    points: list[dict[str, Any]] = field(default_factory=list)
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
    """K-fold cross-validation: one run per fold, validated on that fold and trained on the others.

    ``folds=5`` is short for ``folds.num_folds=5``.

    Args:
        num_folds: number of folds that the training and validation samples are split into.
        stratified: keep the class proportions in each fold; if null, whenever each sample has one class.
        group_column: column of a table; rows with equal values are kept in one fold, and it is not used as a
            feature.
        group_pattern: regular expression searched in the name of every sample, or the path of a file; samples
            with the same first group, or the same whole match, are kept in one fold.
        seed: seed of the split; groups without classes are only distributed by size, and series are split by
            time.
        index: train a single fold, counted from 0; null trains all, each as a separate run.
    """

    num_folds: Annotated[int, Ge(2)] = 5
    stratified: bool | None = None
    group_column: str | None = None
    group_pattern: str | None = None
    seed: Annotated[int, Ge(0), Le(2**31 - 1)] = 0
    index: Annotated[int, Ge(0)] | None = None


@dataclass
class Sampling:
    """Sampling of the training set.

    Args:
        balance: 0 uses each sample once per epoch; 1 draws every class equally often, with replacement;
            values in between draw classes in proportion to their count to the power of 1 − balance.
    """

    balance: Fraction = 0.0


@dataclass
class ParameterGroup:
    """Parameters with optimizer settings of their own.

    Args:
        match: regular expression searched in the parameter names; the first matching group applies.
        lr_factor: factor of the optimizer's learning rate.
        options: further optimizer arguments for the group, such as weight_decay or betas.
    """

    match: str
    lr_factor: Annotated[float, Ge(0)] = 1.0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class LrFinder:
    """The learning-rate range test of `runner find-lr` and ``optimizer.lr=auto``.

    Args:
        min_lr: initial learning rate.
        max_lr: final learning rate, unless the loss diverges before.
        num_steps: number of optimizer updates.
        smoothing: decay of the exponential moving average of the loss; 0 disables smoothing.
        stop_factor: the loss has diverged when its average exceeds its minimum by this factor.
        suggestion: which suggested learning rate ``optimizer.lr=auto`` uses; the default trained best in
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
    """Debug modes of a run.

    Args:
        kind: the debug mode; null is a normal run.
    """

    kind: Literal["one_batch", "overfit", "profile", "find_lr"] | None = None


@dataclass
class Config:
    """A complete config.

    Args:
        task: the task: loss, metrics, decoding, figures.
        data: the data set, whose option selects the task.
        model: a plain torch module.
        optimizer: called with the model's parameters.
        trainer: Lightning's trainer: length of the training, and limits on the data.
        checkpoint: when checkpoints are saved, and which are kept.
        run: location and name of the run.
        regularization: regularization settings, which other nodes refer to.
        hardware: devices, precision and memory.
        launcher: where and how the workers are started.
        tracking: tracking with MLflow.
        debug: debug modes.
        scheduler: learning-rate schedule.
        transfer: which parameters of the model are trained.
        callbacks: further callbacks, under names of your choice.
        seed: seed of weights, sample order, augmentation and splits.
        pretrained: start from the pretrained weights of the model's library.
        weights: start from a file: .safetensors or a weights-only .pt.
        plots: draw figures at the end.
        report: write an HTML report at the end.
        auto: derive settings that the user leaves open from facts of the data and the machine; null does so
            unless an experiment file is given.
        baselines: also report classical models that cost seconds, such as logistic regression.
        guard: what to do when the loss or a gradient is not finite.
        resume: auto resumes the run of the same name, or else of the same config, if one exists.
        sweep: settings of `runner sweep`.
        folds: K-fold cross-validation instead of a single validation split.
        sampling: sampling of the training set.
        parameter_groups: parameters with a learning rate, weight decay … of their own.
        lr_finder: the learning-rate range test, for `runner find-lr` and ``optimizer.lr=auto``.
    """

    task: Annotated[
        dict[str, Any], NodeSpec("runner.tasks.base.Task", supplied=("model", "optimizer", "scheduler"))
    ]
    data: Annotated[dict[str, Any], NodeSpec("runner.data.base.DataModule")]
    model: Annotated[dict[str, Any], NodeSpec("torch.nn.Module")]
    optimizer: Annotated[dict[str, Any], NodeSpec("torch.optim.Optimizer", first=("params",), deferred=True)]
    trainer: Annotated[dict[str, Any], NodeSpec("pytorch_lightning.Trainer")]
    checkpoint: Annotated[dict[str, Any], NodeSpec("runner.callbacks.checkpoint.Checkpointer")]
    run: RunOptions
    regularization: Regularization
    hardware: Hardware
    launcher: Launcher
    tracking: Tracking
    debug: Debug
    scheduler: (
        Annotated[
            dict[str, Any],
            NodeSpec(
                "runner.optim.schedule.Schedule",
                supplied=("total_steps", "steps_per_epoch"),
                first=("optimizer",),
                deferred=True,
            ),
        ]
        | None
    ) = None
    transfer: Annotated[dict[str, Any], NodeSpec("pytorch_lightning.Callback")] | None = None
    callbacks: dict[str, Annotated[dict[str, Any], NodeSpec("pytorch_lightning.Callback")]] | None = None
    seed: Annotated[int, Ge(0), Le(2**31 - 1)] = 0
    pretrained: bool = False
    weights: str | None = None
    plots: bool = True
    report: bool = True
    auto: bool | None = None
    baselines: bool = True
    guard: Annotated[dict[str, Any], NodeSpec("runner.callbacks.non_finite_guard.NonFiniteGuard")] | None = (
        None
    )
    resume: Literal["auto"] | None = None
    sweep: Sweep | None = None
    folds: Folds | None = None
    sampling: Sampling | None = None
    parameter_groups: list[ParameterGroup] | None = None
    lr_finder: LrFinder | None = None
