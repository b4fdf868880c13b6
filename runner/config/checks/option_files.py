"""Commands and addresses of other machines in the option files of ``--config-dir``.

An option may set ``launcher.setup`` and similar keys if it is one of the group ``launcher`` that the user has
chosen by name, or lies in the user's own ``conf/``. In another file, for example a model that someone has
shared, a reader expects no commands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from omegaconf import DictConfig

from runner.config.groups import Option
from runner.config.trust import GUARDED_KEYS, guarded_launcher_keys
from runner.errors import Problem

__all__ = ["option_file_problems"]

LAUNCHER = "launcher"


def option_file_problems(
    config: DictConfig, folders: Iterable[str], option: Option | None, typed: Collection[str]
) -> list[Problem]:
    """Return a problem for each command or address that an option in a ``--config-dir`` may have set.

    Args:
        config: the composed config, before the values of the command line are applied.
        folders: the folders of ``--config-dir``.
        option: the chosen option of the group ``launcher``.
        typed: the keys of the command line.
    """
    files = [path for folder in folders for path in Path(folder).absolute().rglob("*.y*ml")]
    accepted = option.path if option is not None and LAUNCHER in typed else None
    suspects = [path for path in files if path != accepted and may_set_keys(path)]
    keys = guarded_launcher_keys(config) if suspects else []
    return [
        Problem(
            key,
            f"{key} may be set in {' or '.join(map(str, suspects))}, and reaches a shell or another machine.",
            "not_allowed",
            f"Give it with the command ({key}=…), or in conf/{LAUNCHER}/NAME.yaml.",
        )
        for key in keys
        if not any(name == key or name.startswith(f"{key}.") for name in typed)
    ]


def may_set_keys(path: Path) -> bool:
    """Return whether a file contains the name of a key, or an escape sequence that could hide one."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return "\\" in text or any(key in text for key in GUARDED_KEYS)
