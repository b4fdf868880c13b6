"""Hydra's own node constructs launchers, sweepers, callbacks and logging, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from runner.config.checks.hydra_node import hydra_problems
from runner.config.compose import compose

pytestmark = pytest.mark.attack("Hydra's node")

TORCH_LOAD = "{_target_: torch.load, f: model.pt, weights_only: false}"


def problems_of(text: str) -> list[tuple[str, str]]:
    return [(problem.key, problem.kind) for problem in hydra_problems(OmegaConf.create(text))]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (f"hydra: {{callbacks: {{x: {TORCH_LOAD}}}}}", "hydra.callbacks.x._target_"),
        (f"hydra: {{callbacks: '${{oc.create:{{x:{TORCH_LOAD}}}}}'}}", "hydra.callbacks.x._target_"),
        (f"hydra: {{callbacks: {{x: '${{oc.create:{TORCH_LOAD}}}'}}}}", "hydra.callbacks.x._target_"),
        (f"hydra: {{callbacks: '${{other}}'}}\nother: {{x: {TORCH_LOAD}}}", "hydra.callbacks.x._target_"),
        (f"hydra: {{callbacks: {{x: '${{other}}'}}}}\nother: {TORCH_LOAD}", "hydra.callbacks.x._target_"),
        (
            "hydra: {callbacks: {x: '${oc.decode:${text}}'}}\ntext: '{_target_: os.system}'",
            "hydra.callbacks.x._target_",
        ),
        ("hydra: {callbacks: {x: {_target_: '${text}'}}}\ntext: os.system", "hydra.callbacks.x._target_"),
        ("hydra: {callbacks: {x: {_target_: hydra.utils.instantiate}}}", "hydra.callbacks.x._target_"),
        ("hydra: {callbacks: {x: {_target_: hydra.utils.get_method}}}", "hydra.callbacks.x._target_"),
        ("hydra: {launcher: {_target_: hydra_plugins.evil.Launcher}}", "hydra.launcher._target_"),
        ("hydra: {sweeper: {_target_: logging.config.fileConfig}}", "hydra.sweeper._target_"),
        ("hydra: {job_logging: {handlers: {x: {(): os.system}}}}", "hydra.job_logging.handlers.x.()"),
        ("hydra: {job_logging: {x: {class: logging.handlers.SocketHandler}}}", "hydra.job_logging.x.class"),
        ("hydra: {job_logging: {x: {stream: 'ext://evil.stream'}}}", "hydra.job_logging.x.stream"),
        ("hydra: {job_logging: {x: ['cfg://handlers.x']}}", "hydra.job_logging.x[0]"),
    ],
)  # fmt: skip
def test_foreign_constructors_are_rejected(text: str, key: str) -> None:
    assert problems_of(text) == [(key, "not_allowed")]


@pytest.mark.parametrize(
    "value",
    [
        "${oc.decode:${oc.env:RUNNER_TEST_NOT_SET}}",
        "${other.${hydra.job.num}}",
        "${hydra.callbacks.y}",
    ],
)
def test_interpolations_that_cannot_be_inspected_are_rejected(value: str) -> None:
    config = OmegaConf.create({"hydra": {"callbacks": {"x": value}, "job": {"num": "???"}}, "other": {}})
    assert [problem.key for problem in hydra_problems(config)] == ["hydra.callbacks.x"]


def test_node_that_contains_itself_is_rejected() -> None:
    text = "hydra: {callbacks: {x: '${hydra.callbacks}', y: '${hydra.callbacks}'}}"
    assert problems_of(text) == [("hydra.callbacks.x", "not_allowed"), ("hydra.callbacks.y", "not_allowed")]


def test_node_that_is_nested_deeply_is_rejected() -> None:
    text = f"hydra: {'{a: ' * 20}1{'}' * 20}"
    assert [kind for _, kind in problems_of(text)] == ["out_of_bounds"]


def test_files_named_by_the_job_are_allowed() -> None:
    text = (
        "hydra: {job: {num: '???', name: app}, runtime: {output_dir: '???'}, "
        "sweep: {subdir: '${hydra.job.num}'}, job_logging: {handlers: {file: {class: logging.FileHandler, "
        "filename: '${hydra.runtime.output_dir}/${hydra.job.name}.log'}}}}"
    )
    assert problems_of(text) == []


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ([], ["A", "B"]),
        (["+hydra.job.env_set.A=1"], ["B"]),
        (["hydra.job.env_set={A:1,B:2}"], []),
    ],
)
def test_only_the_command_sets_environment_variables(lines: list[str], names: list[str]) -> None:
    config = OmegaConf.create({"hydra": {"job": {"env_set": {"A": "1", "B": "2"}}}})
    typed = OverridesParser.create().parse_overrides(lines)
    assert [problem.key for problem in hydra_problems(config, typed)] == [
        f"hydra.job.env_set.{name}" for name in names
    ]


def test_composed_node_is_inspected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "conf" / "hydra" / "callbacks"
    folder.mkdir(parents=True)
    (folder / "evil.yaml").write_text("x: '${oc.create:{_target_:os.system,command:touch marker}}'")
    problems = compose(["hydra/callbacks=evil"], multirun=True).problems
    assert [(problem.key, problem.kind) for problem in problems] == [
        ("hydra.callbacks.x._target_", "not_allowed")
    ]


@pytest.mark.parametrize(
    "callbacks",
    ["${x.${now:%S}}", "${y}", "{a: '${x.${now:%S}}'}", "{a: {_target_: '${names.${now:%S}}'}}"],
)
def test_references_that_depend_on_the_time_are_rejected(callbacks: str) -> None:
    """They could be harmless when they are inspected, and lead to another constructor a second later."""
    seconds = ", ".join(f"'{second:02d}': {{}}" for second in range(60))
    names = ", ".join(
        f"'{second:02d}': hydra.experimental.callbacks.LogJobReturnCallback" for second in range(60)
    )
    text = (
        f"hydra: {{callbacks: '{callbacks}'}}"
        if callbacks[0] == "$"
        else f"hydra: {{callbacks: {callbacks}}}"
    )
    found = problems_of(f"{text}\nx: {{{seconds}}}\ny: '${{x.${{now:%S}}}}'\nnames: {{{names}}}")
    assert [kind for _, kind in found] == ["not_allowed"]


def test_the_time_is_known_after_the_check() -> None:
    problems_of("hydra: {job: {name: x}}")
    config = OmegaConf.create({"year": "${now:%Y}", "hydra": {"run": {"dir": "runs/${now:%Y}"}}})
    assert config.year.isdigit() and config.hydra.run.dir == f"runs/{config.year}"
    launcher = "{submitit_folder: '${hydra.run.dir}/.submitit/%j'}"
    assert problems_of(f"hydra: {{run: {{dir: 'runs/${{now:%Y}}'}}, launcher: {launcher}}}") == []
