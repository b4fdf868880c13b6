"""Exported sequence models: the same answers as in use, for padded sequences of any length."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from runner.inference.load import Served
from runner.models.recurrent.network import GRU, LSTM, RNN
from runner.models.recurrent.seq2seq import Seq2Seq
from runner.tasks.classification import BinaryClassificationTask, ClassificationTask
from runner.tasks.forecasting import ForecastingTask
from runner.tasks.labelling import LabellingTask
from runner.tasks.language import LanguageTask
from runner.tasks.regression import RegressionTask
from runner.tracking.mirror import sync
from runner.tracking.model import any_num_steps, log_torch_model
from runner.tracking.store import default_uri, open_store

KINDS = [LSTM, GRU, RNN]
POOLINGS = ["last", "mean", "max", "attention"]
TOKENS, NUMBERS = {"vocab_size": 9}, {"num_features": 3}
LENGTHS = [[5, 1, 4, 2], [1], [13, 7, 30, 1, 1, 22]]
"""Of the sequences in each batch: with some of a single step, and longer ones than the example that is
traced.
"""


def batch(lengths: list[int], steps: dict[str, int]) -> Tensor:
    """Sequences in one tensor, padded as the data modules pad them: ids with 0, numbers with NaN."""
    generator = torch.Generator().manual_seed(len(lengths))
    if "vocab_size" in steps:
        inputs = torch.randint(1, 9, (len(lengths), max(lengths)), generator=generator).float()
    else:
        inputs = torch.randn(len(lengths), max(lengths), 3, generator=generator)
    for row, length in enumerate(lengths):
        inputs[row, length:] = 0 if "vocab_size" in steps else torch.nan
    return inputs


def reloaded(module: nn.Module, example: Tensor) -> nn.Module:
    """The graph as MLflow stores it and loads it."""
    free = [{dim: torch.export.Dim.AUTO for dim in (0, *module.any_size_dims)}]
    with any_num_steps():
        program = torch.export.export(module, (example,), dynamic_shapes=free)
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    return torch.export.load(file).module()


@torch.no_grad()
def assert_exported_alike(task: nn.Module, steps: dict[str, int], per_step: bool = False) -> None:
    module = Served(task, nn.Identity()).eval()
    loaded = reloaded(module, torch.zeros_like(batch([5, 5], steps)))
    for lengths in LENGTHS:
        inputs = batch(lengths, steps)
        found = loaded(inputs)
        torch.testing.assert_close(found, module(inputs), atol=1e-5, rtol=1e-5)
        for row, length in enumerate(lengths):  # alone, a sequence has no padding at all
            alone = module(inputs[row : row + 1, :length])[0]
            torch.testing.assert_close(
                found[row, :length] if per_step else found[row], alone, atol=1e-5, rtol=1e-5
            )


def made(kind: type[nn.Module], num_outputs: int, **options) -> nn.Module:
    torch.manual_seed(0)
    return kind(num_outputs, hidden_size=6, **options)


ALL = list(itertools.product(KINDS, POOLINGS, [False, True], [1, 2, 3], [TOKENS, NUMBERS]))


def is_fast(
    kind: type[nn.Module], pooling: str, bidirectional: bool, num_layers: int, steps: dict[str, int]
) -> bool:
    """Every kind, every pooling, both kinds of steps and both directions occur; the rest are slow tests."""
    number = KINDS.index(kind) + POOLINGS.index(pooling)
    if number % 3 != 0 or steps is not (TOKENS, NUMBERS)[number % 2]:
        return False
    return num_layers == (2 if bidirectional else 1)


def slow_unless(fast: bool, *values: object) -> object:
    """Return a parameter set that is a slow test if a fast one resembles it."""
    return pytest.param(*values, marks=[] if fast else pytest.mark.slow)


@pytest.mark.parametrize(
    ("kind", "pooling", "bidirectional", "num_layers", "steps"),
    [slow_unless(is_fast(*values), *values) for values in ALL],
)
def test_output_per_sequence(kind, pooling, bidirectional, num_layers, steps):
    options = {"pooling": pooling, "bidirectional": bidirectional, "num_layers": num_layers}
    model = made(kind, 3, **steps, **options)
    assert_exported_alike(ClassificationTask(model, class_names=["a", "b", "c"]), steps)


@pytest.mark.parametrize(
    ("kind", "bidirectional", "num_layers"),
    [
        slow_unless(num_layers == 3 or (kind is LSTM and not bidirectional), kind, bidirectional, num_layers)
        for kind in KINDS
        for bidirectional, num_layers in [(False, 1), (True, 1), (True, 3)]
    ],
)
def test_output_per_step(kind, bidirectional, num_layers):
    model = made(kind, 3, **TOKENS, per_step=True, bidirectional=bidirectional, num_layers=num_layers)
    assert_exported_alike(LabellingTask(model, class_names=["a", "b", "c"]), TOKENS, per_step=True)


@pytest.mark.parametrize(
    ("kind", "pooling"),
    [
        slow_unless(pooling == fast, kind, pooling)
        for kind, fast in zip(KINDS, ["last", "max", "last"], strict=True)
        for pooling in ("last", "max")
    ],
)
def test_numeric_inputs_and_two_classes(kind, pooling):
    model = made(kind, 1, **NUMBERS, pooling=pooling, bidirectional=True)
    assert_exported_alike(RegressionTask(model, target_mean=[3.0], target_std=[2.0]), NUMBERS)
    assert_exported_alike(BinaryClassificationTask(model, class_names=["a", "b"]), NUMBERS)


@pytest.mark.parametrize(
    ("kind", "num_layers"),
    [
        slow_unless(num_layers == 2 or kind is LSTM, kind, num_layers)
        for kind in KINDS
        for num_layers in (1, 2)
    ],
)
def test_next_token(kind, num_layers):
    model = made(kind, 9, **TOKENS, per_step=True, num_layers=num_layers)
    assert_exported_alike(LanguageTask(model), TOKENS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bidirectional", [False, True])
@torch.no_grad()
def test_forecasts(kind, bidirectional):
    """Windows of a series have one length; it need not be that of training."""
    model = made(kind, 4, **NUMBERS, bidirectional=bidirectional)
    task = ForecastingTask(model, horizon_steps=2, target_columns=[0, 2], target_names=["a", "b"],
                           target_mean=[5.0, 1.0], target_std=[2.0, 3.0])  # fmt: skip
    module = Served(task, nn.Identity()).eval()
    loaded = reloaded(module, torch.zeros(2, 5, 3))
    for lengths in ([5, 5], [1], [30, 30, 30]):
        inputs = batch(lengths, NUMBERS)
        torch.testing.assert_close(loaded(inputs), module(inputs), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("steps", [TOKENS, NUMBERS], ids=["tokens", "numbers"])
@pytest.mark.parametrize("length", [1, 5])
def test_mlflow_model_accepts_any_length(make_run, root, steps, length):
    import mlflow

    client = open_store(default_uri(root))
    run_id = sync(make_run()).run_id
    model = made(LSTM, 3, **steps, bidirectional=True, pooling="max")
    module = Served(ClassificationTask(model, class_names=["a", "b", "c"]), nn.Identity()).eval()
    example = np.zeros(batch([length, length], steps).shape, np.float32)
    found = client.get_logged_model(log_torch_model(client, run_id, module, example))
    loaded = mlflow.pyfunc.load_model(str(Path(found.artifact_location.removeprefix("file://"))))
    assert loaded.metadata.signature.inputs.inputs[0].shape == ((-1, -1) if steps is TOKENS else (-1, -1, 3))
    assert loaded.metadata.signature.outputs.inputs[0].shape == (-1, 3)
    for lengths in LENGTHS:
        inputs = batch(lengths, steps)
        with torch.no_grad():
            np.testing.assert_allclose(loaded.predict(inputs.numpy()), module(inputs).numpy(), atol=1e-5)


@pytest.mark.parametrize("units", ["lstm", "gru", "rnn"])
def test_export_does_not_affect_training_shapes(units):
    """After an export PyTorch's own kernels are back."""
    before = [
        dict(getattr(torch.ops.aten, name).input.py_kernels)
        for name in ("lstm", "gru", "rnn_tanh", "rnn_relu")
    ]
    with pytest.raises(ZeroDivisionError), any_num_steps():
        raise ZeroDivisionError
    after = [
        dict(getattr(torch.ops.aten, name).input.py_kernels)
        for name in ("lstm", "gru", "rnn_tanh", "rnn_relu")
    ]
    assert after == before
    assert Seq2Seq(5, 6, units, 4, 4)(torch.ones(2, 3), torch.ones(2, 2)).shape == (2, 2, 5)
