"""The SMS Spam Collection: 5574 English messages, ham or spam.

Almeida, Gómez Hidalgo, Yamakami: Contributions to the study of SMS spam filtering, DocEng 2011.
"""

from __future__ import annotations

from pathlib import Path

from runner.data.labels import clean_label
from runner.data.text.base import TextDataModule
from runner.data.text.table import Texts, read_text, required_path
from runner.errors import DataError

__all__ = ["SmsSpamDataModule"]

CLASSES = ("ham", "spam")


class SmsSpamDataModule(TextDataModule):
    """The file of the collection, or its folder; each line has a label, a tab and a message.

    The data set has no official split. Every tenth message repeats another one; see ``duplicates``.
    """

    title = "sms_spam"
    what = "file or folder"
    unit = "messages"

    @property
    def file(self) -> Path | None:
        """The file of the collection; None if the folder does not contain it."""
        path = Path(required_path(self.path))
        if path.is_file():
            return path
        return next(iter(sorted(path.glob("SMSSpamCollection*"))), None)

    def file_problems(self) -> list[str]:
        if self.file is None:
            return [f"data.path={self.path} holds no file SMSSpamCollection."]
        try:
            self.read()
        except DataError as error:
            return [str(error)]
        return []

    def read(self) -> Texts:
        if self.file is None:
            raise DataError(f"data.path={self.path} holds no file SMSSpamCollection.")
        texts = Texts()
        for number, line in enumerate(read_text(self.file, self.encoding).split("\n"), start=1):
            label, tab, message = line.partition("\t")
            label = clean_label(label).lower()
            if label in CLASSES and tab:
                texts.add(message, label, row=f"line {number}")
            elif line.strip() and number > 1:  # a first line may be a header
                raise DataError(
                    f"{self.file}, line {number} begins with {label[:20]!r}; expected ham or spam, a tab, "
                    "and the message."
                )
        if not texts.texts:
            raise DataError(
                f"{self.file} holds no messages: expected ham or spam, a tab, and the message in each line."
            )
        return texts
