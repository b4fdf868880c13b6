from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from runner.config.facts import facts_known, is_placeholder, referenced_facts
from runner.config.plain import to_plain
from runner.data.facts import Facts

FACTS = Facts("classification", (3, 8, 8), 2, class_names=["a", "b"], extra={"vocabulary": 50})
CONFIG = OmegaConf.create(
    {
        "one": "${facts:num_outputs}",
        "copy": "${one}",
        "list": "${facts:class_names}",
        "text": "${facts:num_outputs} classes",
        "inner": [{"extra": "${facts:vocabulary}"}],
        "shape": "${facts:input_shape}",
    }
)


def test_known_facts_are_values() -> None:
    with facts_known(FACTS):
        plain = to_plain(CONFIG, problems := [])
    assert problems == []
    assert plain == {
        "one": 2,
        "copy": 2,
        "list": ["a", "b"],
        "text": "2 classes",
        "inner": [{"extra": 50}],
        "shape": [3, 8, 8],
    }


def test_unknown_facts_are_detectable_placeholders() -> None:
    plain = to_plain(CONFIG, problems := [])
    assert problems == []
    assert all(is_placeholder(plain[key]) for key in ("one", "copy", "list", "text", "shape"))
    assert dict(referenced_facts(plain)) == {
        "one": "num_outputs",
        "copy": "num_outputs",
        "list": "class_names",
        "text": "num_outputs",
        "inner[0].extra": "vocabulary",
        "shape": "input_shape",
    }
    assert not is_placeholder("facts") and not is_placeholder(3)


def test_fact_that_the_data_does_not_provide() -> None:
    config = OmegaConf.create({"model": {"size": "${facts:vocabulry}"}})
    with facts_known(FACTS):
        to_plain(config, problems := [])
    (problem,) = problems
    assert (problem.key, problem.kind) == ("model.size", "unresolved")
    assert str(problem) == (
        "model.size: ${facts:vocabulry} cannot be resolved: ${facts:vocabulry}: the data set does not "
        "provide 'vocabulry'. Did you mean 'vocabulary'?"
    )


def test_facts_are_reset_afterwards() -> None:
    with pytest.raises(RuntimeError), facts_known(FACTS):
        raise RuntimeError
    assert is_placeholder(CONFIG.one)
    with facts_known(FACTS):
        with facts_known(Facts("regression", (2,), 1)):
            assert CONFIG.one == 1
        assert CONFIG.one == 2
