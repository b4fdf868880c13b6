"""A progress bar that stays at the foot of a terminal while lines scroll above it."""

from __future__ import annotations

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

__all__ = ["LiveBar"]


class LiveBar:
    """Drawn only on request, so that no thread competes with the training loop. It disappears when stopped."""

    def __init__(self, console: Console):
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._live.start()

    def show(
        self, what: str, fraction: float | None, batches: str, times: str = "", metrics: str = ""
    ) -> None:
        """Redraws the bar.

        Args:
            what: "epoch 3/10".
            fraction: of the whole run that is done; None when its end is not known.
            batches: "batch 120/450".
            times: speed and time left.
            metrics: shown on a line of their own.
        """
        bar = ProgressBar(total=None if fraction is None else 1.0, completed=fraction or 0.0, width=24)
        parts = [Text(what, style="bold"), bar, Text(batches), Text(times.strip(), style="cyan")]
        shown = [part for part in parts if part is bar or part]
        line = Table.grid(padding=(0, 2))
        for part in shown:
            line.add_column(no_wrap=part is not bar)  # on a narrow terminal the bar gives way, not the words
        line.add_row(*shown)
        face = Table.grid()
        face.add_row(line)
        if metrics:
            face.add_row(Text(metrics))
        self._live.update(face, refresh=True)

    def stop(self) -> None:
        self._live.stop()
