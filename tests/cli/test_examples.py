from __future__ import annotations

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from runner.cli import NAMES, load_verb
from runner.cli.arguments import VerbParser
from runner.cli.examples import ACTIONS, EXAMPLES, action_help, format_examples

LISTED = [(verb, command) for verb in EXAMPLES for command, _ in EXAMPLES[verb]]
LISTED += [
    (verb, command)
    for verb, actions in ACTIONS.items()
    for _, rows in actions.values()
    for command, _ in rows
]


def test_every_verb_and_action_has_examples(say) -> None:
    assert set(EXAMPLES) == set(NAMES)
    for name in NAMES:
        assert "examples:" in say(name, "--help").out
    for verb, actions in ACTIONS.items():
        choices = getattr(load_verb(verb), "ACTIONS", actions)
        assert set(actions) == set(choices)


@pytest.mark.parametrize(("verb", "command"), LISTED, ids=[command for _, command in LISTED])
def test_examples_are_valid_commands(verb: str, command: str) -> None:
    name, *words = shlex.split(command, comments=True)
    if name != "runner":
        return
    module = load_verb(words[0])
    parser = VerbParser(prog="runner")
    module.add_arguments(parser)
    args = parser.parse_intermixed_args(words[1:])
    overrides = [word for word in getattr(args, "overrides", []) if "=" in word]
    OverridesParser.create().parse_overrides(overrides)
    for word in shlex.split(command):  # a pattern or bracket that a shell would expand is quoted
        assert word in command.split() or f"'{word}'" in command


def test_each_action_has_its_own_help(say) -> None:
    for words in (["config", "check", "--help"], ["help", "config", "check"]):
        said = say(*words)
        assert said.code == 0
        assert "runner config check my_experiment.yaml" in said.out
        assert "config schema" not in said.out
    assert say("sweep", "best", "-h").out == f"{action_help('sweep', 'best')}\n"


def test_help_fits_into_80_columns(say) -> None:
    for name in NAMES:
        long = [line for line in say(name, "--help").out.splitlines() if len(line) > 80]
        assert not [line for line in long if not line.startswith("  runner ")]
    assert max(map(len, say("--help").out.splitlines())) <= 80


def test_comments_stand_beside_short_commands_and_above_long_ones() -> None:
    assert format_examples((("a", "one"), ("bb", "two"))).splitlines() == [
        "examples:",
        "  a   # one",
        "  bb  # two",
    ]
    long = f"runner {70 * 'x'}"
    assert format_examples(((long, "one"), ("b", ""))).splitlines()[1:] == ["  # one", f"  {long}", "  b"]
