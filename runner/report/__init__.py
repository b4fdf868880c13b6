"""Output about runs: tables on the console, figures, and the HTML report."""
