"""What the shell proposes behind <TAB>. Reads folders and YAML files only: an answer takes a tenth of a second."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["answer_shell", "checkpoints", "experiments_and_overrides", "groups", "overrides", "runs"]


def answer_shell(parser: ArgumentParser) -> None:
    """Answers the shell that asks by environment variables, and ends the process."""
    import argcomplete

    argcomplete.autocomplete(parser, always_complete_options=False)


def runs(prefix: str, parsed_args: Namespace, **_: Any) -> list[str]:
    """Names of runs, the newest first, and ``latest``; a word with a slash is a path the shell knows better."""
    from argcomplete.completers import DirectoriesCompleter

    from runner.run.directory import list_runs

    if "/" in prefix:
        return list(DirectoriesCompleter()(prefix))
    names = [run.name for run in reversed(list_runs(getattr(parsed_args, "root", None) or "runs"))]
    return ["latest", *names] if names else []


def checkpoints(prefix: str, parsed_args: Namespace, **_: Any) -> list[str]:
    """``best``, ``last`` and the files of the run that stands before; a word with a slash is a path."""
    from argcomplete.completers import FilesCompleter

    from runner.errors import RunnerError
    from runner.run.checkpoints import read_index
    from runner.run.directory import find_run

    if "/" in prefix:
        return list(FilesCompleter()(prefix))
    names = ["best", "last"]
    try:
        found = find_run(getattr(parsed_args, "run_ref", None) or "latest", getattr(parsed_args, "root", None) or "runs")
        names += [entry.file for entry in read_index(found.checkpoints)]
    except RunnerError:
        pass
    return names


def groups(prefix: str, parsed_args: Namespace, **_: Any) -> list[str]:
    from runner.config.groups import find_groups

    return sorted(find_groups(_config_dirs(parsed_args)))


def experiments_and_overrides(prefix: str, parsed_args: Namespace, **options: Any) -> list[str]:
    """YAML files while nothing was given yet, and overrides."""
    proposals = overrides(prefix, parsed_args, **options)
    if "=" in prefix or _given(parsed_args):
        return proposals
    from argcomplete.completers import FilesCompleter

    return [*proposals, *FilesCompleter(allowednames=("yaml", "yml"))(prefix)]


def overrides(prefix: str, parsed_args: Namespace, **_: Any) -> list[str]:
    """``group=option`` and ``node.key=`` in Hydra's grammar, behind ``+`` and within comma lists too."""
    from runner.config.groups import find_groups

    config_dirs = _config_dirs(parsed_args)
    known = {group: sorted(options) for group, options in find_groups(config_dirs).items()}
    known["hydra/launcher"] = ["basic", "joblib"]
    sign = prefix[: len(prefix) - len(prefix.lstrip("+"))]
    key, equals, value = prefix[len(sign) :].partition("=")
    if equals:
        done, comma, _rest = value.rpartition(",")
        return [f"{sign}{key}={done}{comma}{option}" for option in known.get(key, [])]
    names = [f"{group}=" for group in known]
    # The keys of a group's option are many: only once its name is typed to the dot.
    names += [
        k for k in _keys(config_dirs, _given(parsed_args)) if "." in key or k.split(".")[0] not in known
    ]
    return [sign + name for name in names if name.startswith(key)]


def _keys(config_dirs: list[str], given: list[str]) -> Iterator[str]:
    """Keys of the primary config, and those of the options that are chosen, as ``optimizer.lr=``."""
    from runner.config.groups import find_groups, package_conf

    primary = _read(package_conf() / "runner.yaml")
    chosen: dict[str, str] = {}
    for entry in primary.pop("defaults", []):
        if isinstance(entry, dict):
            chosen |= {key.split()[-1].split("@")[0]: option for key, option in entry.items()}
    chosen |= dict(word.split("=", 1) for word in given if "=" in word)
    primary.pop("hydra", None)
    yield from _paths("", primary)
    for group, options in find_groups(config_dirs).items():
        option = options.get(str(chosen.get(group)))
        if option:
            yield from _paths(f"{group}.", _read(option.path))


def _paths(before: str, node: dict) -> Iterator[str]:
    for key, value in node.items():
        if not isinstance(key, str) or key.startswith("_") or key == "defaults":
            continue
        if isinstance(value, dict) and value:
            yield from _paths(f"{before}{key}.", value)
        else:
            yield f"{before}{key}="


def _read(path: Path) -> dict:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def _given(parsed_args: Namespace) -> list[str]:
    return list(getattr(parsed_args, "overrides", None) or [])


def _config_dirs(parsed_args: Namespace) -> list[str]:
    return list(getattr(parsed_args, "config_dir", None) or [])
