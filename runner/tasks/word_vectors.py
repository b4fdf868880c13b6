"""Word vectors: words that occur in similar contexts get similar vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, normalize

from runner.data.facts import Facts
from runner.distributed.collectives import sum_over_ranks
from runner.errors import DataError, UserError
from runner.plots.word_vectors import neighbour_table, projection
from runner.tasks.base import StepOutput, Task

__all__ = ["WordVectorsTask", "nearest_words"]

NUM_NEAREST = 10
NUM_LISTED = 16
NUM_DRAWN = 300
FIRST_WORD = 4
"""Ids below are special tokens."""


class WordVectorsTask(Task):
    """Training of word vectors by negative sampling (Mikolov et al., arXiv:1310.4546).

    The model learns to distinguish true neighbors of a word from randomly drawn ones. ``accuracy`` is the
    fraction of evaluation pairs whose true neighbor scores higher than all drawn ones. Pairs containing a
    word without a vector have weight 0 and are excluded from accuracy and loss.

    Args:
        model: called with words ``(N,)`` and candidates ``(N, 1 + k)``; returns logits ``(N, 1 + k)``. Its
            ``embedding.weight`` contains the vectors.
    """

    monitor = "val/loss"
    metric_modes: ClassVar = {"loss": "min", "accuracy": "max"}
    required_outputs: ClassVar = {
        "hits": "whether the true neighbor scores highest (N,)",
        "counts": "whether the pair counts (N,)",
        "logits": "(N, 1 + k), the true neighbor first",
    }
    served_as = "vectors of words"

    def __init__(
        self,
        model: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer] | None = None,
        scheduler: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(model, optimizer, scheduler)
        self.hits: dict[str, Tensor] = {}

    @classmethod
    def adapt_facts(cls, facts: Facts) -> Facts:
        if facts.task != "word_vectors":
            raise DataError(
                f"{facts.name} contains no pairs of words: its task is {facts.task}. Use task={facts.task}."
            )
        return facts

    @classmethod
    def check_model(cls, model: nn.Module, facts: Facts) -> None:
        weight = getattr(getattr(model, "embedding", None), "weight", None)
        if weight is None or len(weight) != facts.num_outputs:
            raise UserError(f"{type(model).__name__} does not have one vector per word; use model=skip_gram.")

    def compute_loss(self, batch: dict[str, Any]) -> StepOutput:
        logits = self.model(batch["inputs"], batch["targets"]).float()
        truth = torch.zeros_like(logits)
        truth[:, 0] = 1.0
        each = binary_cross_entropy_with_logits(logits, truth, reduction="none").sum(1)
        hits = (logits[:, :1] > logits[:, 1:]).all(1)
        return StepOutput(
            (batch["pair_weight"] * each).mean(),
            {"hits": hits.detach(), "counts": batch["pair_weight"] > 0, "logits": logits.detach()},
        )

    def metric_inputs(self, outputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Returns probabilities of the candidates ``(M, 1 + k)`` and the index of the true neighbor, 0."""
        logits = outputs["logits"][outputs["counts"]]
        return logits.softmax(-1), torch.zeros(len(logits), dtype=torch.long, device=logits.device)

    def update_metrics(self, outputs: dict[str, Any], split: str) -> None:
        outputs.pop("logits")
        counts = outputs["counts"]
        sums = torch.stack([(outputs["hits"] & counts).sum(), counts.sum()])
        self.hits[split] = self.hits[split] + sums if split in self.hits else sums

    def compute_metrics(self, split: str) -> dict[str, float]:
        hits, count = sum_over_ranks(*self.hits.pop(split, torch.zeros(2)).tolist())
        return {"accuracy": hits / count} if count else {}

    def table(self) -> nn.Embedding:
        """Returns the model's table of word vectors."""
        table = self.model.embedding
        assert isinstance(table, nn.Embedding)  # ensured by check_model
        return table

    def predict_outputs(self, inputs: Tensor) -> dict[str, Any]:
        vectors, inputs = self.table().weight, inputs.long()
        nearest, likeness = nearest_words(vectors, inputs, NUM_NEAREST)
        return {"vectors": vectors[inputs], "nearest": nearest, "likeness": likeness}

    def why_not_explained(self) -> str:
        return (
            "a run of word vectors has nothing to explain: its output for a word is that word's vector, "
            "which depends on no other input. `runner predict RUN WORD…` lists the nearest words, `runner "
            "embed RUN` draws the vectors."
        )

    def rows(self, outputs: dict[str, Any]) -> list[dict[str, Any]]:
        pairs = zip(outputs["nearest"].tolist(), outputs["likeness"][:, 0].tolist(), strict=True)
        return [{"nearest": nearest, "cosine": cosine} for nearest, cosine in pairs]

    def figures(self, split: str, data: Any) -> Iterator[tuple[str, Any]]:
        """Yields a table of the neighbors of frequent words, and a PCA projection of the vectors."""
        if split != "val":
            return
        words = [data.tokenizer.token(number) for number in range(self.table().num_embeddings)]
        vectors = self.table().weight.detach().cpu()
        content_words = [n for n in range(FIRST_WORD, len(words)) if len(words[n]) > 3 and words[n].isalpha()]
        listed = content_words[:NUM_LISTED]
        nearest, likeness = nearest_words(vectors, torch.tensor(listed), 6)
        rows = [
            [(words[number], float(cosine)) for number, cosine in zip(*pair, strict=True)]
            for pair in zip(nearest.tolist(), likeness, strict=True)
        ]
        yield "neighbours", neighbour_table([words[number] for number in listed], rows)
        drawn = content_words[:NUM_DRAWN]
        points = principal_plane(vectors[drawn].numpy())
        yield "projection", projection(points, names=[words[n] for n in drawn], title="Word vectors (PCA)")


def nearest_words(vectors: Tensor, words: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Returns the ids of the nearest other words and their cosines, each ``(N, count)``.

    Special tokens are excluded.

    Args:
        vectors: vectors of all tokens, ``(K, D)``.
        words: token ids, ``(N,)``.
        count: number of neighbors.
    """
    directions = normalize(vectors.float(), dim=1)
    likeness = directions[words] @ directions.T
    likeness[:, :FIRST_WORD] = -2.0
    likeness[torch.arange(words.shape[0]), words] = -2.0
    best = likeness.topk(min(count, len(vectors) - FIRST_WORD - 1), dim=1)
    return best.indices, best.values


def principal_plane(vectors: np.ndarray) -> np.ndarray:
    """Projects vectors onto their first two principal components: ``(N, D)`` → ``(N, 2)``."""
    centered = vectors - vectors.mean(0)
    _, _, axes = np.linalg.svd(centered, full_matrices=False)
    return centered @ axes[:2].T
