"""Generated pairs of dates in common notations and in ISO 8601."""

from __future__ import annotations

import datetime
import random
from itertools import islice
from operator import itemgetter
from typing import Annotated, Unpack

from annotated_types import Ge, Gt

from runner.data.base import LoaderOptions
from runner.data.text.distinct import draw_distinct
from runner.data.text.pairs import Pairs, PairsDataModule

__all__ = ["DatesDataModule"]

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December")  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
FORMATS = (
    "{day} {month} {year}", "{month} {day}, {year}", "{short} {day} {year}", "{day:02}.{number:02}.{year}",
    "{weekday}, {day} {month} {year}", "{day} {short} {year}",
)  # fmt: skip


class DatesDataModule(PairsDataModule):
    """Pairs such as ``Monday, 7 March 1994`` → ``1994-03-07``, tokenized by character.

    Args:
        num_train, num_val, num_test: number of pairs of each split; no text occurs twice.
        data_seed: seed of the dates.
    """

    title = "dates"

    def __init__(
        self,
        *,
        num_train: Annotated[int, Ge(8)] = 4000,
        num_val: Annotated[int, Ge(1)] = 300,
        num_test: Annotated[int, Ge(0)] = 300,
        data_seed: Annotated[int, Ge(0)] = 0,
        batch_size: Annotated[int, Gt(0)] = 64,
        **options: Unpack[LoaderOptions],
    ) -> None:
        super().__init__(
            tokens="char",
            vocab_size=None,
            min_count=1,
            lowercase=False,
            max_length=40,
            batch_size=batch_size,
            **options,
        )
        self.counts = {"train": num_train, "val": num_val, "test": num_test}
        self.data_seed = data_seed

    def read(self) -> Pairs:
        rng = random.Random(self.data_seed)
        hint = "Lower data.num_train."
        drawn = iter(
            draw_distinct(lambda _: pair(rng), sum(self.counts.values()), itemgetter(0), self.title, hint)
        )
        return {split: list(islice(drawn, count)) for split, count in self.counts.items() if count}

    def source_name(self) -> str:
        return f"generated, seed {self.data_seed}"


def pair(rng: random.Random) -> tuple[str, str]:
    """Return a day between 1900 and 2099 in a common notation and in ISO 8601."""
    day = datetime.date(1900, 1, 1) + datetime.timedelta(days=rng.randrange(73_049))
    month = MONTHS[day.month - 1]
    text = rng.choice(FORMATS).format(
        day=day.day,
        month=month,
        short=month[:3],
        number=day.month,
        year=day.year,
        weekday=DAYS[day.weekday()],
    )
    return text, day.isoformat()
