"""Figures for sequence-to-sequence learning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from runner.plots.text import attention_maps, translations
from runner.tasks.decoding import BEGIN, END, greedy_search

__all__ = ["seq2seq_figures"]

NUM_MAPS, NUM_TEXTS, LONGEST = 4, 8, 24


def seq2seq_figures(task: Any, split: str, data: Any) -> Iterator[tuple[str, Any]]:
    """Yields figures of randomly chosen samples of one evaluated split."""
    outputs = task.outputs[split]
    order = torch.randperm(len(outputs["index"]), generator=torch.Generator().manual_seed(0)).tolist()
    texts = [
        {"source": data.text_of(split, int(outputs["index"][i]))}
        | {name: outputs[name][i] for name in ("reference", "greedy", "beam") if name in outputs}
        for i in order[:NUM_TEXTS]
    ]
    yield f"{split}_translations", translations(texts, f"Random samples ({split})")
    source = data.splits[split].source
    short = [i for i in order if len(source[int(outputs["index"][i])][0]) <= LONGEST][:NUM_MAPS]
    maps = [attention_of(task, data, source[int(outputs["index"][i])][0]) for i in short]
    if maps:
        yield f"{split}_attention", attention_maps(maps, f"Attention ({split})")


@torch.no_grad()
def attention_of(task: Any, data: Any, ids: torch.Tensor) -> tuple[list[str], list[str], Any]:
    """Returns the source tokens, the generated tokens and the attention between them, ``(T, S)``."""
    was_training = task.training
    task.eval()
    source = ids[None].to(task.device)
    (generated,) = greedy_search(task.model, source, task.max_decode_steps(source))
    memory, state = task.model.encode(source)
    tokens = torch.tensor([[BEGIN, *generated]], device=task.device)
    _, _, attention = task.model.decode(tokens, memory, state)
    task.train(was_training)
    target_tokens = [data.token(number, "target") for number in [*generated, END]]
    return (
        [data.token(number, "source") for number in ids.tolist()],
        target_tokens,
        attention[0].float().cpu().numpy(),
    )
