"""From a template and its variables to a page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

__all__ = ["render"]

FOLDER = Path(__file__).parent


def render(template: str, variables: Mapping[str, Any], folder: Path = FOLDER) -> str:
    """
    Args:
        folder: of the template; it may build on those that stand here.
    """
    environment = Environment(
        loader=FileSystemLoader([folder, FOLDER]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template(template).render(variables)
