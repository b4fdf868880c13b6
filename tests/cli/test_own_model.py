"""The model shown in docs/custom-parts.md and CONTRIBUTING.md trains as documented."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.run.directory import RunDir
from runner.run.files import read_json
from tests.overrides import QUIET

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(
    r"```\w+\n# (?P<path>my_models\.py|conf/model/two_layers\.yaml)\n(?P<text>.*?)```", re.DOTALL
)
COMMAND = re.compile(r"runner (train model=two_layers [^`\n]*)")


@pytest.fixture
def own_model(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delitem(sys.modules, "my_models", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield here
    sys.modules.pop("my_models", None)


def shown(document: str) -> tuple[dict[str, str], str]:
    """The files and the command that train the model."""
    words = (ROOT / document).read_text(encoding="utf-8")
    (command,) = COMMAND.findall(words)
    return {match["path"]: match["text"] for match in BLOCK.finditer(words)}, command


def test_both_documents_are_identical() -> None:
    assert shown("docs/custom-parts.md") == shown("CONTRIBUTING.md")


def test_documented_model_trains(say, own_model: Path) -> None:
    files, command = shown("docs/custom-parts.md")
    assert set(files) == {"my_models.py", "conf/model/two_layers.yaml"}
    for path, text in files.items():
        (own_model / path).parent.mkdir(parents=True, exist_ok=True)
        (own_model / path).write_text(text, encoding="utf-8")
    quick = [
        "trainer.max_epochs=1",
        *QUIET,
        "hardware=cpu",
        "run.name=mine",
    ]
    said = say(*command.split(), *quick)
    assert said.code == 0, said.err
    results = read_json(RunDir(own_model / "runs" / "mine").results_path)
    assert results["test"]["test/accuracy"] > 0.5
    assert results["num_parameters"] == 64 * 128 + 128 + 128 * 10 + 10
    assert "two_layers" in say("list", "model").out and "two layers, mine" in say("list", "model").out
    for mistake, told in (
        ("model.hiden_size=3", "hidden_size"),
        ("model.hidden_size=many", "expected a whole number"),
    ):
        refused = say(*command.split(), mistake)
        assert refused.code == 2 and told in refused.err
