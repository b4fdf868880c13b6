"""Explained numbers of sequence-to-sequence predictions: log-probabilities of generated tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from runner.data.text.tokenizer import END, SPECIAL, TextTokenizer
from runner.errors import UserError
from runner.suggest import did_you_mean
from runner.tasks.decoding import greedy_search, log_probs_of
from runner.tasks.explanation import ExplanationRequest, ExplanationTarget, single_token

__all__ = ["sequence_targets"]

UNIT = "nats"


def sequence_targets(task: Any, request: ExplanationRequest) -> list[ExplanationTarget]:
    """Returns targets for the log-probability of the greedily decoded sequence and of each of its tokens.

    The log-probability of a token is conditional on its predecessors, so those of all tokens add up to that
    of the sequence. A generated end token counts as a token. With a requested step there is one target.

    Args:
        task: the ``Seq2SeqTask``.
        request: the input and the requested token.

    Raises:
        UserError: the requested step or token does not exist.
    """
    if request.target is not None and request.step is None:
        raise UserError(
            f"--target {request.target} is one output token: give with --step the position it replaces."
        )
    tokenizer = request.data.tokenizers["target"]
    limit = int(task.max_decode_steps(request.inputs)[0])
    with torch.no_grad():
        (generated,) = greedy_search(task.model, request.inputs, limit)
        text = task.decode(generated)
        has_end = len(generated) < limit
        if has_end:
            generated.append(END)
        tokens = torch.tensor([generated], device=request.inputs.device)
        log_probs = log_probs_of(task.model, request.inputs, tokens)[0]

    def token_target(step: int, number: int) -> ExplanationTarget:
        """Explains token ``number`` at a step, starting at 0."""

        def score(batch: Tensor) -> Tensor:
            prefix = tokens[:, : step + 1].expand(len(batch), -1)
            return log_probs_of(task.model, batch, prefix)[:, step, number]

        probs = log_probs[step].exp()
        prediction = f"{tokenizer.token(generated[step])!r} {float(probs[generated[step]]):.0%}"
        return ExplanationTarget(
            score,
            repr(tokenizer.token(number)),
            prediction,
            unit=UNIT,
            truth=true_token(request.truth, generated[:step], tokenizer),
            probability=float(probs[number]),
            step=step + 1,
        )

    if request.step is None:
        return [
            whole_target(task, request, tokens, log_probs, text or SPECIAL[END]),
            *map(token_target, range(len(generated)), generated),
        ]
    if request.step > len(generated):
        end = " with its end" if has_end else ""
        raise UserError(f"--step {request.step}: the model writes {text!r}, {len(generated)} tokens{end}.")
    number = (
        generated[request.step - 1] if request.target is None else writable_token(request.target, tokenizer)
    )
    return [token_target(request.step - 1, number)]


def whole_target(
    task: Any, request: ExplanationRequest, tokens: Tensor, log_probs: Tensor, text: str
) -> ExplanationTarget:
    """Returns the target for the log-probability of the whole sequence.

    Args:
        task: the ``Seq2SeqTask``.
        request: the input.
        tokens: the generated tokens, ``(1, T)``.
        log_probs: their log-probabilities, ``(T, K)``.
        text: the generated text.
    """

    def score(batch: Tensor) -> Tensor:
        repeated = tokens.expand(len(batch), -1)
        return log_probs_of(task.model, batch, repeated).gather(2, repeated[:, :, None]).sum((1, 2))

    truth = "" if request.truth is None else request.data.decode(request.truth[1:].tolist())
    probability = float(log_probs.gather(1, tokens[0, :, None]).sum().exp())
    return ExplanationTarget(score, text, text, unit=UNIT, truth=truth, probability=probability)


def true_token(target: Tensor | None, prefix: list[int], tokenizer: TextTokenizer) -> str:
    """Returns the true token after a generated prefix; empty unless the prefix agrees with the truth."""
    truth = [] if target is None else target[1:].tolist()
    if len(truth) <= len(prefix) or truth[: len(prefix)] != prefix:
        return ""
    return repr(tokenizer.token(truth[len(prefix)]))


def writable_token(text: str, tokenizer: TextTokenizer) -> int:
    """Returns the id of a token that the model can generate.

    Raises:
        UserError: the text is not a single token, or is a token that is never generated.
    """
    if text == SPECIAL[END]:
        return END
    number = single_token(tokenizer.encode(text), text)
    if number < len(SPECIAL):
        names = [tokenizer.token(number) for number in range(END, len(tokenizer))]
        raise UserError(f"--target {text}: the run writes no such token. {did_you_mean(text, names)}")
    return number
