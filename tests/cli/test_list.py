from __future__ import annotations

import re
from pathlib import Path

from runner.config.groups import find_groups


def row(text: str, first: str) -> str:
    return next(line for line in text.splitlines() if line.split()[:1] == [first])


def block(text: str, first: str) -> str:
    """The line that begins with a word, and the indented lines below it."""
    match = re.search(rf"^{first} .*\n(?: +.*\n)*", text, flags=re.MULTILINE)
    assert match is not None
    return match[0]


def test_overview_lists_groups_and_compatible_options(say) -> None:
    said = say("list")
    assert said.code == 0
    assert max(map(len, said.out.splitlines())) <= 100
    for group, options in find_groups().items():
        assert set(options) <= set(block(said.out, group).replace(",", " ").split())
    together = said.out[said.out.index("Compatible models and data sets") :]
    regression = block(together, "regression")
    assert "diabetes" in regression and "mlp" in regression and "digits" not in regression
    assert "digits" in block(together, "classification")


def test_options_of_a_group_have_summaries(say) -> None:
    said = say("list", "model")
    for option in find_groups()["model"].values():
        assert option.summary in row(said.out, option.name)
    assert "regression" in row(say("list", "data").out, "diabetes")


def test_unknown_group(say) -> None:
    said = say("list", "modle")
    assert said.code == 2
    assert "unknown config group 'modle'. Did you mean 'model'?" in said.err


def test_schedule_options_are_rejected_elsewhere(say) -> None:
    for words, idle in ((["model", "--plot", "a.png"], "--plot"), (["--steps", "10"], "--steps")):
        said = say("list", *words)
        assert said.code == 2
        assert f"{idle} would have no effect" in said.err


def test_user_options_are_listed(say, here: Path) -> None:
    (here / "conf" / "model").mkdir(parents=True)
    (here / "conf" / "model" / "mine.yaml").write_text(
        "# my own network. More about it.\n# tasks: regression\n"
    )
    (here / "conf" / "zoo").mkdir()
    (here / "conf" / "zoo" / "tiger.yaml").write_text("# striped\n")
    mine = row(say("list", "model").out, "mine")
    assert "my own network." in mine and "More" not in mine and mine.split()[-1] == "regression"
    assert "striped" in say("list", "zoo").out
