"""The language reference that Python carries along: half a million characters of English, without any file."""

from __future__ import annotations

import platform
from pathlib import Path

from runner.data.download.file import data_folder, locked
from runner.data.text.language import LanguageDataModule
from runner.data.text.tokenizer import size_problems

__all__ = ["PythonTopicsDataModule"]


class PythonTopicsDataModule(LanguageDataModule):
    """The texts behind Python's ``help("topics")``; they differ a little between Python's versions."""

    title = "python_topics"

    @property
    def file(self) -> Path:
        return data_folder(self.data_dir) / f"python_topics_{platform.python_version()}.txt"

    def check(self) -> list[str]:
        problems = size_problems(self.tokens, self.vocab_size)
        if self.path is not None:
            problems.append(
                "data.path would have no effect: this text comes with Python. data=text_file takes yours."
            )
        return problems

    def prepare_data(self) -> None:
        from pydoc_data.topics import topics

        self.file.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.file):
            if not self.file.is_file():
                new = self.file.with_suffix(".new")
                new.write_text(
                    "\n\n".join(topics[name].strip() for name in sorted(topics)) + "\n", encoding="utf-8"
                )
                new.replace(self.file)
