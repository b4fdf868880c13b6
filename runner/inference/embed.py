"""Embeddings of samples and tokens, as files for a projector and as plots."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from runner.errors import UserError
from runner.inference.load import Trained, Which, load_trained
from runner.run.directory import RunDir

__all__ = ["Embedded", "embed", "write_embedded"]

SPLITS = ("train", "val", "test")
FIRST_TOKEN = 4
"""Ids below are special tokens."""


@dataclass
class Embedded:
    """Vectors with names and classes.

    Attributes:
        vectors: ``(N, D)``.
        columns: metadata of the vectors by column: ``name`` and, for samples with classes, ``label``.
        targets: class ids ``(N,)``; None without classes.
        class_names: class names in the order of the ids.
    """

    vectors: np.ndarray
    columns: dict[str, list[str]]
    targets: np.ndarray | None = None
    class_names: list[str] = field(default_factory=list)


def embed(
    run: RunDir, split: str = "val", limit: int = 2000, tokens: bool = False, which: Which = "best"
) -> Embedded:
    """Returns the embeddings of the samples of a split, or of the tokens of the vocabulary.

    Args:
        run: the run.
        split: ``train``, ``val`` or ``test``.
        limit: maximum number of samples or tokens; the first ones are used.
        tokens: embed tokens, most frequent first, instead of samples.
        which: the checkpoint, ``best`` or ``last``.

    Raises:
        UserError: the split does not exist, or the model has no such vectors.
    """
    trained = load_trained(run, which)
    if tokens:
        return embed_tokens(trained, run, limit)
    if split not in SPLITS:
        raise UserError(f"split {split!r}: expected one of {', '.join(SPLITS)}.")
    data = trained.data
    data.prepare_data()
    data.setup("fit")
    if not len(data.splits.get(split, ())):
        existing = ", ".join(name for name in SPLITS if len(data.splits.get(name, ())))
        raise UserError(f"the data has no {split} split; it has {existing}. Choose one with --split.")
    return embed_samples(trained, split, limit)


def embed_tokens(trained: Trained, run: RunDir, limit: int) -> Embedded:
    """Returns the vectors of the first ``limit`` tokens.

    Raises:
        UserError: the model has no vectors of tokens.
    """
    vectors, tokenizer = trained.task.token_vectors(), getattr(trained.data, "tokenizer", None)
    if vectors is None or tokenizer is None:
        raise UserError(
            f"the model of {run.name} has no table of tokens. Leave --tokens out to embed samples."
        )
    ids = range(FIRST_TOKEN, min(len(vectors), limit + FIRST_TOKEN))
    return Embedded(vectors[list(ids)].numpy(), {"name": [tokenizer.token(number) for number in ids]})


@torch.inference_mode()
def embed_samples(trained: Trained, split: str, limit: int) -> Embedded:
    """Returns the vectors of the first ``limit`` samples of a split, as the task defines them.

    Raises:
        UserError: the model has no vectors of samples.
    """
    task, data = trained.task, trained.data
    vectors, targets, names = [], [], []
    for loaded in data.eval_loader(split):
        batch = data.on_after_batch_transfer(loaded, 0)
        vectors.append(task.embed(batch["inputs"]))
        targets.append(torch.as_tensor(batch["targets"]))
        names += [data.sample_name(split, int(index)) for index in batch["index"]]
        if len(names) >= limit:
            break
    has_classes = bool(task.class_names) and all(part.dim() == 1 for part in targets)
    classes = torch.cat(targets)[:limit].long().numpy() if has_classes else None
    columns = {"name": names[:limit]}
    if classes is not None:
        columns["label"] = [task.class_names[number] for number in classes]
    return Embedded(torch.cat(vectors)[:limit].float().numpy(), columns, classes, task.class_names)


def write_embedded(embedded: Embedded, folder: Path) -> list[Path]:
    """Writes ``vectors.tsv`` and ``metadata.tsv`` for projectors, and plots by PCA and t-SNE.

    t-SNE: van der Maaten and Hinton, Journal of Machine Learning Research, 2008.

    Args:
        embedded: at least 3 vectors of size 2.
        folder: output folder, created if needed.

    Returns:
        The paths of the written files.

    Raises:
        UserError: the folder cannot be written, or there are too few vectors to draw.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    from runner.plots.style import to_png
    from runner.plots.word_vectors import projection

    vectors = embedded.vectors
    if len(vectors) < 3 or vectors.shape[1] < 2:
        count, size = vectors.shape
        raise UserError(f"{count} vectors of {size} numbers are too little to draw; expected 3 of 2 or more.")
    names = list(embedded.columns["name"]) if embedded.targets is None else None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / "vectors.tsv", folder / "metadata.tsv"]
        np.savetxt(paths[0], vectors, delimiter="\t", fmt="%.6g")
        paths[1].write_text(as_metadata(embedded), encoding="utf-8")
        pca = PCA(2).fit(vectors)
        components = [
            f"component {n + 1} ({part:.0%} of variance)"
            for n, part in enumerate(pca.explained_variance_ratio_)
        ]
        perplexity = min(30.0, (len(vectors) - 1) / 3)
        neighbours = TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(vectors)
        options: dict[str, Any] = {
            "targets": embedded.targets,
            "class_names": embedded.class_names,
            "names": names,
        }
        for file, points, labels, title in (
            ("pca.png", pca.transform(vectors), components, "Vectors, by PCA"),
            ("tsne.png", neighbours, ("t-SNE 1", "t-SNE 2"), "Vectors, by t-SNE"),
        ):
            paths.append(to_png(projection(points, **options, axes_names=labels, title=title), folder / file))
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written: {error.strerror or error}. Name another with --output."
        ) from error
    return paths


def as_metadata(embedded: Embedded) -> str:
    """Formats one line per vector; projectors require a header if there is more than one column."""
    columns = [
        [cell.replace("\t", " ").replace("\n", " ") for cell in column]
        for column in embedded.columns.values()
    ]
    lines = ["\t".join(row) for row in zip(*columns, strict=True)]
    return "\n".join((["\t".join(embedded.columns)] if len(columns) > 1 else []) + lines) + "\n"
