"""Explanations for generated sequences: attribution of each generated token to the source tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from runner.data.text.tokenizer import END, SPECIAL, TextTokenizer
from runner.errors import UserError
from runner.explain.options import ExplainOptions
from runner.explain.samples import Sample
from runner.explain.sequence import TokenExplainer
from runner.explain.targets import ExplanationTarget, Forward, ask, one_token
from runner.suggest import did_you_mean
from runner.tasks.decoding import greedy_search, log_probs_of
from runner.tasks.seq2seq import Seq2SeqTask

__all__ = ["WrittenExplainer"]


@ask.register
def _(
    task: Seq2SeqTask, forward: Forward, inputs: Tensor, wish: ExplainOptions, data: Any
) -> list[ExplanationTarget]:
    """Returns targets for the log-probability of the greedily decoded sequence and of each token given its
    predecessors, which add up to the former; or of a single token. A generated end token counts as a
    token.
    """
    if wish.target is not None and wish.step is None:
        raise UserError(
            f"--target {wish.target} is one output token: give with --step the position it replaces."
        )
    tokenizer = data.tokenizers["target"]
    most = task.most_steps(inputs)
    with torch.no_grad():
        (written,) = greedy_search(task.model, inputs, most)
        text = task.decode(written)
        if ended := len(written) < int(most[0]):
            written.append(END)
        tokens = torch.tensor([written], device=inputs.device)
        log_probs = log_probs_of(task.model, inputs, tokens)[0]

    def whole(batch: Tensor) -> Tensor:
        each = tokens.expand(len(batch), -1)
        return log_probs_of(task.model, batch, each).gather(2, each[:, :, None]).sum((1, 2))

    def one(step: int, number: int) -> ExplanationTarget:
        def score(batch: Tensor) -> Tensor:
            return log_probs_of(task.model, batch, tokens[:, : step + 1].expand(len(batch), -1))[
                :, step, number
            ]

        probs = log_probs[step].exp()
        said = f"{tokenizer.token(written[step])!r} {float(probs[written[step]]):.0%}"
        details = {"step": step + 1, "probability": float(probs[number]), "written": written}
        return ExplanationTarget(score, repr(tokenizer.token(number)), said, details)

    if wish.step is None:
        prob = float(log_probs.gather(1, tokens[0, :, None]).sum().exp())
        text = text or SPECIAL[END]
        return [
            ExplanationTarget(whole, text, text, {"probability": prob}),
            *map(one, range(len(written)), written),
        ]
    if wish.step > len(written):
        end = " with its end" if ended else ""
        raise UserError(f"--step {wish.step}: the model writes {text!r}, {len(written)} tokens{end}.")
    number = written[wish.step - 1] if wish.target is None else token_of(wish.target, tokenizer)
    return [one(wish.step - 1, number)]


def token_of(wanted: str, tokenizer: TextTokenizer) -> int:
    """
    Raises:
        UserError: the text is not a single token, or is a token that is never generated.
    """
    if wanted == SPECIAL[END]:
        return END
    number = one_token(tokenizer.encode(wanted), wanted)
    if number < len(SPECIAL):
        names = [tokenizer.token(number) for number in range(END, len(tokenizer))]
        raise UserError(f"--target {wanted}: the run writes no such token. {did_you_mean(wanted, names)}")
    return number


class WrittenExplainer(TokenExplainer):
    """Source sequences of token ids, ``(S,)``."""

    def parts_of(self, sample: Sample) -> list[str]:
        return [self.data.tokenizers["source"].token(number) for number in sample.raw.tolist()]

    def truth_of(self, sample: Sample, asked: ExplanationTarget) -> str:
        """Returns the true token, but only if the preceding tokens agree with the truth."""
        if sample.target is None:
            return ""
        truth = sample.target[1:].tolist()
        if "step" not in asked.details:
            return self.data.decode(truth)
        before = asked.details["step"] - 1
        if len(truth) <= before or truth[:before] != asked.details["written"][:before]:
            return ""
        return repr(self.data.tokenizers["target"].token(truth[before]))
