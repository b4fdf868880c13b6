"""A data set as an object that notebooks display."""

from __future__ import annotations

import html

import pandas as pd
from PIL.Image import Image

from runner.data.base import DataModule
from runner.data.facts import Facts
from runner.notebook.figures import displayed

__all__ = ["Data"]


class Data:
    """A data set: ``load_data("digits").show_batch()``.

    Args:
        module: the data module; read with the first access.
    """

    def __init__(self, module: DataModule) -> None:
        self.module = module

    @property
    def facts(self) -> Facts:
        """Sizes, classes and counts; reads the data."""
        self.module.prepare_data()
        self.module.setup("fit")
        return self.module.require_facts()

    def __repr__(self) -> str:
        facts = self.facts
        sizes = f"{facts.num_train} train, {facts.num_val} val, {facts.num_test} test"
        return f"Data({facts.name!r}, {sizes}, {len(facts.class_names)} classes)"

    def _repr_html_(self) -> str:
        facts = self.facts
        rows = [("samples", f"{facts.num_train:,} train, {facts.num_val:,} val, {facts.num_test:,} test")]
        rows += [("input", " × ".join(map(str, facts.input_shape)))]
        rows += [
            (name, f"{count:,} in training")
            for name, count in zip(facts.class_names, facts.class_counts, strict=False)
        ]
        cells = "".join(
            f"<tr><td>{html.escape(str(name))}</td><td>{html.escape(text)}</td></tr>" for name, text in rows
        )
        return f"<b>{html.escape(facts.name)}</b><table>{cells}</table>"

    def show_batch(self, count: int = 24) -> Image | pd.DataFrame:
        """Return training samples as augmented in the first epoch: an image of them, or a table.

        Args:
            count: number of samples.
        """
        from runner.notebook.samples import batch_figure

        return displayed(batch_figure(self.module, count))
