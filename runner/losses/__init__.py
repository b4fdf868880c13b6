"""Losses that no library has as they are needed here."""
