"""Recurrent networks for numbers or tokens.

With one output per sequence, one per step, or an output sequence.
"""
