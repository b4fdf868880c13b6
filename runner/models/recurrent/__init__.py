"""Recurrent networks for numbers or tokens, with one output per sequence, one per step, or an output
sequence.
"""
