"""Python functions for runner's commands, for notebooks and scripts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runner.config.overrides import as_overrides, flatten
from runner.inference.load import Run, load_run
from runner.launch.local import launch
from runner.launch.resume import earlier_run
from runner.launch.run_config import compose_with_paths
from runner.launch.start import begin

__all__ = ["evaluate", "load_run", "predict", "train"]


def train(
    *overrides: str,
    experiment: str | os.PathLike | None = None,
    config_dirs: Sequence[str | os.PathLike] = (),
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
    source = [] if experiment is None else [os.fspath(experiment)]
    directory = begin(
        lambda: compose_with_paths(words, experiment, folders), ["runner", "train", *source, *words]
    )
    if directory is None:  # resume=auto, and the run has no work left
        return Run(earlier_run(compose_with_paths(words, experiment, folders)))
    launch(directory)
    return Run(directory)


def evaluate(
    run: str | Path = "latest", split: str = "test", root: str | Path = "runs", **values: Any
) -> dict[str, float]:
    """Metrics of a run's best checkpoint on a split.

    Args:
        run: directory, name, MLflow run id, or ``latest``.
        split: ``train``, ``val`` or ``test``.
        values: overrides of the run's config: ``data={"root": "other/photos"}``.
    """
    return load_run(run, root).evaluate(split, dict(flatten(values)))


def predict(run: str | Path, inputs: Sequence[str] | str, root: str | Path = "runs") -> list[dict[str, Any]]:
    """Returns one row per input; see ``runner predict``."""
    return load_run(run, root).predict([inputs] if isinstance(inputs, str) else list(inputs))
