"""Python functions for runner's commands, for notebooks and scripts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runner.config.overrides import as_overrides
from runner.errors import RunNotFoundError
from runner.inference.load import Run, load_run
from runner.launch.local import launch
from runner.launch.resume import earlier_run
from runner.launch.run_config import compose_with_paths
from runner.launch.start import prepare_run
from runner.run.flatten import flatten

__all__ = ["evaluate", "load_run", "predict", "train"]


def train(
    *overrides: str,
    experiment: str | os.PathLike[str] | None = None,
    config_dirs: Sequence[str | os.PathLike[str]] = (),
    **values: Any,
) -> Run:
    """Trains a model, evaluates its best checkpoint, and returns the run.

    ``train("model=mlp", "optimizer.lr=0.01")`` and ``train(model="mlp", optimizer={"lr": 0.01})`` are
    equivalent.

    Args:
        overrides: overrides in Hydra's grammar, as on the command line.
        experiment: a YAML file of values, as on the command line.
        config_dirs: additional folders with config groups.
        values: overrides as Python values; a dict sets the keys of a node.

    Raises:
        ConfigError: contains every error in the config.
        RunnerError: the run failed.
        Interrupted: a signal ended the run, whose state is saved.
    """
    words = [*overrides, *as_overrides(values)]
    folders = [os.fspath(folder) for folder in config_dirs]
    source = None if experiment is None else os.fspath(experiment)
    command = ["runner", "train", *([] if source is None else [source]), *words]
    directory = prepare_run(lambda chosen: compose_with_paths([*chosen, *words], source, folders), command)
    if directory is None:  # resume=auto, and the run has no work left
        earlier = earlier_run(compose_with_paths(words, source, folders))
        if earlier is None:
            raise RunNotFoundError("the earlier run was removed in the meantime. Start the training again.")
        return Run(earlier)
    launch(directory)
    return Run(directory)


def evaluate(
    run: str | Path = "latest", split: str = "test", root: str | Path = "runs", **values: Any
) -> dict[str, float]:
    """Computes the metrics of a run's best checkpoint on a split.

    Args:
        run: directory, name, MLflow run id, or ``latest``.
        split: ``train``, ``val`` or ``test``.
        root: folder of the runs, in which names are looked up.
        values: overrides of the run's config: ``data={"root": "other/photos"}``.

    Returns:
        Metric name, such as ``test/accuracy``, → value.

    Raises:
        RunNotFoundError: there is no such run.
    """
    return load_run(run, root).evaluate(split, dict(flatten(values)))


def predict(run: str | Path, inputs: Sequence[str] | str, root: str | Path = "runs") -> list[dict[str, Any]]:
    """Predicts new inputs with a run's best checkpoint; see ``runner predict``.

    Args:
        run: directory, name, MLflow run id, or ``latest``.
        inputs: one input or several, in the format of the run's data set: paths of images, texts, tables.
        root: folder of the runs, in which names are looked up.

    Returns:
        One dict per input.

    Raises:
        RunNotFoundError: there is no such run.
        DataError: the data set cannot read such inputs.
    """
    return load_run(run, root).predict([inputs] if isinstance(inputs, str) else list(inputs))
