"""An argparse parser that accepts exact options only and suggests corrections for misspelt ones."""

from __future__ import annotations

import argparse
from typing import NoReturn

from runner.config.nearest import nearest
from runner.errors import UserError

__all__ = ["VerbParser"]


class VerbParser(argparse.ArgumentParser):
    """Raises ``UserError`` where argparse would print its usage and exit."""

    def __init__(self, **options):
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        for word in message.split():
            name = word.partition("=")[0]
            if not name.startswith("-") or name in self._option_string_actions:
                continue
            near = nearest(name, self._option_string_actions, most=1)
            if near:
                message += f". Did you mean {near[0]}?"
        raise UserError(f"{message}\n`{self.prog} --help` shows the usage.")
