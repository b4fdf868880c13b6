"""Sequence-to-sequence learning."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Le, Lt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from runner.data.facts import Facts
from runner.distributed.collectives import all_gather
from runner.errors import DataError, UserError
from runner.tasks.base import StepOutput, Task
from runner.tasks.decoding import beam_search, greedy_search
from runner.tasks.explanation import ExplanationRequest, ExplanationTarget
from runner.tasks.seq2seq_explanation import sequence_targets
from runner.tasks.seq2seq_figures import seq2seq_figures
from runner.tasks.shape_check import first_line, in_eval_mode

__all__ = ["Seq2SeqTask"]

PAD = 0
MAX_NATS = 50.0


class Seq2SeqTask(Task):
    """Sequence-to-sequence learning with the cross-entropy of each target token.

    Each token is predicted from the source and the preceding tokens. Evaluation also decodes the sources:
    greedily during training, and additionally by beam search afterwards. BLEU is computed by sacrebleu on
    detokenized texts (Post, arXiv:1804.08771).

    Args:
        model: maps source ``(N, S)`` and target ``(N, T)`` to logits; see ``runner.tasks.decoding`` for other
            methods.
        label_smoothing: label smoothing in training.
        beam_size: number of hypotheses in beam search.
        max_steps: maximum number of decoded tokens; twice the source's tokens plus ten if None.
    """

    monitor = "val/bleu"
    mode = "max"
    metric_modes: ClassVar = {"loss": "min", "perplexity": "min", "bleu": "max", "exact_match": "max"}
    served_as = "tokens"
    explains_steps = True

    def __init__(
        self,
        model: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer] | None = None,
        scheduler: Callable[..., Any] | None = None,
        label_smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0,
        beam_size: Annotated[int, Ge(1), Le(100)] = 4,
        max_steps: Annotated[int, Ge(1)] | None = None,
    ) -> None:
        super().__init__(model, optimizer, scheduler)
        self.label_smoothing, self.beam_size, self.max_steps = label_smoothing, beam_size, max_steps
        self._decoded: dict[str, dict[str, list[str]]] = {}

    @classmethod
    def adapt_facts(cls, facts: Facts) -> Facts:
        if facts.task != "seq2seq":
            raise DataError(
                f"{facts.name} contains no pairs of sequences: its task is {facts.task}. Use "
                f"task={facts.task}."
            )
        return facts

    @classmethod
    def check_model(cls, model: nn.Module, facts: Facts) -> None:
        name, ones = type(model).__name__, torch.ones((2, 3), dtype=torch.long)
        with in_eval_mode(model), torch.no_grad():
            try:
                logits = model(ones, ones[:, :2])
                decoder: Any = model  # nn.Module types unknown methods as tensors
                decoder.decode(ones[:, :1], *decoder.encode(ones))
            except (RuntimeError, ValueError, AssertionError, IndexError, TypeError, AttributeError) as error:
                raise UserError(
                    f"{name} is not a sequence-to-sequence model: {first_line(error)} Available models: "
                    "`runner list`."
                ) from error
        if tuple(logits.shape) != (2, 2, facts.num_outputs):
            raise UserError(f"{name} returns {tuple(logits.shape)}; expected (2, 2, {facts.num_outputs}).")

    # Training

    def compute_loss(self, batch: dict[str, Any], label_smoothing: float = 0.0) -> StepOutput:
        targets = batch["targets"]
        logits = self.model(batch["inputs"], targets[:, :-1])
        loss = cross_entropy(
            logits.float().flatten(0, 1),
            targets[:, 1:].flatten(),
            ignore_index=PAD,
            label_smoothing=label_smoothing,
        )
        return StepOutput(loss, {})

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        return self.record_loss(self.checked(self.compute_loss(batch, self.label_smoothing)).loss, batch)

    def loss_denominator(self, batch: dict[str, Any]) -> Tensor:
        """Counts target tokens, since sequence lengths differ between micro-batches and ranks."""
        return (batch["targets"][:, 1:] != PAD).sum()

    # Evaluation

    def _evaluate(self, batch: dict[str, Any], split: str) -> None:
        decoded = self._decoded.setdefault(split, {})
        batch_texts = {"reference": batch["references"], "greedy": self.texts(batch["inputs"], 1)}
        if self.trainer.state.fn != "fit" and self.beam_size > 1:
            batch_texts["beam"] = self.texts(batch["inputs"], self.beam_size)
        for name, texts in batch_texts.items():
            decoded.setdefault(name, []).extend(texts)
        self._batch_texts = batch_texts
        super()._evaluate(batch, split)

    def metric_inputs(self, outputs: dict[str, Any]) -> tuple[list[str], list[str]]:
        """Returns the greedily decoded texts and the reference texts."""
        return self._batch_texts["greedy"], self._batch_texts["reference"]

    def update_metrics(self, outputs: dict[str, Any], split: str) -> None:
        outputs |= self._batch_texts

    def compute_metrics(self, split: str) -> dict[str, float]:
        from sacrebleu import corpus_bleu

        nats, tokens = self.loss_sums()
        values = {"perplexity": math.exp(min(nats / tokens, MAX_NATS))}
        ranks = all_gather(self._decoded.pop(split))
        decoded = {name: [text for rank in ranks for text in rank[name]] for name in ranks[0]}
        for name, key in (("greedy", "bleu"), ("beam", "bleu_beam")):
            if name in decoded:
                values[key] = corpus_bleu(decoded[name], [decoded["reference"]]).score
        same = sum(
            text == reference for text, reference in zip(decoded["greedy"], decoded["reference"], strict=True)
        )
        return values | {"exact_match": same / len(decoded["reference"])}

    def figures(self, split: str, data: Any) -> Iterator[tuple[str, Any]]:
        if self.outputs[split]:
            yield from seq2seq_figures(self, split, data)

    # Inference

    @torch.no_grad()
    def texts(self, source: Tensor, beam_size: int) -> list[str]:
        """Decodes sources ``(N, S)``; each result is independent of the rest of the batch."""
        steps = self.max_decode_steps(source)
        if beam_size == 1:
            sequences = greedy_search(self.model, source, steps)
        else:
            sequences = beam_search(self.model, source, steps, beam_size)
        return [self.decode(ids) for ids in sequences]

    def max_decode_steps(self, source: Tensor) -> Tensor:
        """Returns the maximum number of decoded tokens for each source: ``(N, S)`` → ``(N,)``."""
        usual = 2 * (source != PAD).sum(1) + 10
        return usual if self.max_steps is None else torch.full_like(usual, self.max_steps)

    def predict_outputs(self, inputs: Tensor) -> dict[str, Any]:
        return {"greedy": self.texts(inputs, 1), "text": self.texts(inputs, self.beam_size)}

    def rows(self, outputs: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {"text": text, "greedy": greedy}
            for text, greedy in zip(outputs["text"], outputs["greedy"], strict=True)
        ]

    def explanation_targets(self, request: ExplanationRequest) -> list[ExplanationTarget]:
        """Explains the log-probability of the greedily decoded sequence, and of each of its tokens."""
        return sequence_targets(self, request)

    def explained_tokens(self, ids: Sequence[int], data: Any) -> list[str]:
        return [data.tokenizers["source"].token(number) for number in ids]
