from runner.report.figures import curve_figures
from runner.run.directory import RunDir
from runner.run.state import RunState


def test_curves_are_read_from_the_journal(make_run):
    figures = dict(curve_figures(RunState(make_run())))
    assert sorted(figures) == ["curves", "learning_rate"]
    titles = [ax.get_title("left") for ax in figures["curves"].axes if ax.get_visible()]
    assert titles == ["loss", "accuracy"]
    assert "best checkpoint" in [line.get_label() for line in figures["curves"].axes[0].lines]


def test_no_curves_without_a_journal(tmp_path):
    assert list(curve_figures(RunState(RunDir(tmp_path)))) == []
