"""The pins of what was tested."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).resolve().parents[2]
PINS = dict(
    re.findall(r"^([A-Za-z0-9._-]+)==(\S+)$", (CHECKOUT / "constraints.txt").read_text(), re.MULTILINE)
)
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
LINES = [
    *PROJECT["dependencies"],
    *(line for name, lines in EXTRAS.items() if name != "all" for line in lines),
]
DIRECT = [Requirement(line) for line in LINES]


def test_every_line_is_a_pin_or_a_comment() -> None:
    lines = (CHECKOUT / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[\w.+!]+", line)] == []


def test_every_direct_dependency_is_pinned_within_its_bounds() -> None:
    pins = {canonicalize_name(name): version for name, version in PINS.items()}
    for requirement in DIRECT:
        assert canonicalize_name(requirement.name) in pins, requirement.name
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement


def test_no_package_index_url() -> None:
    files = [CHECKOUT / "constraints.txt", CHECKOUT / "pyproject.toml", *(CHECKOUT / "scripts").glob("*")]
    assert [
        file.name for file in files if file.is_file() and re.search(r"https?://|index-url", file.read_text())
    ] == []
