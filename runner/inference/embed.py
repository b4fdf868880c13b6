"""Vectors that a trained model stands samples or words for, as files for a projector and as plots."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from runner.errors import UserError
from runner.inference.load import Trained, Which, load_trained
from runner.run.directory import RunDir

__all__ = ["Embedded", "embed", "write_embedded"]

SPLITS = ("train", "val", "test")


@dataclass
class Embedded:
    """
    Attributes:
        vectors: ``(N, D)``.
        columns: what is known of each vector, by name: ``name`` and, of samples, ``label``.
        targets: class ids ``(N,)``, where there are classes.
    """

    vectors: np.ndarray
    columns: dict[str, list[str]]
    targets: np.ndarray | None = None
    class_names: list[str] = field(default_factory=list)


def embed(
    run: RunDir, split: str = "val", limit: int = 2000, tokens: bool = False, which: Which = "best"
) -> Embedded:
    """What the last linear layer of the run's model gets of each sample; or its table of tokens.

    Args:
        split: ``train``, ``val`` or ``test``.
        limit: samples or tokens at most, the first ones.
        tokens: the vectors of tokens, most frequent first, instead of those of samples.

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
        there = ", ".join(name for name in SPLITS if len(data.splits.get(name, ())))
        raise UserError(f"the data has no {split} split; it has {there}. Choose one with --split.")
    return embed_samples(trained, run, split, limit)


def embed_tokens(trained: Trained, run: RunDir, limit: int) -> Embedded:
    table, tokenizer = (
        getattr(trained.task.model, "embedding", None),
        getattr(trained.data, "tokenizer", None),
    )
    if not isinstance(table, nn.Embedding) or tokenizer is None:
        raise UserError(
            f"the model of {run.name} has no table of tokens. Leave --tokens out: its samples have vectors."
        )
    numbers = range(4, min(table.num_embeddings, limit + 4))  # after the special tokens
    names = [tokenizer.token(number) for number in numbers]
    return Embedded(table.weight.detach()[list(numbers)].numpy(), {"name": names})


@torch.inference_mode()
def embed_samples(trained: Trained, run: RunDir, split: str, limit: int) -> Embedded:
    task, data = trained.task, trained.data
    vectors, targets, names = [], [], []
    with LastLinear(task.model) as last:
        for batch in data.eval_loader(split):
            batch = data.on_after_batch_transfer(batch, 0)
            task.predict_outputs(batch["inputs"])
            vectors.append(last.take(len(batch["index"]), run))
            targets.append(torch.as_tensor(batch["targets"]))
            names += [data.sample_name(split, int(index)) for index in batch["index"]]
            if len(names) >= limit:
                break
    found = torch.cat(vectors)[:limit].float().numpy()
    class_names = list(getattr(task, "class_names", ()))
    flat = all(part.dim() == 1 for part in targets)
    classes = torch.cat(targets)[:limit].long().numpy() if class_names and flat else None
    columns = {"name": names[:limit]}
    if classes is not None:
        columns["label"] = [class_names[number] for number in classes]
    return Embedded(found, columns, classes, class_names)


class LastLinear:
    """Within it, what the last linear layer of a forward pass was given is kept."""

    def __init__(self, model: nn.Module) -> None:
        self.layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
        self.given: Tensor | None = None

    def __enter__(self) -> LastLinear:
        self.hooks = [layer.register_forward_pre_hook(self.keep) for layer in self.layers]
        return self

    def __exit__(self, *_: Any) -> None:
        for hook in self.hooks:
            hook.remove()

    def keep(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.given = inputs[0]

    def take(self, num_samples: int, run: RunDir) -> Tensor:
        """``(N, D)``; of steps their mean."""
        given, self.given = self.given, None
        if given is None or given.dim() < 2 or len(given) != num_samples:
            raise UserError(
                f"the model of {run.name} has no linear layer that gets a vector for each sample, "
                "as classifiers and regressions have. There is nothing to embed."
            )
        return given.flatten(1, -2).mean(1) if given.dim() > 2 else given


def write_embedded(found: Embedded, folder: Path) -> list[Path]:
    """``vectors.tsv`` and ``metadata.tsv``, as projectors read them, and plots of both by PCA and t-SNE.

    t-SNE: van der Maaten and Hinton, Journal of Machine Learning Research, 2008.

    Raises:
        UserError: the folder cannot be written, or there are too few vectors to draw.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    from runner.plots.style import to_png
    from runner.plots.word_vectors import projection

    if len(found.vectors) < 3 or found.vectors.shape[1] < 2:
        count, size = found.vectors.shape
        raise UserError(f"{count} vectors of {size} numbers are too little to draw; expected 3 of 2 or more.")
    names = [name for name in found.columns["name"]] if found.targets is None else None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / "vectors.tsv", folder / "metadata.tsv"]
        np.savetxt(paths[0], found.vectors, delimiter="\t", fmt="%.6g")
        paths[1].write_text(metadata(found), encoding="utf-8")
        share = PCA(2).fit(found.vectors)
        components = [
            f"component {n + 1} ({part:.0%} of variance)"
            for n, part in enumerate(share.explained_variance_ratio_)
        ]
        perplexity = min(30.0, (len(found.vectors) - 1) / 3)
        near = TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(found.vectors)
        options = {"targets": found.targets, "class_names": found.class_names, "names": names}
        for file, points, labels, title in (
            ("pca.png", share.transform(found.vectors), components, "Vectors, by PCA"),
            ("tsne.png", near, ("t-SNE 1", "t-SNE 2"), "Vectors, by t-SNE"),
        ):
            paths.append(to_png(projection(points, **options, axes_names=labels, title=title), folder / file))
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written: {error.strerror or error}. Name another with --output."
        ) from error
    return paths


def metadata(found: Embedded) -> str:
    """One line a vector; with a header line where there is more than one column, as projectors want it."""
    clean = [
        [cell.replace("\t", " ").replace("\n", " ") for cell in column] for column in found.columns.values()
    ]
    lines = ["\t".join(row) for row in zip(*clean, strict=True)]
    return "\n".join((["\t".join(found.columns)] if len(clean) > 1 else []) + lines) + "\n"
