"""Explanations of model predictions: attributions to pixels, tokens, time steps and table columns."""
