"""Shell lines, batch scripts and code of other users: nothing is executed without the user's own command."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runner.cli.reproduce import confirm_code
from runner.config.compose import compose
from runner.errors import ConfigError, UserError
from runner.launch.reproduce import changed_files
from runner.launch.slurm import make_executor, parameters
from runner.run.directory import RunDir
from runner.sweep.directory import SweepDir
from runner.sweep.join import join_request
from runner.sweep.plan import IS_READY, guarded_plan, store_plan
from runner.sweep.request import make_request
from runner.sweep.study import open_study

pytestmark = pytest.mark.attack("commands")

SLURM = {"kind": "slurm", "partition": "gpu"}
SPACE = "optimizer.lr=tag(log,interval(1e-4,1e-1))"


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("launcher/mine.yaml", "kind: slurm\nsetup: [touch marker]", ["model=mlp"]),
        ("model/shared.yaml", "# @package _global_\nlauncher: {setup: [touch marker]}", ["model=shared"]),
        ("model/shared.yaml", "# @package _global_\nlauncher: {address: 'host:1'}", ["model=shared"]),
        ('model/shared.yaml', '# @package _global_\nlauncher: {"\\x73etup": [touch x]}', ["model=shared"]),
    ],
)  # fmt: skip
def test_shared_options_contain_no_commands(victim: Path, tmp_path: Path, file, text, words) -> None:
    folder = tmp_path / "shared"
    (folder / file).parent.mkdir(parents=True)
    (folder / file).write_text(text, encoding="utf-8")
    experiment = victim / "experiment.yaml"
    chosen = "mine" if file.startswith("launcher") else "local"
    experiment.write_text(f"defaults: [override /launcher: {chosen}]\n", encoding="utf-8")
    problems = compose(words, experiment, [str(folder)]).problems
    assert [problem.kind for problem in problems] == ["not_allowed"]
    assert problems[0].key in ("launcher.setup", "launcher.address")


def test_own_launchers_may_have_commands(victim: Path, tmp_path: Path) -> None:
    """In ``conf/``, in a chosen option of ``--config-dir``, and on the command line."""
    for folder in (victim / "conf", tmp_path / "shared"):
        (folder / "launcher").mkdir(parents=True)
        text = "kind: slurm\nsetup: [module load cuda]\n"
        (folder / "launcher" / f"{folder.name}.yaml").write_text(text, encoding="utf-8")
    own = compose(["launcher=conf"])
    shared = compose(["launcher=shared"], None, [str(tmp_path / "shared")])
    typed = compose(["launcher=slurm", "launcher.setup=[module load cuda]"])
    for composition in (own, shared, typed):
        assert composition.config.launcher.setup == ["module load cuda"] and not composition.problems


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\x00b", "a\x1b[2J", "a\u2028b", "a\x85b"])
@pytest.mark.parametrize("key", ["partition", "account", "qos", "constraint", "setup", "options"])
def test_stored_values_add_no_lines_to_a_batch_script(key: str, value: str) -> None:
    """Values of a stored config, which are not checked again before a run is resumed."""
    wrapped: Any = {"setup": [value], "options": {value: "1"}}.get(key, value)
    with pytest.raises(ConfigError, match=key if key in ("setup", "partition") else "control character"):
        parameters("run", {"hardware": {}, "launcher": SLURM | {key: wrapped}})


def test_folder_and_name_add_no_lines_to_a_batch_script(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"run\.root"):
        make_executor(tmp_path / "a\n#SBATCH --wrap=touch marker")
    with pytest.raises(ConfigError, match="job_name"):
        parameters("a\n#SBATCH --wrap=touch marker", {"hardware": {}, "launcher": SLURM})


def test_commands_cannot_be_searched(victim: Path) -> None:
    (victim / "received.yaml").write_text("sweep: {space: {launcher.setup: 'choice([touch marker],[])'}}")
    with pytest.raises(ConfigError, match=r"launcher\.setup cannot be searched"):
        make_request(["launcher=slurm"], "received.yaml", [])


@pytest.mark.parametrize(
    ("override", "is_rejected"),
    [
        ("launcher.setup=[touch marker]", True),
        ("++launcher={kind:slurm,setup:[touch marker]}", True),
        ("model={_target_:mine.Net}", True),
        ("optimizer.lr=0.1", False),
    ],
)
def test_received_plans_add_no_commands(override: str, is_rejected: bool) -> None:
    plan = {"overrides": [override], "space": {}, "config_dirs": []}
    assert bool(guarded_plan(plan, {})) == is_rejected


def test_received_sweep_is_not_joined(victim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was started in a folder that does not exist here, with own code in an option of its trials."""
    (victim / "mine.py").write_text("raise AssertionError('imported')\n", encoding="utf-8")
    sweep = SweepDir(victim / "runs" / "s")
    sweep.trials.mkdir(parents=True)
    tiny = ["model=logistic", "data=digits", "tracking=none", SPACE, "sweep.name=s"]
    request = make_request(tiny, None, [])
    request.fixed.append("task.loss={_target_:mine.Loss}")
    study = open_study(sweep, None, request.objectives)
    monkeypatch.setattr("runner.sweep.plan.os.getcwd", lambda: "/absent")
    store_plan(sweep, study, request)
    study.set_user_attr(IS_READY, True)
    monkeypatch.undo()
    monkeypatch.chdir(victim)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "other home"))
    with pytest.raises(UserError, match=r"(?s)mine\.Loss.*--trust") as error:
        join_request("s", [], "runs")
    assert "override: task.loss" in str(error.value)


def test_diff_lists_every_file_that_git_would_change(tmp_path: Path) -> None:
    """Also files in the form of other programs, and with names that would hide others in a terminal."""
    (tmp_path / "git.diff").write_text(
        "diff --git a/nets.py b/nets.py\n--- a/nets.py\n+++ b/nets.py\n@@ -1 +1 @@\n-a\n+b\n"
        "--- x/evil.py\t2020-01-01\n+++ y/evil.py\t2020-01-01\n@@ -0,0 +1 @@\n+import os\n"
        'diff --git "a/\\033[2J.py" "b/\\033[2J.py"\nnew file mode 100644\n--- /dev/null\n'
        '+++ "b/\\033[2J.py"\n@@ -0,0 +1 @@\n+a\n'
    )
    assert changed_files(RunDir(tmp_path)) == ["nets.py", "evil.py", '"\\033[2J.py"']


def test_linked_diff_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("password")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "git.diff").symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match="is not a file") as error:
        changed_files(RunDir(tmp_path / "run"))
    assert "password" not in str(error.value)


def test_reproduction_executes_no_code_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDir(tmp_path)
    run.provenance_path.write_text(
        json.dumps({"git": {"revision": "a" * 40, "diff_file": "../../evil.diff"}})
    )
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    monkeypatch.setattr(subprocess, "call", lambda *args, **options: pytest.fail("executed"))
    with pytest.raises(UserError, match="--yes"):
        confirm_code(run, is_confirmed=False)
