"""Python and the packages: within the bounds the program asks for, and as they were tested."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from runner.cli.doctor.finding import Finding

__all__ = ["bounds", "python", "tested_versions"]

INSTALL = "In a checkout `scripts/setup` installs what is needed; elsewhere install `runner` again."


def python() -> Iterator[Finding]:
    from packaging.specifiers import SpecifierSet

    needed = SpecifierSet(metadata.metadata("runner")["Requires-Python"] or "")
    version = platform.python_version()
    if needed.contains(version, prereleases=True):
        yield Finding("ok", "python", f"{version} ({platform.platform()})")
    else:
        yield Finding("fail", "python", f"{version}, but the program needs {needed}", INSTALL)


def bounds() -> Iterator[Finding]:
    """Every direct dependency against the bounds in the program's own metadata."""
    from packaging.requirements import Requirement

    wanted = [Requirement(line) for line in metadata.requires("runner") or []]
    wanted = [
        requirement for requirement in wanted if not requirement.marker or requirement.marker.evaluate()
    ]
    wrong = 0
    for requirement in wanted:
        version = _installed(requirement.name)
        if version is None:
            wrong += 1
            yield Finding("fail", "packages", f"{requirement.name} is not installed ({requirement})", INSTALL)
        elif not requirement.specifier.contains(version, prereleases=True):
            wrong += 1
            text = f"{requirement.name} {version} lies outside {requirement.specifier}"
            yield Finding("fail", "packages", text, INSTALL)
    if not wrong:
        yield Finding("ok", "packages", f"all {len(wanted)} are installed within their bounds")


def tested_versions() -> Iterator[Finding]:
    """The versions the tests ran with (``constraints.txt`` of a checkout) against those installed."""
    pins = Path(__file__).resolve().parents[3] / "constraints.txt"
    if not pins.is_file():
        return
    others = []
    for name, pin in re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", pins.read_text(encoding="utf-8"), re.MULTILINE):
        version = _installed(name)
        if version is not None and version.partition("+")[0] != pin.partition("+")[0]:
            others.append(f"{name} {version} (tested: {pin})")
    if others:
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        remedy = "It may well work. `scripts/setup` installs the tested versions."
        yield Finding("warn", "tested", f"not the tested versions: {', '.join(others[:5])}{more}", remedy)
    else:
        yield Finding("ok", "tested", "installed versions are the tested ones")


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
