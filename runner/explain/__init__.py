"""Explanations of model predictions: attributions to pixels, tokens, time steps and table columns."""

from runner import make_callable

make_callable(__name__)
