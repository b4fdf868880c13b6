"""Logs the trained model so that ``mlflow models serve`` serves it: a traced graph without pickled code."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from runner.run.directory import RunDir, root_of
from runner.run.files import read_json
from runner.run.status import read_status
from runner.tracking.metric_tail import read_state, write_state
from runner.tracking.store import default_uri, open_store, use_environment

if TYPE_CHECKING:
    import numpy as np
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature
    from torch import nn

__all__ = ["ModelReport", "any_num_steps", "log_model", "log_torch_model"]

KERNELS = ("lstm", "gru", "rnn_tanh", "rnn_relu")


@contextmanager
def any_num_steps() -> Iterator[None]:
    """Lets ``torch.export`` keep the number of steps of recurrent operations free.

    PyTorch derives the shapes of their outputs by a loop over the steps, which makes the number of steps a
    constant of the graph. Within this context the shapes come from those of the inputs; the graph's
    operations stay the same.
    """
    ops = [getattr(torch.ops.aten, name).input for name in KERNELS]
    before = [dict(op.py_kernels) for op in ops]
    try:
        for op in ops:
            op.py_kernels.update(dict.fromkeys(op.py_kernels, empty_outputs))
            op._dispatch_cache.clear()
        yield
    finally:
        for op, kernels in zip(ops, before, strict=True):
            op.py_kernels.update(kernels)
            op._dispatch_cache.clear()


def empty_outputs(
    steps: Tensor, state: Any, weights: Any, bias: bool, num_layers: int, dropout: float, training: bool,
    bidirectional: bool, batch_first: bool,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Tensors of the right shapes, without values."""
    states = [state] if isinstance(state, Tensor) else list(state)
    size = states[0].shape[-1] * (2 if bidirectional else 1)
    outputs = steps.new_empty(steps.shape[0], steps.shape[1], size)
    return outputs, *(torch.empty_like(part) for part in states)


MODEL_NAME = "model"
# The graph holds all there is of the model, so serving it needs no package of its builder.
REQUIREMENTS = ("mlflow", "torch", "numpy")


@dataclass
class ModelReport:
    """What became of a run's model: its id in MLflow, or why it has none."""

    model_id: str | None = None
    reason: str | None = None

    def __str__(self) -> str:
        return f"models:/{self.model_id}" if self.model_id else f"not logged: {self.reason}"


def log_model(run: RunDir | str | Path) -> ModelReport:
    """Logs the best checkpoint's model of a finished run that was mirrored; once for each checkpoint.

    Never raises: a model that cannot be exported is reported in the report and in the tag ``runner.model``.
    """
    run = run if isinstance(run, RunDir) else RunDir(run)
    state = read_state(run)
    checkpoint = (read_json(run.results_path, {}).get("best") or {}).get("checkpoint")
    if read_status(run).state != "finished":
        return ModelReport(reason="the run has not finished")
    if state.run_id is None:
        return ModelReport(reason="the run is not in MLflow")
    if not checkpoint:
        return ModelReport(reason="the run kept no checkpoint")
    known = state.model or {}
    if known.get("checkpoint") == checkpoint:
        return ModelReport(known.get("model_id"), known.get("reason"))
    uri = state.uri or default_uri(root_of(run))
    report = ModelReport()
    try:
        from runner.inference.load import load_model

        module, example, _ = load_model(run.path)
        client = open_store(uri)
        report.model_id = log_torch_model(client, state.run_id, module, example)
    except Exception as error:  # tracing runs the user's model: anything can come out of it
        report.reason = f"{type(error).__name__}: {error}".strip().split("\n")[0]
        _tell(uri, state.run_id, report)
    state = read_state(run)
    state.model = {"checkpoint": checkpoint, "model_id": report.model_id, "reason": report.reason}
    write_state(run, state)
    return report


def log_torch_model(
    client: MlflowClient, run_id: str, module: nn.Module, example: np.ndarray, name: str = MODEL_NAME
) -> str:
    """Traces ``module`` and logs it with its signature.

    Args:
        module: takes one tensor (N, …), float32 or of the example's float64, and returns one tensor (N, …).
            Its ``any_size_dims``, if it has some, are further dimensions of its input whose size stays free,
            such as the steps of a sequence.
        example: (N, …), an input it takes; the batch's size stays free.

    Returns:
        MLflow's id of the model.
    """
    use_environment()
    import mlflow.pytorch
    import numpy as np
    import torch

    from runner.tracking.model import any_num_steps

    module = module.cpu().eval()
    free_dims = (0, *getattr(module, "any_size_dims", ()))
    # A dimension of size one is traced as a constant: two samples, of two steps, keep these sizes free.
    shape = [
        2 if dim == 0 else max(size, 2) if dim in free_dims else size
        for dim, size in enumerate(example.shape)
    ]
    dtype = np.float64 if example.dtype == np.float64 else np.float32
    example = np.ascontiguousarray(np.resize(example, shape), dtype=dtype)
    with torch.no_grad():
        outputs = module(torch.from_numpy(example)).numpy()
        longer = np.resize(example, [size + (dim in free_dims) for dim, size in enumerate(shape)])
        longer_outputs = module(torch.from_numpy(longer)).numpy()
    with _fluent_store(client.tracking_uri), any_num_steps():
        info = mlflow.pytorch.log_model(
            module,
            name=name,
            run_id=run_id,
            input_example=example,
            signature=signature_of(example, longer, outputs, longer_outputs),
            serialization_format="pt2",
            pip_requirements=[f"{package}=={_version(package)}" for package in REQUIREMENTS],
        )
    return info.model_id


def signature_of(
    example: np.ndarray, longer: np.ndarray, outputs: np.ndarray, longer_outputs: np.ndarray
) -> ModelSignature:
    """Sizes are free (−1) where they differ between two calls of the module."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    def spec(one: np.ndarray, other: np.ndarray) -> Schema:
        sizes = [
            size if size == another else -1 for size, another in zip(one.shape, other.shape, strict=True)
        ]
        return Schema([TensorSpec(np.dtype(one.dtype), sizes)])

    return ModelSignature(inputs=spec(example, longer), outputs=spec(outputs, longer_outputs))


@contextmanager
def _fluent_store(uri: str):
    """Points MLflow's module-wide functions to a store for a while: logging a model has no other way."""
    import mlflow

    before = os.environ.get("MLFLOW_TRACKING_URI"), mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before[1])
        if before[0] is None:
            os.environ.pop("MLFLOW_TRACKING_URI", None)


def _version(package: str) -> str:
    return metadata.version(package).partition("+")[0]


def _tell(uri: str, run_id: str, report: ModelReport) -> None:
    from mlflow.exceptions import MlflowException

    try:
        open_store(uri).set_tag(run_id, "runner.model", str(report)[:500])
    except (MlflowException, OSError):
        return
