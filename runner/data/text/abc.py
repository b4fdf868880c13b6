"""Tunes in ABC notation, for language models that write new ones."""

from __future__ import annotations

from runner.data.text.language import LanguageDataModule

__all__ = ["AbcDataModule", "IrishAbcDataModule"]


class AbcDataModule(LanguageDataModule):
    """A file of tunes, each from its line ``X:`` to an empty line (https://abcnotation.com/wiki/abc:standard)."""

    notation = "abc"


class IrishAbcDataModule(AbcDataModule):
    """804 Irish folk tunes, as MIT's course 6.S191 has them."""

    title = "irish_abc"
    download_from = (
        "https://raw.githubusercontent.com/aamini/introtodeeplearning/master/mitdeeplearning/data/irish.abc",
        "irish.abc",
        "df3782d5f7b5a2f4c66aa7c13f13008d5f48757b3f5f51620cd6c1ceb2c53023",
        197618,
    )
