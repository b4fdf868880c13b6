"""Diabetes: ten measurements of 442 patients and how the disease went on in the following year.

Efron, Hastie, Johnstone, Tibshirani: Least angle regression, Annals of Statistics, 2004. Ships with scikit-learn.
"""

from __future__ import annotations

import torch

from runner.data.split import ArraySource
from runner.data.tables.features import FeatureArrayDataModule

__all__ = ["DiabetesDataModule"]


class DiabetesDataModule(FeatureArrayDataModule):
    """A regression of one target, 25 to 346, from features in their measured units."""

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
