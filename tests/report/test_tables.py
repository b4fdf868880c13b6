import io

import pytest
from rich.console import Console

from runner.report.summary import summarize
from runner.report.tables import next_commands, plan_panel, results_table, runs_table
from runner.run.directory import RunDir
from runner.run.status import write_status


def on_terminal(shown, width=100):
    file = io.StringIO()
    Console(file=file, force_terminal=True, color_system=None, width=width).print(shown)
    return file.getvalue()


def test_results_are_side_by_side_with_the_monitored_metric_first(results_of):
    assert str(results_table(results_of())).splitlines() == [
        "metric    val     test",
        "accuracy  0.9812  0.9712",
        "loss      0.1234  0.2000",
        "best checkpoint: step 20, epoch 2 (val/accuracy 0.9812) · took 1 min 23 s",
    ]


def test_lowest_of_many_classes_is_reported():
    metrics = {"test/accuracy": 0.9} | {f"test/f1_class/{name}": 0.5 + 0.05 * name for name in range(6)}
    lines = str(results_table({"test": metrics})).splitlines()
    assert lines == ["metric            test", "accuracy          0.9000", "f1_class, lowest  0.5000"]
    few = {f"test/iou_class/{name}": 0.5 for name in "abc"}
    assert len(str(results_table({"test": few})).splitlines()) == 4


@pytest.mark.parametrize("results", [{}, {"val": {}}, {"best": None, "val": {"loss": float("nan")}}])
def test_incomplete_results(results):
    assert on_terminal(results_table(results))
    assert str(results_table(results))


def test_runs_table_shows_state_and_outcome(make_run):
    runs = [
        make_run("a"),
        make_run(
            "b",
            state="failed",
            reason="NonFiniteLossError:\nthe loss became nan. Try a lower rate.",
            results=None,
        ),
        make_run("c", state="interrupted", results=None, epoch=1),
    ]
    head, *rows = str(runs_table([summarize(run) for run in runs])).splitlines()
    assert head.split() == ["run", "state", "epoch", "time", "result"]
    assert rows[0].split() == ["a", "finished", "3/3", "1", "min", "23", "s", "test/accuracy", "0.9712"]
    assert rows[1].endswith("  NonFiniteLossError: the loss became nan")
    assert rows[2].split() == ["c", "interrupted", "1/3", "-", "-"]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_terminal_table_keeps_every_value(make_run, width):
    run = make_run(
        "2026-11-21_10-04-59_mobilenet_v2_catsdogs", state="failed", reason="DataError: [/] no images"
    )
    text = on_terminal(runs_table([summarize(run)]), width)
    letters = "".join(text.split())
    for value in ("failed", "DataError:[/]noimages"):
        assert value in letters or width == 40
    assert "…" not in text


def test_plan_is_printed_without_markup():
    plan = {"model": "resnet34 [bold]x[/]", "parameters": 21289802, "tags": ["a", 1], "weights": None}
    assert str(plan_panel(plan)).splitlines() == [
        "model       resnet34 [bold]x[/]",
        "parameters  21,289,802",
        "tags        a, 1",
    ]
    assert "resnet34 [bold]x[/]" in on_terminal(plan_panel(plan))


def test_next_commands():
    shown = next_commands([("runner predict last INPUT", "use the model"), "runner ui"])
    assert str(shown).splitlines() == ["next:", "  runner predict last INPUT  use the model", "  runner ui"]
    assert "use the model" in on_terminal(shown)


def test_runs_table_shortens_long_reasons(make_run):
    run = make_run(state="failed", reason="download failed\n" + "url " * 200, results=None)
    row = str(runs_table([summarize(run)])).splitlines()[1]
    assert "download failed url" in row and row.rstrip().endswith("…")
    assert len(row) < 160


def lines_on_terminal(shown, width: int, soft_wrap: bool = False) -> list[str]:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    console.print(shown, soft_wrap=soft_wrap)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_next_commands_are_not_wrapped():
    commands = [("runner predict a_long_name_of_a_run INPUT", "use the model"), ("runner ui", "see all runs")]
    shown = next_commands(commands)
    assert lines_on_terminal(shown, 80) == [
        "next:",
        "  runner predict a_long_name_of_a_run INPUT   use the model",
        "  runner ui                                   see all runs",
    ]
    narrow = lines_on_terminal(shown, 30, soft_wrap=True)
    assert narrow == ["next:", "  # use the model", "  runner predict a_long_name_of_a_run INPUT",
                      "  # see all runs", "  runner ui"]  # fmt: skip


def test_names_of_runs_are_broken_after_separators_only(tmp_path):
    run = RunDir.create(tmp_path, "lstm_tiny_shakespeare_2026-12-01_12-08-56")
    write_status(run, state="running", step=1200)
    lines = lines_on_terminal(runs_table([summarize(run)]), 60)
    first = [line.split()[0] for line in lines if line.strip()][2:]
    assert "".join(first) == run.name and all(part[-1] in "_-" for part in first[:-1]) and len(first) > 1
    assert "step 1,200" in "\n".join(lines)


def test_an_unmeasured_checkpoint_has_no_value():
    best = {"step": 150, "epoch": 0, "monitor": "val/perplexity", "value": None}
    shown = results_table({"val": {"loss": 1.0}, "best": best})
    assert str(shown).splitlines()[-1] == "best checkpoint: step 150, epoch 1"
