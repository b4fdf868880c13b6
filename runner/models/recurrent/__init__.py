"""Recurrent networks: over numbers or tokens, for one answer, one a step, or a sequence of another length."""
