"""The depth of brackets behind each sign; generated, for trying labelling without any file."""

from __future__ import annotations

import random
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt

from runner.data.text.brackets import balanced, depths
from runner.data.text.distinct import draw_distinct
from runner.data.text.labelled import Labelled, LabelledStepsDataModule

__all__ = ["BracketDepthDataModule"]


class BracketDepthDataModule(LabelledStepsDataModule):
    """How many brackets are open behind each sign of ``a([b])``? Generated.

    Args:
        num_samples: different strings.
        min_length, longest: signs of a string.
        max_depth: brackets open at a time.
        data_seed: of the strings.
    """

    title = "bracket_depth"

    def __init__(
        self,
        num_samples: Annotated[int, Ge(20)] = 2000,
        min_length: Annotated[int, Ge(2)] = 4,
        longest: Annotated[int, Ge(2), Le(1000)] = 40,
        max_depth: Annotated[int, Ge(1), Le(50)] = 6,
        data_seed: Annotated[int, Ge(0)] = 0,
        val_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.1,
        test_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.1,
        split_seed: Annotated[int, Ge(0)] = 0,
        batch_size: Annotated[int, Gt(0)] = 32,
        eval_batch_size: Annotated[int, Gt(0)] | None = None,
        num_workers: Annotated[int, Ge(0)] = 0,
        seed: Annotated[int, Ge(0)] = 0,
        drop_last: bool = False,
    ):
        super().__init__(
            None,
            1,
            val_fraction,
            test_fraction,
            split_seed,
            batch_size,
            eval_batch_size,
            num_workers,
            seed,
            drop_last,
        )
        self.num_samples, self.min_length, self.longest = num_samples, min_length, longest
        self.max_depth, self.data_seed = max_depth, data_seed

    def check(self) -> list[str]:
        if self.min_length <= self.longest:
            return []
        return [f"data.min_length={self.min_length} is more than data.longest={self.longest}."]

    def read(self) -> Labelled:
        rng, labelled = random.Random(self.data_seed), Labelled()

        def draw(_: int) -> str:
            return balanced(rng, rng.randint(self.min_length, self.longest), self.max_depth)

        hint = "Lower data.num_samples, or raise data.longest."
        for text in draw_distinct(draw, self.num_samples, str, self.title, hint):
            labelled.tokens.append(list(text))
            labelled.labels.append([str(depth) for depth in depths(text, self.max_depth)])
        return labelled

    def tokens_of(self, text: str) -> list[str]:
        return list(text)

    def text_of(self, split: str, index: int) -> str:
        return "".join(self.words[index])

    def source_name(self) -> str:
        return f"generated, seed {self.data_seed}"
