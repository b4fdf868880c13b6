"""Prints configs on the console."""

from __future__ import annotations

import json
import sys
from typing import Any

__all__ = ["print_config"]


def print_config(config: Any, as_json: bool = False, resolve: bool = False) -> None:
    """Print a config as YAML, coloured on a terminal, or as JSON.

    Args:
        config: the config; facts of the data are printed as ``${facts:KEY}`` unless ``resolve`` is set.
        as_json: print JSON instead of YAML.
        resolve: replace interpolations by their values.
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
