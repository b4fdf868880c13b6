"""Shows the facts of a data set, statistics of its inputs, and an image of samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from runner.data.base import DataModule
    from runner.data.facts import Facts

__all__ = ["inspect"]

NUM_SAMPLES = 1000
"""Number of training samples for the statistics of the inputs."""
NUM_SHOWN = 24


def inspect(data: DataModule, output: str | None, as_json: bool) -> int:
    """Print facts and statistics of a data set, and save a grid of samples if they are images.

    Args:
        data: the data module; prepared and set up here.
        output: file for the samples; None derives the name from the data set.
        as_json: print JSON instead of tables.

    Returns:
        The exit code.
    """
    data.prepare_data()
    data.setup("fit")
    statistics = input_statistics(data)
    if as_json:
        print(json.dumps({"facts": facts_of(data).as_dict(), "inputs": statistics}, indent=2, default=str))
    else:
        print_facts(data)
        print_statistics(data, statistics)
    picture = save_samples(data, output)
    if picture and not as_json:
        print(f"Samples as augmented for training: {picture}")
    return 0


def facts_of(data: DataModule) -> Facts:
    """Return the facts of a data module that was set up."""
    if data.facts is None:
        raise RuntimeError("the data module was not set up")
    return data.facts


def print_facts(data: DataModule) -> None:
    from runner.cli.show import console, table

    name, facts = facts_of(data).name, facts_of(data).as_dict()
    counts, names = facts.pop("class_counts", []), facts.pop("class_names", [])
    counted = f"training {facts.pop('class_counts_of', 'samples')}"
    facts["input_shape"] = " × ".join(map(str, facts["input_shape"]))
    rows = [(key, text(value)) for key, value in facts.items() if value not in ("", [], None)]
    out = console()
    out.print(table("fact", "value", title=name or "data", rows=rows))
    if names:
        total = sum(counts) or 1
        sizes = zip(names, counts, strict=False)
        shares = [(str(label), f"{count}", f"{count / total:.1%}") for label, count in sizes]
        out.print(table("class", counted, "share", rows=shares))


def print_statistics(data: DataModule, statistics: dict[str, list[float]]) -> None:
    from runner.cli.show import console, table

    if not statistics:
        return
    facts = facts_of(data)
    names = facts.extra.get("feature_names") or []
    kind = "channel" if len(facts.input_shape) == 3 else "feature"
    size = len(statistics["mean"])
    labels = [str(name) for name in names] if len(names) == size else [f"{kind} {i}" for i in range(size)]
    columns = [[f"{value:.4g}" for value in values] for values in statistics.values()]
    rows = list(zip(labels, *columns, strict=True))
    title = f"inputs, of {min(NUM_SAMPLES, len(data.splits['train']))} training samples"
    console().print(table(kind, *statistics, title=title, rows=rows))


def input_statistics(data: DataModule) -> dict[str, list[float]]:
    """Return statistics of each channel or feature.

    These are mean, standard deviation, minimum and maximum, and mean and standard deviation after
    normalization. Padding of sequences is ignored. Empty if the samples differ in shape or are token ids.
    """
    import torch

    split = data.splits["train"]
    generator = torch.Generator().manual_seed(0)
    positions = torch.randperm(len(split), generator=generator)[:NUM_SAMPLES].tolist()
    inputs = split.__getitems__([(0, position) for position in positions])["inputs"]
    if not isinstance(inputs, torch.Tensor) or inputs.dtype == torch.long:
        return {}
    if hasattr(split, "raw_inputs"):  # batches of series are already standardized
        raw, normal = by_channel(split.raw_inputs(positions).double()), by_channel(inputs)
    else:
        raw, normal = by_channel(inputs.float()), by_channel(data.normalize(inputs).float())
    columns = {
        "mean": raw.nanmean(1), "std": deviation(raw),
        "min": raw.nan_to_num(torch.inf).amin(1), "max": raw.nan_to_num(-torch.inf).amax(1),
        "normalised mean": normal.nanmean(1), "normalised std": deviation(normal),
    }  # fmt: skip
    return {name: column.tolist() for name, column in columns.items()}


def by_channel(inputs: Tensor) -> Tensor:
    """Reshape images (N, C, H, W), features (N, F) or sequences (N, T, F) to (C or F, remaining)."""
    return inputs.movedim(-1 if inputs.dim() == 3 else 1, 0).flatten(1)


def deviation(values: Tensor) -> Tensor:
    """Return the standard deviation of each row, ignoring NaN."""
    return (values - values.nanmean(1, keepdim=True)).square().nanmean(1).sqrt()


def save_samples(data: DataModule, output: str | None) -> Path | None:
    import numpy as np

    from runner.plots.images import sample_grid
    from runner.plots.style import to_png

    split, facts = data.splits["train"], facts_of(data)
    if len(facts.input_shape) != 3:
        return None
    step = max(1, len(split) // NUM_SHOWN)
    positions = range(0, len(split), step)[:NUM_SHOWN]
    pictures = [data.picture(*split.sample(0, position)) for position in positions]
    figure = sample_grid([np.asarray(image) for image, _ in pictures], [text for _, text in pictures])
    if figure is None:
        return None
    path = Path(output or f"samples_{facts.name or 'data'}.png".replace("/", "_").replace(" ", "_"))
    to_png(figure, path)
    return path


def text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        start = ", ".join(map(str, value[:12]))
        return f"{start}{f' … ({len(value)})' if len(value) > 12 else ''}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {number}" for key, number in value.items())
    return str(value)
