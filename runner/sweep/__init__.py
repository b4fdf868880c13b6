"""Hyperparameter search: the trials of one study, each of which is a run directory.

Workers are forked from a process that has already imported the libraries and loaded the data.
"""

from runner import make_callable

make_callable(__name__)
