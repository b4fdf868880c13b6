from __future__ import annotations

from runner.run.files import write_text
from runner.tracking.artifacts import files_of


def names(run, has_ended, checkpoints=False):
    return {str(path) for path in files_of(run, has_ended, checkpoints)}


def test_only_final_files_are_sent_before_the_end(make_run):
    run = make_run(state=None)
    write_text(run.plots / "loss.png", "x")
    write_text(run.results_path, "{}")
    settled = {"config.yaml", "provenance.json", "facts.json", "plots/loss.png"}
    assert names(run, has_ended=False) - {"git.diff"} == settled


def test_everything_but_mirror_files_is_sent_after_the_end(make_run):
    run = make_run()
    for own in ("logs/tracking.log", "logs/system.jsonl", ".tracking.lock", "x.tmp", "tracking.json"):
        write_text(run.path / own, "x")
    write_text(run.path / "predictions.csv", "x")
    found = names(run, has_ended=True)
    assert {"results.json", "status.json", "logs/rank0.log", "predictions.csv", "plots/loss.png"} <= found
    assert not found & {
        "logs/tracking.log", "logs/system.jsonl", ".tracking.lock", "x.tmp", "tracking.json", "metrics.jsonl",
        "checkpoints/step-00000010.ckpt",
    }  # fmt: skip


def test_checkpoints_are_sent_when_requested(make_run):
    assert "checkpoints/step-00000010.ckpt" in names(make_run(), has_ended=True, checkpoints=True)
