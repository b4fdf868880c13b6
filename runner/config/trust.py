"""Signatures of the configs of run directories, which show that a run was created by this user.

The config of a received run directory can name functions of the user's own modules, shell commands of a batch
job, and the address of a cluster. Runner signs each config that it writes with a key of the user, and uses
those values of another config only with ``--trust``. The signature is an HMAC-SHA256 (RFC 2104) over these
values only, because a training may still write others, such as a batch size that fits.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from runner.config.allow_list import TOPS, find_targets
from runner.config.plain import escaped, texts_of, to_yaml
from runner.errors import UserError
from runner.run.files import write_text

__all__ = [
    "GUARDED_KEYS",
    "TRUST",
    "guarded_launcher_keys",
    "guarded_values",
    "reject_untrusted",
    "reject_values",
    "sign",
    "sign_values",
    "write_config",
]

TRUST = "RUNNER_TRUST"
"""Environment variable that ``--trust`` sets: the configs of all run directories are trusted."""

SIGNATURE = "signature"
"""File of a run directory."""

COMMANDS = ("setup", "options")
"""Keys of the launcher that reach a shell or a batch job."""
ADDRESSES = ("address", "rendezvous")
"""Keys of the launcher that name other machines. The agents of several machines unpickle the state of their
rendezvous (torch 2.15), so its address decides who can execute code here."""
GUARDED_KEYS = (*COMMANDS, *ADDRESSES)
LOCAL_ADDRESSES = (None, "auto", "local")
"""Addresses of Ray clusters that are on this machine."""

RESOLVER = re.compile(r"(?<!\\)(?:\\\\)*\$\{(?!facts:)[^:]*:")
"""An interpolation with a resolver, which could construct anything; except facts of the data. Stored configs
contain no other. References without a resolver lead to values that are inspected themselves."""


def guarded_values(config: DictConfig | dict[str, Any]) -> list[str]:
    """Return what a config would construct or execute beyond the components of runner and its libraries.

    Args:
        config: a config of any kind. Interpolations are not resolved; they could construct anything.

    Returns:
        Entries for messages, without duplicates.
    """
    plain = OmegaConf.to_container(config, resolve=False) if isinstance(config, DictConfig) else config
    targets = sorted(
        {
            f"_target_: {node['_target_']}"
            for _, node in find_targets(plain)
            if str(node["_target_"]).partition(".")[0] not in TOPS
        }
    )
    interpolations = sorted({f"{key}: {text}" for key, text in texts_of(plain, "") if RESOLVER.search(text)})
    entries = [f"launcher.{key}: {text}" for key, text in launcher_values(plain).items()]
    return list(dict.fromkeys([*targets, *entries, *interpolations]))


def launcher_values(plain: Any) -> dict[str, str]:
    """Return the guarded values of the ``launcher`` node: key → text."""
    launcher = plain.get("launcher") if isinstance(plain, dict) else None
    if not isinstance(launcher, dict):
        return {} if launcher is None else {"*": str(launcher)}  # a reference to another node
    commands = {key: json.dumps(launcher[key]) for key in COMMANDS if launcher.get(key)}
    addresses = {key: str(launcher[key]) for key in ADDRESSES if launcher.get(key) not in LOCAL_ADDRESSES}
    return commands | addresses


def guarded_launcher_keys(config: DictConfig) -> list[str]:
    """Return the dotted keys of the ``launcher`` node that have guarded values."""
    plain = OmegaConf.to_container(config, resolve=False)
    return [f"launcher.{key}".removesuffix(".*") for key in launcher_values(plain)]


def write_config(directory: Path, plain: dict[str, Any]) -> None:
    """Sign a config that this user creates, and write it into a run directory.

    It is signed first: an interrupted command must not leave a run that counts as that of another user.

    Args:
        directory: the run directory.
        plain: the config in plain containers.
    """
    sign(directory, escaped(plain))
    write_text(directory / "config.yaml", to_yaml(plain), durable=True)


def sign(directory: Path, config: DictConfig | dict[str, Any]) -> None:
    """Sign a config that this user writes into a run directory.

    A config without guarded values needs no signature. Without a writable home folder the run is not signed.

    Args:
        directory: the run directory.
        config: its config as it is stored.
    """
    sign_values(directory, guarded_values(config))


def sign_values(directory: Path, values: list[str]) -> None:
    """Sign guarded values, if there are any; see `sign`."""
    key = user_key() if values else None
    if key is not None:
        with suppress(OSError):
            (directory / SIGNATURE).write_text(signature_of(key, values), encoding="utf-8")


def reject_untrusted(directory: Path, config: DictConfig | dict[str, Any]) -> None:
    """Reject a config with guarded values that this user has not written, unless it is trusted.

    Args:
        directory: the folder of the config.
        config: the config as stored.

    Raises:
        UserError: the config has guarded values and no valid signature; the message lists the values.
    """
    reject_values(directory, guarded_values(config))


def reject_values(directory: Path, values: list[str]) -> None:
    """Reject guarded values that this user has not signed, unless they are trusted.

    Args:
        directory: the folder with the signature.
        values: the values, for messages.

    Raises:
        UserError: there are values and no valid signature for them.
    """
    if not values or is_signed(directory, values):
        return
    listed = "\n".join(f"  {value if value.isprintable() else ascii(value)}" for value in values)
    if os.environ.get(TRUST) == "1":
        print(f"{directory} is trusted. Its config uses:\n{listed}", file=sys.stderr)
        sign_values(directory, values)
        return
    raise UserError(
        f"{directory} was not created by this user, or before runner signed configs. Its config would use:\n"
        f"{listed}\nIf you trust its origin, repeat the command with --trust."
    )


def is_signed(directory: Path, values: list[str]) -> bool:
    key = user_key()
    try:
        stored = (directory / SIGNATURE).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return False
    return key is not None and hmac.compare_digest(stored.encode(), signature_of(key, values).encode())


def signature_of(key: bytes, values: list[str]) -> str:
    return hmac.new(key, json.dumps(values).encode(), "sha256").hexdigest()


def user_key() -> bytes | None:
    """Return the user's key, created when it is first needed; None if it cannot be stored.

    It lies in ``$XDG_CONFIG_HOME/runner/key``, or ``~/.config/runner/key``. Only the user can read it.
    """
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "runner"
    path = folder / "key"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".key.{os.getpid()}.{secrets.token_hex(4)}"
        if not path.exists():
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as file:
                file.write(secrets.token_bytes(32))
            with suppress(FileExistsError):  # another process was faster
                os.link(temporary, path)
            temporary.unlink()
        key = path.read_bytes()
    except OSError:
        return None
    return key if len(key) >= 32 else None
