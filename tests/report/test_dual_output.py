import io

from rich.console import Console
from rich.panel import Panel

from runner.report.format import Shown, aligned


def test_columns_are_as_wide_as_their_widest_cell():
    assert aligned([["a", "bb", "c"], ["long", "b", ""]]) == ["a     bb  c", "long  b"]


def printed(width, **options):
    file = io.StringIO()
    Console(file=file, width=width, **options).print(
        Shown(Panel("rich"), ["plain [bold]line[/] " + "x" * 120])
    )
    return file.getvalue()


def test_terminal_output_uses_rich():
    assert "╭" in printed(80, force_terminal=True)


def test_other_output_gets_plain_lines():
    assert printed(200) == "plain [bold]line[/] " + "x" * 120 + "\n"


def test_lines_are_not_truncated_at_any_width():
    assert printed(80, soft_wrap=True) == printed(200)
    assert printed(80).replace("\n", "").count("x") == 120
