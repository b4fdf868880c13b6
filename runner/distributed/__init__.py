"""Execution of a training step: strategies for one or several devices, micro-batches, memory."""
