"""Ranks and training steps: process groups, strategies for one or several devices, micro-batches, memory."""
