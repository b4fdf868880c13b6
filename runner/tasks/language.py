"""Language modelling: prediction of the next token."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Lt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics.aggregation import SumMetric

from runner.data.base import DataModule
from runner.data.facts import Facts
from runner.data.text.prompt import encode_prompt, read_prompts
from runner.distributed.collectives import all_gather, world_size
from runner.errors import DataError, UserError
from runner.tasks.base import StepOutput, Task
from runner.tasks.explanation import ExplanationRequest, ExplanationTarget, single_token
from runner.tasks.language_texts import sampled_texts, surprising_passages
from runner.tasks.sampling import draw
from runner.tasks.shape_check import first_line, in_eval_mode
from runner.tasks.typed_modules import TypedModuleDict

__all__ = ["LanguageTask"]

MAX_NATS = 50.0
"""Limit of the loss per token in nats, which keeps the perplexity finite."""


class LanguageTask(Task):
    """Language modelling with a softmax over the vocabulary and a recurrent state.

    The state is carried from batch to batch. Gradients are propagated to the beginning of the batch's window
    (truncated back-propagation through time; Williams and Peng, Neural Computation, 1990); the detached state
    is passed to the next batch and saved in checkpoints. Evaluation works the same way and scores every token
    except the first of each stream.

    Args:
        model: called with ``(tokens (N, T), state or None, True)``; returns logits ``(N, T, K)`` and the
            state.
        label_smoothing: label smoothing in training.
    """

    monitor = "val/perplexity"
    metric_modes: ClassVar = {"loss": "min", "perplexity": "min", "bits_per_character": "min"}
    required_outputs: ClassVar = {"state": "state of the model, detached", "logits": "(N, T, K)"}
    served_as = "probability of each next token"

    def __init__(
        self,
        model: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer] | None = None,
        scheduler: Callable[..., Any] | None = None,
        label_smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0,
    ) -> None:
        super().__init__(model, optimizer, scheduler)
        self.label_smoothing = label_smoothing
        self.carried: Any = None
        self._ahead: list[Any] = []
        self._eval_state: Any = None
        self.sums: TypedModuleDict[SumMetric] = TypedModuleDict(
            {
                f"{split}_{name}": SumMetric()
                for split in ("val", "test")
                for name in ("nats", "tokens", "chars")
            }
        ).double()

    @classmethod
    def adapt_facts(cls, facts: Facts) -> Facts:
        if facts.task != "language":
            raise DataError(
                f"{facts.name} is not a running text: its task is {facts.task}. Use task={facts.task}."
            )
        return facts

    @classmethod
    def check_model(cls, model: nn.Module, facts: Facts) -> None:
        """Checks a new model; also rejects models that see the tokens they should predict.

        Raises:
            UserError: the model does not fit the data.
        """
        name = type(model).__name__
        tokens = torch.ones((2, 3), dtype=torch.long)
        tokens[1, 2] = facts.num_outputs - 1
        with in_eval_mode(model), torch.no_grad():
            try:
                logits, _ = model(tokens, None, True)
            except (RuntimeError, ValueError, AssertionError, IndexError, TypeError) as error:
                raise UserError(
                    f"{name} is not a language model: {first_line(error)} Language models: `runner list`."
                ) from error
        if tuple(logits.shape) != (2, 3, facts.num_outputs):
            raise UserError(f"{name} returns {tuple(logits.shape)}; expected (2, 3, {facts.num_outputs}).")
        if not torch.allclose(logits[0, :2], logits[1, :2]):
            raise UserError(
                f"{name} reads ahead, so it would see the token it should predict. Use "
                "model.bidirectional=false."
            )

    # Training

    def compute_loss(
        self, batch: dict[str, Any], state: Any = None, label_smoothing: float = 0.0
    ) -> StepOutput:
        logits, state = self.model(batch["inputs"], state, True)
        loss = cross_entropy(
            logits.float().flatten(0, 1), batch["targets"].flatten(), label_smoothing=label_smoothing
        )
        return StepOutput(loss, {"state": detached(state), "logits": logits.detach()})

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        begin, end, count = batch.get("rows") or (0, len(batch["inputs"]), len(batch["inputs"]))
        carried = (
            None if batch["first"] else zipped(lambda whole: whole[:, begin:end].contiguous(), self.carried)
        )
        step = self.checked(self.compute_loss(batch, carried, self.label_smoothing))
        self._ahead = [*(self._ahead if begin else ()), step.outputs["state"]]
        if end == count:  # last micro-batch: join the states of all streams
            self.carried, self._ahead = zipped(lambda *same: torch.cat(same, 1), *self._ahead), []
        return self.record_loss(step.loss, batch)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Saves the states of the streams of all ranks, in rank order."""
        parts = all_gather(moved(self.carried, "cpu"))
        checkpoint["carried_state"] = (
            None if parts[0] is None else zipped(lambda *same: torch.cat(same, 1), *parts)
        )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        state = checkpoint.get("carried_state")
        if state is not None:
            rank, ranks = self.global_rank, world_size()
            state = zipped(lambda whole: share(whole, rank, ranks), state)
        self.carried = moved(state, self.device)

    # Evaluation

    def summed_loss(self, batch: dict[str, Any]) -> tuple[Tensor, int]:
        """Computes the loss as a sum over tokens, and the number of tokens."""
        return self.sum_of(self.continued_step(batch), batch)

    def continued_step(self, batch: dict[str, Any]) -> StepOutput:
        """Computes the step of an evaluation batch with the state after the previous one."""
        step = self.checked(self.compute_loss(batch, None if batch["first"] else self._eval_state))
        self._eval_state = step.outputs["state"]
        return step

    def sum_of(self, step: StepOutput, batch: dict[str, Any]) -> tuple[Tensor, int]:
        tokens = batch["targets"].numel()
        return step.loss.detach().double() * tokens, tokens

    def metric_inputs(self, outputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Returns probabilities ``(N · T, K)`` and token ids ``(N · T,)``."""
        return outputs["logits"].float().softmax(-1).flatten(0, 1), outputs["targets"].flatten()

    def _evaluate(self, batch: dict[str, Any], split: str) -> None:
        step = self.continued_step(batch)
        nats, tokens = self.sum_of(step, batch)
        self.update_extra_metrics(step.outputs | {"targets": batch["targets"]}, split)
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

    # Inference

    def read_inputs(self, data: DataModule, inputs: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """Yields the token ids of each input, a text or the name of a text file."""
        for name, text in read_prompts(inputs):
            yield name, torch.tensor(encode_prompt(data, text, "INPUT"))

    def predict_outputs(self, inputs: Tensor) -> dict[str, Any]:
        return {"logits": self.model(inputs, None, True)[0], "lengths": (inputs != 0).sum(1).clamp(min=1)}

    def served(self, outputs: dict[str, Any]) -> Tensor:
        """Returns the probabilities of the token after each text; shorter texts are padded with 0."""
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
        """Continues prompts by sampling from the softmax over the vocabulary; see ``TaskHooks.generate``."""
        logits, state = self.model(prompt, None, True)
        generated = []
        for _ in range(length):
            tokens = draw(logits[:, -1].float().cpu(), temperature, top_k, generator).to(prompt.device)
            generated.append(tokens)
            logits, state = self.model(tokens, state, True)
        return torch.cat(generated, 1)

    def report_texts(self, data: DataModule) -> dict[str, Any]:
        if not len(data.splits.get("val", ())):
            return {}
        state: Any = None

        def score(batch: dict[str, Any]) -> Tensor:
            nonlocal state
            inputs, targets = batch["inputs"].to(self.device), batch["targets"].to(self.device)
            logits, state = self.model(inputs, None if batch["first"] else state, True)
            return cross_entropy(logits.float().transpose(1, 2), targets, reduction="none")

        with in_eval_mode(self.model), torch.inference_mode():
            return {
                "samples": sampled_texts(self.generate, data, self.device),
                "passages": surprising_passages(score, data),
            }

    def explanation_targets(self, request: ExplanationRequest) -> list[ExplanationTarget]:
        """Explains the logit of the token after the text."""
        data = request.data

        def logits(batch: Tensor) -> Tensor:
            return self.model(batch, None, True)[0][:, -1]

        with torch.no_grad():
            probs = logits(request.inputs)[0].float().softmax(-1)
        chosen = number = int(probs.argmax())
        if request.target is not None:
            number = single_token(data.encode(request.target), request.target)
        name = data.tokenizer.token
        return [
            ExplanationTarget(
                lambda batch: logits(batch)[:, number],
                repr(name(number)),
                f"{name(chosen)!r} {float(probs[chosen]):.0%}",
                truth="" if request.truth is None else repr(name(int(request.truth[-1]))),
                probability=float(probs[number]),
            )
        ]


def zipped(function: Callable[..., Any], *states: Any) -> Any:
    """Applies a function to states; for an LSTM, to each of its two tensors separately."""
    if isinstance(states[0], tuple | list):
        return tuple(function(*same) for same in zip(*states, strict=True))
    return function(*states)


def detached(state: Any) -> Any:
    return zipped(lambda tensor: tensor.detach(), state)


def moved(state: Any, device: Any) -> Any:
    return None if state is None else zipped(lambda tensor: tensor.to(device), state)


def share(whole: Tensor, rank: int, ranks: int) -> Tensor:
    """Selects this rank's streams ``(layers, n, H)`` from all ``(layers, N, H)``.

    The ranks' shares are those of ``EpochBatchSampler.share``.
    """
    begin, end = (whole.shape[1] * number // ranks for number in (rank, rank + 1))
    return whole[:, begin:end].contiguous()
