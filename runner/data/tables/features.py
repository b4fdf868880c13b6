"""Data sets that are arrays of features; the diabetes data set.

Diabetes: ten measurements of 442 patients and the progression of the disease after one year (Efron, Hastie,
Johnstone, Tibshirani: Least angle regression, Annals of Statistics, 2004). Included in scikit-learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Unpack

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from runner.data.base import DataModule, LoaderOptions, split_indices
from runner.data.facts import Facts, digest_tensors
from runner.data.split import ArraySource, Split
from runner.data.standardize import Standardize

__all__ = ["DiabetesDataModule", "FeatureArrayDataModule", "target_statistics"]


def target_statistics(targets: Tensor) -> dict[str, list[float]]:
    """Return the mean and standard deviation of training targets ``(N, K)``, by which regression scales."""
    targets = targets.double()
    return {"target_mean": targets.mean(0).tolist(), "target_std": targets.std(0, correction=0).tolist()}


class FeatureArrayDataModule(DataModule):
    """Base class for arrays of features ``(N, F)`` in their original units.

    Features are standardised on the device by the statistics of the training split. A subclass sets the class
    attributes below and implements ``read``.

    Args:
        val_fraction, test_fraction: fractions of all samples, split at random and stratified by class.
        split_seed: seed of the random split.

    Attributes:
        title: name of the data set.
        feature_names: names of the F features, and of the columns of a CSV file to predict.
        class_names: class names in the order of their ids; empty for regression.
        target_names: names of the K target columns of a regression.
    """

    title: ClassVar[str]
    feature_names: ClassVar[tuple[str, ...]]
    class_names: ClassVar[tuple[str, ...]] = ()
    target_names: ClassVar[tuple[str, ...]] = ()
    extra_facts = ("feature_names", "target_names", "target_mean", "target_std")

    def __init__(
        self,
        *,
        val_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.2,
        test_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.2,
        split_seed: Annotated[int, Ge(0)] = 0,
        batch_size: Annotated[int, Gt(0)] = 64,
        **options: Unpack[LoaderOptions],
    ) -> None:
        super().__init__(batch_size=batch_size, **options)
        self.val_fraction = val_fraction
        self.test_fraction = test_fraction
        self.split_seed = split_seed

    def read(self) -> ArraySource:
        """Return all samples: float32 features ``(N, F)``; class ids ``(N,)`` or float32 ``(N, K)``."""
        raise TypeError(f"{type(self).__name__} does not implement read().")

    def source_name(self) -> str:
        """Return the origin of the samples, for the facts."""
        return ""

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        source = self.read()
        labels = source.targets if self.class_names else None
        train, val, test = split_indices(
            len(source), self.val_fraction, self.test_fraction, self.split_seed, labels
        )
        train, val = self.fold(train, val, labels, source.name)
        self.splits = {
            name: Split(source, indices, None, self.seed)
            for name, indices in (("train", train), ("val", val), ("test", test))
        }
        inputs, targets = source.gather(train)
        if not self.state_dict():
            self.normalize = Standardize.fitted(inputs)
        classes = len(self.class_names)
        counts = torch.bincount(targets, minlength=classes).tolist() if classes else []
        extra = {} if classes else {"target_names": list(self.target_names)} | target_statistics(targets)
        self.facts = Facts(
            task="classification" if classes else "regression",
            input_shape=(len(self.feature_names),),
            num_outputs=classes or len(self.target_names),
            class_names=list(self.class_names),
            class_counts=counts,
            **self.split_sizes(),
            name=self.title,
            source=self.source_name(),
            digest=digest_tensors(source.inputs, source.targets),
            extra={"feature_names": list(self.feature_names)} | extra,
        )

    def features(self) -> list[tuple[str, str]]:
        return [(name, name) for name in self.feature_names]

    def read_inputs(self, paths: Sequence[str]) -> list[tuple[str, Tensor]]:
        """Read the rows of CSV files with a column for each feature."""
        from runner.data.tables.file import number_columns, read_table  # imports pandas, not used in training

        inputs = []
        for path in paths:
            rows = torch.from_numpy(number_columns(read_table(path), self.feature_names, path)).float()
            prefix = "" if len(paths) == 1 else f"{path} "
            inputs += [(f"{prefix}row {number}", row) for number, row in enumerate(rows, start=1)]
        return inputs

    def state_dict(self) -> dict[str, Any]:
        """Return the statistics of the training split; a prediction needs nothing else of the data."""
        if not isinstance(self.normalize, Standardize):
            return {}
        return {"mean": self.normalize.mean.tolist(), "std": self.normalize.std.tolist()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.normalize = Standardize(state_dict["mean"], state_dict["std"])


class DiabetesDataModule(FeatureArrayDataModule):
    """Regression of the disease progression, 25 to 346, from ten features in their original units."""

    title = "diabetes"
    feature_names = ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")
    target_names = ("disease progression",)

    def read(self) -> ArraySource:
        from sklearn.datasets import load_diabetes

        features, targets = load_diabetes(return_X_y=True, scaled=False)
        return ArraySource(
            torch.from_numpy(features).float(), torch.from_numpy(targets).float()[:, None], label="patient"
        )

    def source_name(self) -> str:
        return "sklearn.datasets.load_diabetes"
