"""A config on the console."""

from __future__ import annotations

import json
import sys
from typing import Any

__all__ = ["print_config"]


def print_config(config: Any, as_json: bool = False, resolve: bool = False) -> None:
    """Prints it as YAML, coloured on a terminal, or as JSON.

    Args:
        config: facts of the data stay in it as ``${facts:KEY}`` unless ``resolve``.
        resolve: put the values in place of interpolations.
    """
    from omegaconf import OmegaConf

    if as_json:
        print(json.dumps(OmegaConf.to_container(config, resolve=resolve), indent=2))
        return
    text = OmegaConf.to_yaml(config, resolve=resolve)
    if not sys.stdout.isatty():
        print(text, end="")
        return
    from rich.syntax import Syntax

    from runner.cli.show import console

    console().print(Syntax(text, "yaml", background_color="default"))
