"""``runner completion SHELL``: prints the completion script of a shell."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

__all__ = [
    "answer_shell",
    "checkpoints",
    "experiments_and_overrides",
    "groups",
    "overrides",
    "runs",
    "splits",
    "states",
    "sweep_words",
    "sweeps",
]


def answer_shell(parser: ArgumentParser) -> None:
    """Print the completions that the shell requests by environment variables, and exit the process."""
    import argcomplete

    argcomplete.autocomplete(parser, always_complete_options=False)


def runs(prefix: str, parsed_args: Namespace, **_: Any) -> list[str]:
    """Complete ``latest`` and names of runs, newest first, or folders if the prefix contains a slash."""
    from argcomplete.completers import DirectoriesCompleter

    from runner.run.directory import list_runs

    if "/" in prefix:
        return list(DirectoriesCompleter()(prefix))
    names = [run.name for run in reversed(list_runs(getattr(parsed_args, "root", None) or "runs"))]
    return ["latest", *names] if names else []


def sweeps(prefix: str, parsed_args: Namespace, **_: Any) -> list[str]:
    """Complete ``latest`` and names of sweeps, newest first."""
    root = Path(getattr(parsed_args, "root", None) or "runs")
    paths = sorted(root.glob("*/sweep.yaml"), key=lambda path: path.stat().st_mtime, reverse=True)
    return ["latest", *(path.parent.name for path in paths)] if paths else []


def sweep_words(prefix: str, parsed_args: Namespace, **options: Any) -> list[str]:
    """Complete the words of ``runner sweep``: an action and the name of a sweep, or overrides."""
    given = _given(parsed_args)
    if given[:1] in (["best"], ["show"]):
        return sweeps(prefix, parsed_args)
    actions = [] if given else ["best", "show", "list"]
    return [*actions, *experiments_and_overrides(prefix, parsed_args, **options)]


def checkpoints(prefix: str, parsed_args: Namespace, **_: Any) -> list[str]:
    """Complete ``best``, ``last`` and the checkpoints of the given run, or files after a slash."""
    from argcomplete.completers import FilesCompleter

    from runner.errors import RunnerError
    from runner.run.checkpoints import read_index
    from runner.run.directory import find_run

    if "/" in prefix:
        return list(FilesCompleter()(prefix))
    names = ["best", "last"]
    try:
        run = find_run(
            getattr(parsed_args, "run_ref", None) or "latest", getattr(parsed_args, "root", None) or "runs"
        )
        names += [entry.file for entry in read_index(run.checkpoints)]
    except RunnerError:
        pass
    return names


def states(prefix: str, **_: Any) -> list[str]:
    """Complete the states of a run."""
    from runner.run.status import State

    return list(get_args(State))


def splits(prefix: str, **_: Any) -> list[str]:
    """Complete the splits of a data set."""
    return ["train", "val", "test"]


def groups(prefix: str, parsed_args: Namespace, **_: Any) -> list[str]:
    """Complete the names of config groups."""
    from runner.config.groups import find_groups

    return sorted(find_groups(_config_dirs(parsed_args)))


def experiments_and_overrides(prefix: str, parsed_args: Namespace, **options: Any) -> list[str]:
    """Complete overrides, and YAML files if no word was given before."""
    proposals = overrides(prefix, parsed_args, **options)
    if "=" in prefix or _given(parsed_args):
        return proposals
    from argcomplete.completers import FilesCompleter

    return [*proposals, *FilesCompleter(allowednames=("yaml", "yml"))(prefix)]


def overrides(prefix: str, parsed_args: Namespace, **_: Any) -> list[str]:
    """Complete ``group=option`` and ``node.key=`` in Hydra's grammar, also after ``+`` and in comma lists."""
    from runner.config.groups import find_groups

    config_dirs = _config_dirs(parsed_args)
    known = {group: sorted(options) for group, options in find_groups(config_dirs).items()}
    known["hydra/launcher"] = ["basic", "joblib"]
    sign = prefix[: len(prefix) - len(prefix.lstrip("+"))]
    key, equals, value = prefix[len(sign) :].partition("=")
    if equals:
        done, comma, _rest = value.rpartition(",")
        options = known.get(key) or _values(key, config_dirs, _given(parsed_args))
        return [f"{sign}{key}={done}{comma}{option}" for option in options]
    names = [f"{group}=" for group in known]
    # An option has many keys, so they are only proposed once the prefix contains a dot.
    names += [
        k for k in _keys(config_dirs, _given(parsed_args)) if "." in key or k.split(".")[0] not in known
    ]
    return [sign + name for name in names if name.startswith(key)]


def _keys(config_dirs: list[str], given: list[str]) -> Iterator[str]:
    """Yield the keys of the primary config and of the chosen options, as ``optimizer.lr=``.

    The keys of an option are those of its file and of its constructor's signature.
    """
    from runner.config.groups import package_conf
    from runner.config.introspect import annotations_of, node_spec
    from runner.config.schema import Config
    from runner.config.static_signature import static_signature

    annotations = annotations_of(Config)
    primary = _read(package_conf() / "runner.yaml")
    for name in ("defaults", "hydra"):
        primary.pop(name, None)
    yield from _paths("", primary)
    for group, node in _chosen_nodes(config_dirs, given):
        paths = dict.fromkeys(_paths(f"{group}.", node))
        yield from paths
        signature = static_signature(str(node.get("_target_", "")))
        spec = node_spec(annotations.get(group))
        supplied = {*spec.supplied, *spec.first} if spec is not None else set()
        for name in signature.parameters.keys() - supplied if signature is not None else ():
            nested = any(path.startswith(f"{group}.{name}.") for path in paths)
            if f"{group}.{name}=" not in paths and not nested:
                yield f"{group}.{name}="
    yield from _schema_keys()


def _schema_keys() -> Iterator[str]:
    """Yield the keys of nodes without a constructor, such as ``regularization.ema=``."""
    from runner.config.static_signature import static_signature

    source = static_signature("runner.config.schema.Config")
    for name, parameter in source.parameters.items() if source is not None else ():
        for kind in parameter.names - {"NodeSpec"}:
            inner = static_signature(f"runner.config.schema.{kind}")
            yield from (f"{name}.{key}=" for key in (inner.parameters if inner is not None else ()))


def _chosen_nodes(config_dirs: list[str], given: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield group and content of the chosen options, and the nodes of the primary config."""
    from runner.config.groups import find_groups, package_conf

    primary = _read(package_conf() / "runner.yaml")
    chosen: dict[str, str] = {}
    for entry in primary.pop("defaults", []):
        if isinstance(entry, dict):
            chosen |= {key.split()[-1].split("@")[0]: option for key, option in entry.items()}
    chosen |= dict(word.split("=", 1) for word in given if "=" in word)
    groups = find_groups(config_dirs)
    data = groups.get("data", {}).get(str(chosen.get("data")))
    for entry in _read(data.path).get("defaults", []) if data is not None else ():
        for key, option in entry.items() if isinstance(entry, dict) else ():
            group = key.removeprefix("override /").partition("@")[0]
            if key.startswith("override /") and f"{group}=" not in " ".join(given):
                chosen[group] = str(option)  # a data set chooses its task
    for group, options in groups.items():
        option = options.get(str(chosen.get(group)))
        if option:
            yield group, _read(option.path)
    yield from ((key, node) for key, node in primary.items() if isinstance(node, dict) and "_target_" in node)


def _values(key: str, config_dirs: list[str], given: list[str]) -> list[str]:
    """Return the values of an enumerated or boolean key, by the annotation of its parameter."""
    from runner.config.static_signature import static_signature

    top, _, name = key.partition(".")
    targets = [node["_target_"] for group, node in _chosen_nodes(config_dirs, given)
               if group == top and "_target_" in node]  # fmt: skip
    source = static_signature("runner.config.schema.Config")
    if not targets and source is not None and top in source.parameters:
        targets = [f"runner.config.schema.{kind}" for kind in source.parameters[top].names]
    for target in targets:
        signature = static_signature(str(target))
        parameter = signature.parameters.get(name) if signature is not None else None
        if parameter is not None:
            return [*parameter.choices, *(["true", "false"] if "bool" in parameter.names else [])]
    return []


def _paths(before: str, node: dict[str, Any]) -> Iterator[str]:
    for key, value in node.items():
        if not isinstance(key, str) or key.startswith("_") or key == "defaults":
            continue
        if isinstance(value, dict) and value:
            yield from _paths(f"{before}{key}.", value)
        else:
            yield f"{before}{key}="


def _read(path: Path) -> dict[str, Any]:
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


SUMMARY = "print the completion script for bash, zsh or fish"

INSTALL = {
    "bash": "echo 'eval \"$(runner completion bash)\"' >> ~/.bashrc",
    "zsh": "echo 'eval \"$(runner completion zsh)\"' >> ~/.zshrc",
    "fish": "runner completion fish > ~/.config/fish/completions/runner.fish",
}


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("shell", choices=INSTALL)
    lines = "\n".join(f"  {line}" for line in INSTALL.values())
    parser.epilog = f"To install it permanently:\n{lines}"


def run(args: Namespace) -> int:
    """Run the verb; return the exit code."""
    from argcomplete.shell_integration import shellcode

    print(f"# To install it permanently: {INSTALL[args.shell]}")
    print(shellcode(["runner"], shell=args.shell))
    return 0
