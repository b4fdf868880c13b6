"""Logs the trained model as an exported graph without pickled code, for ``mlflow models serve``."""

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
from runner.run.state import RunState
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
    """Context in which ``torch.export`` keeps the number of steps of recurrent operations free.

    torch 2.15 derives the shapes of their outputs by a loop over the steps, which makes the number of steps a
    constant of the graph. Within this context the shapes are derived from those of the inputs; the operations
    of the graph do not change.
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
    """Return uninitialized tensors with the shapes of the outputs of a recurrent operation."""
    states = [state] if isinstance(state, Tensor) else list(state)
    size = states[0].shape[-1] * (2 if bidirectional else 1)
    outputs = steps.new_empty(steps.shape[0], steps.shape[1], size)
    return outputs, *(torch.empty_like(part) for part in states)


MODEL_NAME = "model"
REQUIREMENTS = ("mlflow", "torch", "numpy")
"""Packages for serving: the graph contains the whole model, so the package of its builder is not needed."""


@dataclass
class ModelReport:
    """The result of logging a model.

    Attributes:
        model_id: MLflow's id of the model, if it was logged.
        reason: why it was not logged.
    """

    model_id: str | None = None
    reason: str | None = None

    def __str__(self) -> str:
        return f"models:/{self.model_id}" if self.model_id else f"not logged: {self.reason}"


def log_model(run: RunDir | str | Path) -> ModelReport:
    """Log the model of the best checkpoint of a finished and mirrored run, once for each checkpoint.

    Never raises: a failure is returned, and stored in the tag ``runner.model``.

    Args:
        run: the run or its directory.
    """
    run = run if isinstance(run, RunDir) else RunDir(run)
    state, recorded = read_state(run), RunState(run)
    checkpoint = recorded.best.get("checkpoint")
    if not recorded.is_finished:
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
    except Exception as error:  # exporting runs the user's model, which may raise anything
        report.reason = f"{type(error).__name__}: {error}".strip().split("\n")[0]
        _set_model_tag(uri, state.run_id, report)
    state = read_state(run)
    state.model = {"checkpoint": checkpoint, "model_id": report.model_id, "reason": report.reason}
    write_state(run, state)
    return report


def log_torch_model(
    client: MlflowClient, run_id: str, module: nn.Module, example: np.ndarray, name: str = MODEL_NAME
) -> str:
    """Export a module and log it with its signature.

    Args:
        client: client of the store.
        run_id: MLflow's id of the run.
        module: takes a tensor of shape (N, …), float32 or, like the example, float64, and returns a tensor of
            shape (N, …). Its attribute ``any_size_dims``, if present, lists further dimensions of the input
            whose size stays free, such as the steps of a sequence.
        example: an input of shape (N, …); the batch size stays free.
        name: name of the model.

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
    # torch.export 2.15 treats dimensions of size one as constants, so free dimensions get at least size two.
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
    return str(info.model_id)


def signature_of(
    example: np.ndarray, longer: np.ndarray, outputs: np.ndarray, longer_outputs: np.ndarray
) -> ModelSignature:
    """Return the signature, in which the sizes that differ between two calls of the module are free (−1)."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    def spec(first: np.ndarray, second: np.ndarray) -> Schema:
        sizes = [size if size == other else -1 for size, other in zip(first.shape, second.shape, strict=True)]
        return Schema([TensorSpec(np.dtype(first.dtype), sizes)])

    return ModelSignature(inputs=spec(example, longer), outputs=spec(outputs, longer_outputs))


@contextmanager
def _fluent_store(uri: str) -> Iterator[None]:
    """Context in which MLflow's global functions use a store; MLflow 3.17 logs models only through them."""
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


def _set_model_tag(uri: str, run_id: str, report: ModelReport) -> None:
    from mlflow.exceptions import MlflowException

    try:
        open_store(uri).set_tag(run_id, "runner.model", str(report)[:500])
    except (MlflowException, OSError):
        return
