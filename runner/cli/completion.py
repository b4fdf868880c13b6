"""``runner completion SHELL``: prints the completion script of a shell."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

SUMMARY = "print the completion script for bash, zsh or fish"

INSTALL = {
    "bash": "echo 'eval \"$(runner completion bash)\"' >> ~/.bashrc",
    "zsh": "echo 'eval \"$(runner completion zsh)\"' >> ~/.zshrc",
    "fish": "runner completion fish > ~/.config/fish/completions/runner.fish",
}


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("shell", choices=INSTALL)
    lines = "\n".join(f"  {line}" for line in INSTALL.values())
    parser.epilog = f"To install it permanently:\n{lines}"


def run(args: Namespace) -> int:
    from argcomplete.shell_integration import shellcode

    print(f"# To install it permanently: {INSTALL[args.shell]}")
    print(shellcode(["runner"], shell=args.shell))
    return 0
