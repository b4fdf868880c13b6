"""The next token of a running text."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Lt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics.aggregation import SumMetric

from runner.data.facts import Facts
from runner.distributed.collectives import all_gather, world_size
from runner.errors import DataError, UserError
from runner.tasks.base import StepOutput, Task
from runner.tasks.sampling import draw
from runner.tasks.shape_check import first_line, in_eval_mode

__all__ = ["LanguageTask"]

MAX_NATS = 50.0
"""Of a token; a perplexity beyond would be infinite."""


class LanguageTask(Task):
    """A softmax over the vocabulary at each step, the recurrent state carried from batch to batch.

    Gradients go back to the beginning of the batch's window (truncated back-propagation through time; Williams and
    Peng, Neural Computation, 1990); the state goes on, detached. It is part of the checkpoint. Held-out texts are
    scored in the same way, every token but each stream's first one.

    Args:
        model: called with ``(tokens (N, T), state or None, True)``, gives logits ``(N, T, K)`` and the state.
        label_smoothing: share of the target spread over the other tokens, in training.
    """

    monitor = "val/perplexity"
    metric_modes: ClassVar = {"loss": "min", "perplexity": "min", "bits_per_character": "min"}
    served_as = "probability of each next token"

    def __init__(
        self,
        model: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer] | None = None,
        scheduler: Callable[..., Any] | None = None,
        label_smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0,
    ):
        super().__init__(model, optimizer, scheduler)
        self.label_smoothing = label_smoothing
        self.carried: Any = None
        self._ahead: list[Any] = []
        self._eval_state: Any = None
        self.sums = nn.ModuleDict(
            {f"{split}_{name}": SumMetric() for split in ("val", "test") for name in ("nats", "tokens", "chars")}
        ).double()

    @classmethod
    def adapt(cls, facts: Facts) -> Facts:
        if facts.task != "language":
            raise DataError(f"{facts.name} is no running text: its task is {facts.task}. Use task={facts.task}.")
        return facts

    @classmethod
    def check_model(cls, model: nn.Module, facts: Facts) -> None:
        """Also refuses a model that sees the tokens it is to tell."""
        name = type(model).__name__
        tokens = torch.ones((2, 3), dtype=torch.long)
        tokens[1, 2] = facts.num_outputs - 1
        with in_eval_mode(model), torch.no_grad():
            try:
                logits, _ = model(tokens, None, True)
            except (RuntimeError, ValueError, AssertionError, IndexError, TypeError) as error:
                raise UserError(
                    f"{name} is no language model: {first_line(error)} Models for language: `runner list`."
                ) from error
        if tuple(logits.shape) != (2, 3, facts.num_outputs):
            raise UserError(f"{name} puts out {tuple(logits.shape)}; a language model (2, 3, {facts.num_outputs}).")
        if not torch.allclose(logits[0, :2], logits[1, :2]):
            raise UserError(
                f"{name} reads ahead, so it would be told the token it is to predict. Take model.bidirectional=false."
            )

    # Training

    def step(self, batch: dict[str, Any], state: Any = None, label_smoothing: float = 0.0) -> StepOutput:
        logits, state = self.model(batch["inputs"], state, True)
        loss = cross_entropy(logits.float().flatten(0, 1), batch["targets"].flatten(), label_smoothing=label_smoothing)
        return StepOutput(loss, {"state": detached(state)})

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        begin, end, count = batch.get("rows") or (0, len(batch["inputs"]), len(batch["inputs"]))
        carried = None if batch["first"] else zipped(lambda whole: whole[:, begin:end].contiguous(), self.carried)
        step = self.step(batch, carried, self.label_smoothing)
        self._ahead = [*(self._ahead if begin else ()), step.outputs["state"]]
        if end == count:  # the last pass of the batch: the state is that of all its streams
            self.carried, self._ahead = zipped(lambda *same: torch.cat(same, 1), *self._ahead), []
        return self.take_loss(step.loss, batch)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The state of the streams of all ranks, in their order."""
        parts = all_gather(moved(self.carried, "cpu"))
        checkpoint["carried_state"] = None if parts[0] is None else zipped(lambda *same: torch.cat(same, 1), *parts)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint.get("carried_state")
        if state is not None:
            rank, ranks = self.global_rank, world_size()
            state = zipped(lambda whole: share(whole, rank, ranks), state)
        self.carried = moved(state, self.device)

    # Evaluation

    def summed_loss(self, batch: dict[str, Any]) -> tuple[Tensor, int]:
        """Over tokens."""
        step = self.step(batch, None if batch["first"] else self._eval_state)
        self._eval_state = step.outputs["state"]
        tokens = batch["targets"].numel()
        return step.loss.detach().double() * tokens, tokens

    def _evaluate(self, batch: dict[str, Any], split: str) -> None:
        nats, tokens = self.summed_loss(batch)
        self._loss_sum = nats + (0 if self._loss_sum is None else self._loss_sum)
        self._loss_count += tokens
        for name, value in (("nats", nats), ("tokens", tokens), ("chars", batch["num_chars"])):
            self.sums[f"{split}_{name}"].update(value)

    def compute_metrics(self, split: str) -> dict[str, float]:
        sums = [self.sums[f"{split}_{name}"] for name in ("nats", "tokens", "chars")]
        nats, tokens, chars = (float(metric.compute()) for metric in sums)
        for metric in sums:
            metric.reset()
        self._eval_state = None
        return {
            "perplexity": math.exp(min(nats / tokens, MAX_NATS)),
            "bits_per_character": nats / math.log(2) / max(chars, 1),
        }

    # Use

    def predict_outputs(self, inputs: Tensor) -> dict[str, Any]:
        return {"logits": self.model(inputs, None, True)[0], "lengths": (inputs != 0).sum(1).clamp(min=1)}

    def served(self, outputs: dict[str, Any]) -> Tensor:
        """Of the token behind each text's last one; shorter texts are padded with 0."""
        logits = outputs["logits"]
        last = (outputs["lengths"] - 1)[:, None, None].expand(-1, 1, logits.shape[2])
        return logits.gather(1, last).squeeze(1).float().softmax(-1)

    @torch.inference_mode()
    def generate(
        self,
        prompt: Tensor,
        length: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Goes on with texts: token ids ``(N, P)`` → ``(N, length)``.

        Args:
            temperature: below 1 the likelier tokens gain, 0 always takes the likeliest.
            top_k: draw from so many of the likeliest tokens; from all when None.
            generator: of the draws, on the CPU.
        """
        logits, state = self.model(prompt, None, True)
        written = []
        for _ in range(length):
            tokens = draw(logits[:, -1].float().cpu(), temperature, top_k, generator).to(prompt.device)
            written.append(tokens)
            logits, state = self.model(tokens, state, True)
        return torch.cat(written, 1)


def zipped(function: Callable[..., Any], *states: Any) -> Any:
    """A function of states, of an LSTM's two tensors each on its own."""
    if isinstance(states[0], tuple | list):
        return tuple(function(*same) for same in zip(*states, strict=True))
    return function(*states)


def detached(state: Any) -> Any:
    return zipped(lambda tensor: tensor.detach(), state)


def moved(state: Any, device: Any) -> Any:
    return None if state is None else zipped(lambda tensor: tensor.to(device), state)


def share(whole: Tensor, rank: int, ranks: int) -> Tensor:
    """This rank's streams ``(layers, n, H)`` of all ``(layers, N, H)``, as ``EpochBatchSampler.share`` deals them."""
    first, behind = (whole.shape[1] * number // ranks for number in (rank, rank + 1))
    return whole[:, first:behind].contiguous()
