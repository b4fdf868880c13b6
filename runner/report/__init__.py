"""Output about runs: tables on the console, figures, and the HTML report."""

from runner import make_callable

make_callable(__name__)
