"""A study on a real PostgreSQL server: started for these tests, on a Unix socket."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from runner.cli import main
from runner.errors import RunNotFoundError, UserError
from runner.run.files import read_json
from runner.sweep.directory import SweepDir
from runner.sweep.storage import lock_of, open_storage, without_password
from runner.sweep.study import load_study
from tests.sweep.test_trial_queue import count_with

NOT_ROOT = ("postgres", "nobody")
STARTS_WITHIN_S = 60


def programs() -> Path | None:
    """Debian keeps them out of the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    path = shutil.which("initdb")
    return Path(path).parent if path else None


def as_somebody() -> dict[str, str]:
    """The server refuses to be root's."""
    if os.geteuid() != 0:
        return {}
    for name in NOT_ROOT:
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": name}
    pytest.skip("no user to run PostgreSQL as")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of an empty database."""
    folder = programs()
    if folder is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'runner[postgresql]'")
    user = as_somebody()
    place = Path(tempfile.mkdtemp(prefix="pg"))
    if user:
        shutil.chown(place, user["user"])
    data = str(place / "data")
    subprocess.run(
        [folder / "initdb", "-D", data, "-A", "trust", "-U", "runner", "--no-sync"],
        check=True, stdout=subprocess.DEVNULL, cwd=place, **user,
    )  # fmt: skip
    options = ["-c", "listen_addresses=", "-c", "fsync=off", "-k", str(place)]
    process = subprocess.Popen(
        [folder / "postgres", "-D", data, *options], stderr=subprocess.DEVNULL, cwd=place, **user
    )
    try:
        until = time.monotonic() + STARTS_WITHIN_S
        while not (place / ".s.PGSQL.5432").exists():
            assert process.poll() is None and time.monotonic() < until, "PostgreSQL did not start"
            time.sleep(0.1)
        yield f"postgresql://runner@/postgres?host={place}"
    finally:
        process.send_signal(signal.SIGINT)  # at once, whoever is still connected
        process.wait(60)
        shutil.rmtree(place, ignore_errors=True)


def test_four_processes_reach_the_same_total(server: str, tmp_path: Path) -> None:
    count_with(tmp_path / "counted", server)


def test_lock_is_released_when_its_holder_dies(server: str, tmp_path: Path) -> None:
    lock = lock_of(SweepDir(tmp_path / "t"), server)
    pid = os.fork()
    if pid == 0:
        with lock():
            os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    with lock():  # would wait for ever
        pass


@pytest.mark.slow
def test_two_machines_share_only_the_server(server: str, bench, monkeypatch, capsys) -> None:
    words = ["optimizer.lr=tag(log,interval(1e-4,1e-1))", "sweep.num_trials=4", "sweep.sampler=random"]
    first = bench.start(*words, f"sweep.storage='{server}'")
    study_of = SweepDir(bench.folder / "elsewhere" / "s")
    while not has_begun(study_of, server):
        assert os.waitpid(first, os.WNOHANG)[0] == 0, bench.said()
        time.sleep(0.5)
    (bench.folder / "elsewhere").mkdir()
    monkeypatch.chdir(bench.folder / "elsewhere")
    assert main(["sweep", "--join", "s", "--root", ".", f"sweep.storage='{server}'"]) == 0
    assert os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) == 0, bench.said()
    trials = load_study(bench.sweep).get_trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 4
    kept = [{int(path.name) for path in sweep.trials.iterdir()} for sweep in (bench.sweep, study_of)]
    assert kept[0] | kept[1] == {0, 1, 2, 3} and not kept[0] & kept[1]
    best = max(trials, key=lambda trial: trial.value)
    assert read_json(bench.sweep.status_path)["best"] == best.number
    assert OmegaConf.load(bench.sweep.best_path).optimizer.lr == best.params["optimizer.lr"]


def has_begun(sweep: SweepDir, server: str) -> bool:
    try:
        return "begun" in load_study(sweep, server).user_attrs
    except (RunNotFoundError, UserError):
        return False


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://here/x", "expected sqlite:///FILE or postgresql"),
        ("sqlite://", "expected sqlite:///FILE"),
        ("study.db", "expected sqlite:///FILE"),
        ("postgresql://nobody:secret@127.0.0.1:1/x", "cannot be stored in postgresql"),
    ],
)
def test_invalid_storage_is_reported(url: str, said: str, tmp_path: Path) -> None:
    sweep = SweepDir(tmp_path)
    with pytest.raises(UserError, match=said) as error, lock_of(sweep, url)():
        open_storage(sweep, url)
    assert "secret" not in str(error.value)


def test_password_is_not_written_to_any_file() -> None:
    assert without_password("postgresql://me:secret@here/x") == "postgresql://me@here/x"
    assert without_password(None) is None
