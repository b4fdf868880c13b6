"""Python functions for runner's commands, for notebooks and scripts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from runner.config.overrides import as_overrides
from runner.errors import RunNotFoundError, UserError
from runner.launch.local import launch
from runner.launch.resume import earlier_run, prepare_resume
from runner.launch.run_config import compose_with_paths
from runner.launch.start import prepare_run
from runner.notebook.data import Data
from runner.notebook.figures import Figures
from runner.notebook.results import RangeTest, Report, Sweep, comparison
from runner.notebook.run import Run, load_run
from runner.run.directory import RunDir, find_run
from runner.run.flatten import flatten

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "compare",
    "evaluate",
    "explain",
    "find_lr",
    "load_data",
    "load_run",
    "predict",
    "report",
    "resume",
    "sweep",
    "train",
]

Reference = str | os.PathLike[str] | Run
"""A run: directory, name, MLflow run id, ``latest``, or the object."""


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
    run: Reference = "latest", split: str = "test", root: str | Path = "runs", **values: Any
) -> dict[str, float]:
    """Computes the metrics of a run's best checkpoint on a split.

    Args:
        run: directory, name, MLflow run id, ``latest``, or a run.
        split: ``train``, ``val`` or ``test``.
        root: folder of the runs, in which names are looked up.
        values: overrides of the run's config: ``data={"root": "other/photos"}``.

    Returns:
        Metric name, such as ``test/accuracy``, → value.

    Raises:
        RunNotFoundError: there is no such run.
    """
    return Run(directory_of(run, root)).evaluate(split, dict(flatten(values)))


def predict(run: Reference, inputs: Any, root: str | Path = "runs") -> list[dict[str, Any]]:
    """Predicts new inputs with a run's best checkpoint; see ``runner predict``.

    Args:
        run: directory, name, MLflow run id, ``latest``, or a run.
        inputs: one input or several, in the format of the run's data set: paths of images, texts, tables; or
            images, arrays, tensors and DataFrames, see ``Run.predict``.
        root: folder of the runs, in which names are looked up.

    Returns:
        One dict per input.

    Raises:
        RunNotFoundError: there is no such run.
        DataError: the data set cannot read such inputs.
    """
    return Run(directory_of(run, root)).predict(inputs)


def directory_of(run: Reference, root: str | Path) -> RunDir:
    return run.directory if isinstance(run, Run) else find_run(os.fspath(run), root)


def resume(run: Reference = "latest", *overrides: str, root: str | Path = "runs", **values: Any) -> Run:
    """Continues an interrupted run, or trains a finished one longer; see ``runner resume``.

    Args:
        run: directory, name, MLflow run id, ``latest``, or a run.
        overrides: changed values: ``"trainer.max_epochs=20"``.
        root: folder of the runs, in which names are looked up.
        values: changed values as Python values.

    Raises:
        RunNotFoundError: there is no such run.
        UserError: the run is still running, or cannot be resumed with these values.
    """
    from runner.config.checks.check import check
    from runner.config.compose import compose
    from runner.launch.run_config import with_absolute_paths

    directory = directory_of(run, root)
    words = [*overrides, *as_overrides(values)]
    composition = None
    if words:
        composition = compose(words, directory.config_path)
        check(with_absolute_paths(composition, directory))
    if prepare_resume(directory, composition):
        launch(directory)
    return Run(directory)


def compare(*runs: Reference, root: str | Path = "runs") -> pd.DataFrame:
    """Returns a table with a column per run: config values that differ, and all metrics.

    Args:
        runs: two runs or more.
        root: folder of the runs, in which names are looked up.

    Raises:
        RunNotFoundError: there is no such run.
        UserError: there are fewer than two different runs.
    """
    directories = list(dict.fromkeys(directory_of(run, root) for run in runs))
    if len(directories) < 2:
        raise UserError("compare takes two runs or more, all different.")
    return comparison(directories)


def explain(
    run: Reference = "latest", inputs: Sequence[str] = (), root: str | Path = "runs", **options: Any
) -> Figures:
    """Explains predictions of a run's best checkpoint; see ``runner explain``.

    Args:
        run: directory, name, MLflow run id, ``latest``, or a run.
        inputs: inputs as for ``runner predict``; samples of the validation split if empty.
        root: folder of the runs, in which names are looked up.
        options: of ``runner.explain.options.ExplainOptions``: ``method="grad_cam", samples=4``.

    Returns:
        The figures, which are also files in the run's folder ``explanations``.

    Raises:
        RunNotFoundError: there is no such run.
        UserError: an option is unknown, or the model does not support the method.
    """
    from dataclasses import fields

    from runner.explain.explain import explain as compute
    from runner.explain.options import ExplainOptions
    from runner.explain.write import write_explained

    known = [field.name for field in fields(ExplainOptions)]
    if unknown := sorted(set(options) - set(known)):
        raise UserError(f"explain has no option {unknown[0]!r}. Valid: {', '.join(known)}.")
    explained = compute(directory_of(run, root), list(inputs), ExplainOptions(**options))
    folder = explained.run.explanations / explained.method
    written = write_explained(explained, folder)
    return Figures({path.stem: path for path in written if path.suffix == ".png"})


def report(run: Reference = "latest", root: str | Path = "runs") -> Report:
    """Writes the report page of a run, and returns its path.

    Args:
        run: directory, name, MLflow run id, ``latest``, or a run.
        root: folder of the runs, in which names are looked up.

    Raises:
        RunNotFoundError: there is no such run.
    """
    from runner.report.page import write_report

    return Report(Path(write_report(directory_of(run, root))))


def sweep(
    *overrides: str,
    experiment: str | os.PathLike[str] | None = None,
    config_dirs: Sequence[str | os.PathLike[str]] = (),
    **values: Any,
) -> Sweep:
    """Searches for hyperparameters, and returns the sweep; see ``runner sweep``.

    ``sweep("model=mlp", "optimizer.lr=interval(1e-4,1e-1)", sweep={"num_trials": 20})``

    Args:
        overrides: overrides in Hydra's grammar, with the space of the search.
        experiment: a YAML file of values, as on the command line.
        config_dirs: additional folders with config groups.
        values: overrides as Python values; a dict sets the keys of a node.

    Raises:
        ConfigError: contains every error in the config.
        RunFailedError: no trial was completed.
    """
    from runner.sweep.request import make_request
    from runner.sweep.run import Sweeping
    from runner.sweep.view import SweepView

    words = [*overrides, *as_overrides(values)]
    source = None if experiment is None else os.fspath(experiment)
    request = make_request(words, source, [os.fspath(folder) for folder in config_dirs])
    console = Console(highlight=False, soft_wrap=True)
    views: list[SweepView] = []

    def make_view(_sweep: Any, queue: Any) -> SweepView:
        max_epochs = sweeping.plain["trainer"].get("max_epochs")
        views.append(SweepView(queue, list(request.objectives), console, max_epochs))
        return views[-1]

    sweeping = Sweeping(request, ["runner", "sweep", *([source] if source else []), *words], make_view)
    try:
        sweeping.run()
    finally:
        for view in views:
            view.close()
    return Sweep(sweeping.sweep)


def find_lr(
    *overrides: str,
    experiment: str | os.PathLike[str] | None = None,
    config_dirs: Sequence[str | os.PathLike[str]] = (),
    **values: Any,
) -> RangeTest:
    """Tests a range of learning rates: ``find_lr("model=resnet34").plot()``; see ``runner find-lr``.

    Args:
        overrides: overrides in Hydra's grammar, as on the command line.
        experiment: a YAML file of values, as on the command line.
        config_dirs: additional folders with config groups.
        values: overrides as Python values; a dict sets the keys of a node.

    Raises:
        ConfigError: contains every error in the config.
        RunFailedError: the test failed.
    """
    from runner.config.checks.check import check
    from runner.launch.local import prepare

    words = [*overrides, *as_overrides(values), "debug.kind=find_lr"]
    source = None if experiment is None else os.fspath(experiment)
    composition = compose_with_paths(words, source, [os.fspath(folder) for folder in config_dirs])
    check(composition)
    directory = prepare(composition, ["runner", "find-lr", *([source] if source else []), *words])
    results = launch(directory) or {}
    return RangeTest(directory, dict(results.get("find_lr", {})))


def load_data(*overrides: str, **values: Any) -> Data:
    """Returns the data set of a config: ``load_data("digits").show_batch()``.

    Args:
        overrides: overrides in Hydra's grammar; a name without ``=`` is a data option.
        values: overrides as Python values.

    Raises:
        ConfigError: the overrides or the data have problems.
    """
    from runner.config.checks.check import data_problems
    from runner.config.compose import compose
    from runner.errors import ConfigError
    from runner.training.components import make_data, resolve

    words = [word if "=" in word else f"data={word}" for word in overrides]
    composition = compose([*words, *as_overrides(values)])
    if problems := data_problems(composition):
        raise ConfigError(problems)
    return Data(make_data(resolve(composition.config, None)))
