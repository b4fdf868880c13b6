"""Generated sequences of brackets: whether they are balanced, and their depth."""

from __future__ import annotations

import random
from typing import Annotated, Unpack

from annotated_types import Ge, Gt, Le, Lt

from runner.data.base import LoaderOptions
from runner.data.text.base import TextDataModule
from runner.data.text.distinct import draw_distinct
from runner.data.text.labelled import Labelled, LabelledStepsDataModule
from runner.data.text.table import Texts

__all__ = ["BracketDepthDataModule", "BracketsDataModule", "balanced", "depths"]

PAIRS = {"(": ")", "[": "]"}
FILLERS = "ab"


def balanced(rng: random.Random, length: int, max_depth: int) -> str:
    """Return a random string of brackets and letters in which every bracket is closed.

    Args:
        rng: the random generator.
        length: number of characters.
        max_depth: maximum number of open brackets.
    """
    signs: list[str] = []
    stack: list[str] = []
    for left in range(length, 0, -1):
        if stack and (len(stack) >= left or rng.random() < 0.35):
            signs.append(PAIRS[stack.pop()])
        elif len(stack) < min(max_depth, left - 1) and rng.random() < 0.6:
            stack.append(rng.choice("(["))
            signs.append(stack[-1])
        else:
            signs.append(rng.choice(FILLERS))
    return "".join(signs)


def with_wrong_bracket(rng: random.Random, text: str) -> str:
    """Return the text with one bracket replaced by another one."""
    positions = [position for position, sign in enumerate(text) if sign not in FILLERS]
    if not positions:
        return rng.choice("([)]") + text[1:]
    position = rng.choice(positions)
    other = rng.choice([sign for sign in "([)]" if sign != text[position]])
    return text[:position] + other + text[position + 1 :]


def depths(text: str, deepest: int) -> list[int]:
    """Return the number of open brackets after each character, at most ``deepest``."""
    result, depth = [], 0
    for sign in text:
        depth += (sign in PAIRS) - (sign in PAIRS.values())
        result.append(min(max(depth, 0), deepest))
    return result


class BracketsDataModule(TextDataModule):
    """Generated strings of two classes: ``a([b])`` is balanced, ``a([b)]`` is broken.

    Args:
        num_samples: number of different strings, half of them balanced.
        min_length, longest: minimum and maximum number of characters.
        max_depth: maximum number of open brackets.
        data_seed: seed of the strings.
    """

    title = "brackets"

    def __init__(
        self,
        *,
        num_samples: Annotated[int, Ge(40)] = 6000,
        min_length: Annotated[int, Ge(2)] = 4,
        longest: Annotated[int, Ge(2), Le(1000)] = 24,
        max_depth: Annotated[int, Ge(1), Le(50)] = 4,
        data_seed: Annotated[int, Ge(0)] = 0,
        val_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.1,
        test_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.1,
        split_seed: Annotated[int, Ge(0)] = 0,
        batch_size: Annotated[int, Gt(0)] = 32,
        **options: Unpack[LoaderOptions],
    ) -> None:
        super().__init__(
            path=None,
            tokens="char",
            vocab_size=None,
            min_count=1,
            lowercase=False,
            max_length=longest,
            val_fraction=val_fraction,
            test_fraction=test_fraction,
            split_seed=split_seed,
            duplicates="keep",
            batch_size=batch_size,
            **options,
        )
        self.num_samples, self.max_depth, self.data_seed = num_samples, max_depth, data_seed
        self.min_length = min_length

    def check(self) -> list[str]:
        if self.min_length <= self.max_length:
            return []
        return [f"data.min_length={self.min_length} is more than data.longest={self.max_length}."]

    def read(self) -> Texts:
        rng, texts = random.Random(self.data_seed), Texts()

        def draw(number: int) -> str:
            text = balanced(rng, rng.randint(self.min_length, self.max_length), self.max_depth)
            return with_wrong_bracket(rng, text) if number % 2 else text

        hint = "Lower data.num_samples, or raise data.longest."
        for number, text in enumerate(draw_distinct(draw, self.num_samples, str, self.title, hint)):
            texts.add(text, "broken" if number % 2 else "balanced")
        return texts

    def source_name(self) -> str:
        return f"generated, seed {self.data_seed}"


class BracketDepthDataModule(LabelledStepsDataModule):
    """Generated strings such as ``a([b])``; labels are the numbers of open brackets after each character.

    Args:
        num_samples: number of different strings.
        min_length, longest: minimum and maximum number of characters.
        max_depth: maximum number of open brackets.
        data_seed: seed of the strings.
    """

    title = "bracket_depth"

    def __init__(
        self,
        *,
        num_samples: Annotated[int, Ge(20)] = 2000,
        min_length: Annotated[int, Ge(2)] = 4,
        longest: Annotated[int, Ge(2), Le(1000)] = 40,
        max_depth: Annotated[int, Ge(1), Le(50)] = 6,
        data_seed: Annotated[int, Ge(0)] = 0,
        val_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.1,
        test_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.1,
        split_seed: Annotated[int, Ge(0)] = 0,
        batch_size: Annotated[int, Gt(0)] = 32,
        **options: Unpack[LoaderOptions],
    ) -> None:
        super().__init__(
            vocab_size=None,
            min_count=1,
            val_fraction=val_fraction,
            test_fraction=test_fraction,
            split_seed=split_seed,
            batch_size=batch_size,
            **options,
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
