"""Checks the versions of Python and of the packages against the required and the tested ones."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from runner.cli.doctor.finding import Finding

__all__ = ["bounds", "python", "tested_versions"]

INSTALL = "In a checkout run `scripts/setup`; otherwise reinstall `runner`."


def python() -> Iterator[Finding]:
    """Check the version of Python."""
    from packaging.specifiers import SpecifierSet

    required = SpecifierSet(metadata.metadata("runner")["Requires-Python"] or "")
    version = platform.python_version()
    if required.contains(version, prereleases=True):
        yield Finding("ok", "python", f"{version} ({platform.platform()})")
    else:
        yield Finding("fail", "python", f"{version}, but runner requires {required}", INSTALL)


def bounds() -> Iterator[Finding]:
    """Check every direct dependency against the bounds in runner's metadata."""
    from packaging.requirements import Requirement

    required = [Requirement(line) for line in metadata.requires("runner") or []]
    required = [
        requirement for requirement in required if not requirement.marker or requirement.marker.evaluate()
    ]
    wrong = 0
    for requirement in required:
        version = _installed(requirement.name)
        if version is None:
            wrong += 1
            yield Finding("fail", "packages", f"{requirement.name} is not installed ({requirement})", INSTALL)
        elif not requirement.specifier.contains(version, prereleases=True):
            wrong += 1
            text = f"{requirement.name} {version} is outside {requirement.specifier}"
            yield Finding("fail", "packages", text, INSTALL)
    if not wrong:
        yield Finding("ok", "packages", f"all {len(required)} are installed within their bounds")


def tested_versions() -> Iterator[Finding]:
    """Compare the installed versions with the tested ones (``constraints.txt`` of a checkout)."""
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
        remedy = "They may still work. `scripts/setup` installs the tested versions."
        yield Finding("warn", "tested", f"not the tested versions: {', '.join(others[:5])}{more}", remedy)
    else:
        yield Finding("ok", "tested", "installed versions are the tested ones")


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
