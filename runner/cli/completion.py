"""``runner completion SHELL``: what makes the shell complete verbs, overrides and runs."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

SUMMARY = "print the script that teaches bash, zsh or fish to complete"

INSTALL = {
    "bash": "echo 'eval \"$(runner completion bash)\"' >> ~/.bashrc",
    "zsh": "echo 'eval \"$(runner completion zsh)\"' >> ~/.zshrc",
    "fish": "runner completion fish > ~/.config/fish/completions/runner.fish",
}


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("shell", choices=INSTALL)
    lines = "\n".join(f"  {line}" for line in INSTALL.values())
    parser.epilog = f"To keep it, once:\n{lines}"


def run(args: Namespace) -> int:
    from argcomplete.shell_integration import shellcode

    print(f"# To keep it: {INSTALL[args.shell]}")
    print(shellcode(["runner"], shell=args.shell))
    return 0
